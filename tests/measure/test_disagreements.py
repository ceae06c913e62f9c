"""How many samples each of two networks alone gets right, where a claim is about their difference."""

import pytest
import torch

from kdlab.config.claims import claims_of
from kdlab.measure.disagreements import disagreements
from kdlab.results import Disagreement

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
RIGHT = {
    ("a", "none"): torch.tensor([1, 1, 1, 0, 0, 1], dtype=torch.bool),
    ("b", "none"): torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.bool),
    ("b", "prior"): torch.tensor([0, 0, 0, 1, 1, 0], dtype=torch.bool),
}


def counted(held_out=(2,), metric="accuracy", split="test", **minus):
    value = {"arm": "a", "metric": metric, "classes": minus.get("classes", "all")}
    claim = {"say": "x", "value": value, "minus": {"arm": "b", "metric": metric, **minus}, "at_least": 0}
    held = {"a": [2], "b": list(held_out)}
    return [*disagreements(claims_of({"claims": [claim]}), split, LABELS, right=RIGHT, held_out=held)]


@pytest.mark.parametrize(
    ("minus", "alone"),
    [
        ({}, (3, 1)),
        ({"correction": "prior"}, (4, 2)),
        ({"classes": "unseen"}, (1, 1)),
        ({"classes": "seen"}, (2, 0)),
        ({"classes": 0}, (1, 0)),
        ({"metric": "errors"}, (3, 1)),
    ],
)
def test_the_samples_are_counted_that_one_network_alone_gets_right(minus, alone):
    second = ("b", minus.get("correction", "none"))
    classes = str(minus.get("classes", "all"))
    assert counted(**minus) == [Disagreement("test", classes, ("a", "none"), second, *alone)]


@pytest.mark.parametrize(
    "other",
    [{"metric": "nll"}, {"split": "val"}, {"classes": [0, 1]}, {"correction": "oracle"},
     {"classes": "unseen", "held_out": (1,)}],
)  # fmt: skip
def test_nothing_is_counted_where_the_networks_do_not_answer_the_same_samples(other):
    assert counted(**other) == []
