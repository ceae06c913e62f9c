"""Content keys: the same for the same fit, another for anything that its weights depend on."""

from typing import Any

import pytest
from torch import nn

from kdlab.fits.key import fit_contents
from kdlab.hashing import file_hash, short_hash

RECIPE: dict[str, Any] = {
    "net": {"_target_": "torch.nn.Linear", "in_features": 2},
    "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
    "max_epochs": 3,
    "seed": 0,
}


def key(data, **changes: Any) -> str:
    fit = {"recipe": RECIPE, "data": data, "precision": "32-true", "net": nn.Linear(2, 2), "teacher_keys": ["t"]}
    return short_hash(fit_contents(**(fit | changes)))


def test_key_is_a_function_of_the_content_not_of_the_order_of_keys(stripes):
    assert key(stripes) == key(stripes, recipe=dict(reversed(RECIPE.items())))
    assert len(key(stripes)) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": RECIPE | {"seed": 1}},
        {"recipe": RECIPE | {"max_epochs": 4}},
        {"recipe": RECIPE | {"optimizer": RECIPE["optimizer"] | {"lr": 0.2}}},
        {"precision": "bf16-mixed"},
        {"teacher_keys": ["u"]},
        {"teacher_keys": []},
        {"teacher_keys": ["t", "t"]},
        {"net": nn.Linear(2, 3)},
    ],
)
def test_whatever_changes_the_fit_changes_the_key(stripes, change):
    assert key(stripes, **change) != key(stripes)


@pytest.mark.parametrize(
    "change", [{"batch_size": 7}, {"held_out": [0]}, {"val_size": 0.2}, {"passes_per_epoch": 2}, {"_checksum": "0"}]
)
def test_whatever_changes_the_batches_changes_the_key(stripes, change):
    before = key(stripes)
    vars(stripes).update(change)
    assert key(stripes) != before


def test_a_change_in_the_users_own_code_changes_the_key(stripes, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    recipe = RECIPE | {"net": {"_target_": "my_nets_for_this_test.net"}}
    keys = []
    for body in ("nn.ReLU()", "nn.Softplus()"):
        source = f"from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Linear(2, 2), {body})\n"
        (tmp_path / "my_nets_for_this_test.py").write_text(source)
        file_hash.cache_clear()  # as in another process
        keys.append(key(stripes, recipe=recipe, net=nn.Sequential(nn.Linear(2, 2))))
    assert keys[0] != keys[1]


def test_what_a_process_has_imported_counts_not_what_its_file_has_become_since(stripes, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "my_changing_nets.py"
    file.write_text("from torch import nn\n\ndef net():\n    return nn.Linear(2, 2)\n")
    recipe = RECIPE | {"net": {"_target_": "my_changing_nets.net"}}
    before = key(stripes, recipe=recipe)
    file.write_text(file.read_text() + "# edited\n")
    assert key(stripes, recipe=recipe) == before


def test_whole_numbers_are_one_number_however_written(stripes):
    assert key(stripes, recipe=RECIPE | {"t": 4}) == key(stripes, recipe=RECIPE | {"t": 4.0})


def test_a_change_in_a_base_class_changes_the_key(stripes, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_derived.py").write_text("from my_base import Base\n\nclass Derived(Base):\n    pass\n")
    keys = []
    for power in (1, 2):
        source = f"from torch import nn\n\nclass Base(nn.Linear):\n    power = {power}\n"
        (tmp_path / "my_base.py").write_text(source)
        file_hash.cache_clear()
        recipe = RECIPE | {"net": {"_target_": "my_derived.Derived"}}
        keys.append(key(stripes, recipe=recipe))
    assert keys[0] != keys[1]
