"""Content keys: the same for the same fit, another for anything that its weights depend on."""

from typing import Any

import pytest
from torch import nn

from kdlab.content_key import content_key

FIT: dict[str, Any] = {
    "recipe": {"net": {"widths": [800]}, "optimizer": {"lr": 0.1}, "max_epochs": 3, "seed": 0},
    "data": {"name": "mnist", "checksum": "abc", "held_out": [3], "batch_size": 128},
    "precision": "32-true",
    "net": nn.Linear(2, 2),
    "teacher_key": "t",
}


def test_key_is_a_function_of_the_content_not_of_the_order_of_keys():
    shuffled = FIT | {"recipe": dict(reversed(FIT["recipe"].items()))}
    assert content_key(**FIT) == content_key(**shuffled)
    assert len(content_key(**FIT)) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": FIT["recipe"] | {"seed": 1}},
        {"recipe": FIT["recipe"] | {"max_epochs": 4}},
        {"recipe": FIT["recipe"] | {"optimizer": {"lr": 0.2}}},
        {"data": FIT["data"] | {"checksum": "abd"}},
        {"data": FIT["data"] | {"held_out": []}},
        {"precision": "bf16-mixed"},
        {"teacher_key": "u"},
        {"teacher_key": None},
        {"net": nn.Conv2d(1, 1, 1)},
    ],
)
def test_whatever_changes_the_fit_changes_the_key(change):
    assert content_key(**(FIT | change)) != content_key(**FIT)
