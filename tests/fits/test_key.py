"""Content keys: the same for the same fit, another for anything that its weights depend on."""

import importlib.metadata
from typing import Any

import pytest
import torch
from torch import nn

from kdlab.data import BlobsData
from kdlab.data.augment import Jitter
from kdlab.fits import sources
from kdlab.fits.key import fit_contents
from kdlab.hardware import Hardware
from kdlab.hashing import file_hash, short_hash
from kdlab.models import MLP

CPU = Hardware(torch.device("cpu"), "32-true")


class Unknown(nn.Linear):
    """A layer of the user's, which may do anything."""

    def __init__(self) -> None:
        super().__init__(2, 2)


RECIPE: dict[str, Any] = {
    "net": {"_target_": "torch.nn.Linear", "in_features": 2},
    "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
    "max_epochs": 3,
    "seed": 0,
}


@pytest.fixture
def blobs() -> BlobsData:
    data = BlobsData(train_samples=900, test_samples=10, batch_size=32, val_size=0.1, held_out_classes=[1])
    data.setup()
    return data


def key(data, **changes: Any) -> str:
    fit = {"recipe": RECIPE, "data": data, "hardware": CPU, "net": nn.Linear(2, 2), "teacher_keys": ["t"]}
    return short_hash(fit_contents(**(fit | changes)))


def forget() -> None:
    """Forget all source files, as another process would not know them."""
    for cached in (file_hash, sources._files, sources._imported_by):
        cached.cache_clear()


def test_key_is_a_function_of_the_content_not_of_the_order_of_keys(blobs):
    assert key(blobs) == key(blobs, recipe=dict(reversed(RECIPE.items())))
    assert len(key(blobs)) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": RECIPE | {"seed": 1}},
        {"recipe": RECIPE | {"max_epochs": 4}},
        {"recipe": RECIPE | {"optimizer": RECIPE["optimizer"] | {"lr": 0.2}}},
        {"hardware": CPU._replace(precision="bf16-mixed")},
        {"hardware": CPU._replace(deterministic=False)},
        {"teacher_keys": ["u"]},
        {"teacher_keys": []},
        {"teacher_keys": ["t", "t"]},
        {"net": nn.Linear(2, 3)},
    ],
)
def test_whatever_changes_the_fit_changes_the_key(blobs, change):
    assert key(blobs, **change) != key(blobs)


@pytest.mark.parametrize(
    "change", [{"batch_size": 7}, {"held_out": [0]}, {"val_size": 0.2}, {"passes_per_epoch": 2}, {"_checksum": "0"}]
)
def test_whatever_changes_the_batches_changes_the_key(blobs, change):
    before = key(blobs)
    vars(blobs).update(change)
    assert key(blobs) != before


class Doubled(BlobsData):
    """The same samples, scaled otherwise."""

    def scale(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * super().scale(inputs)


class Halved(BlobsData):
    """The same samples, scaled otherwise again."""

    def scale(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().scale(inputs) / 2


class Multiplied(BlobsData):
    """The same samples, scaled by an argument that `identity` does not name."""

    def __init__(self, factor: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.factor = factor

    def scale(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.factor * super().scale(inputs)


def test_an_argument_that_changes_how_samples_are_scaled_is_in_the_key():
    found = [Multiplied(factor, train_samples=90, test_samples=10) for factor in (1, 1, 100)]
    for data in found:
        data.setup()
    assert key(found[0]) == key(found[1])
    assert key(found[0]) != key(found[2])


def test_two_data_sets_of_one_module_have_two_keys():
    found = [kind(train_samples=90, test_samples=10) for kind in (Doubled, Halved)]
    for data in found:
        data.setup()
    assert key(found[0]) != key(found[1])


def test_a_change_in_the_users_own_code_changes_the_key(blobs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    recipe = RECIPE | {"net": {"_target_": "my_nets_for_this_test.net"}}
    keys = []
    for body in ("nn.ReLU()", "nn.Softplus()"):
        source = f"from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Linear(2, 2), {body})\n"
        (tmp_path / "my_nets_for_this_test.py").write_text(source)
        forget()
        keys.append(key(blobs, recipe=recipe, net=nn.Sequential(nn.Linear(2, 2))))
    assert keys[0] != keys[1]


def test_what_a_process_has_imported_counts_not_what_its_file_has_become_since(blobs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "my_changing_nets.py"
    file.write_text("from torch import nn\n\ndef net():\n    return nn.Linear(2, 2)\n")
    recipe = RECIPE | {"net": {"_target_": "my_changing_nets.net"}}
    before = key(blobs, recipe=recipe)
    file.write_text(file.read_text() + "edited = True\n")
    assert key(blobs, recipe=recipe) == before


def test_whole_numbers_are_one_number_however_written(blobs):
    assert key(blobs, recipe=RECIPE | {"t": 4}) == key(blobs, recipe=RECIPE | {"t": 4.0})


def test_a_change_in_a_base_class_changes_the_key(blobs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_derived.py").write_text("from my_base import Base\n\nclass Derived(Base):\n    pass\n")
    keys = []
    for power in (1, 2):
        source = f"from torch import nn\n\nclass Base(nn.Linear):\n    power = {power}\n"
        (tmp_path / "my_base.py").write_text(source)
        forget()
        recipe = RECIPE | {"net": {"_target_": "my_derived.Derived"}}
        keys.append(key(blobs, recipe=recipe))
    assert keys[0] != keys[1]


def changed_by(blobs, recipe, edit) -> bool:
    """Return whether the key is another in a process that starts after the edit."""
    forget()
    before = key(blobs, recipe=recipe)
    edit()
    forget()
    return key(blobs, recipe=recipe) != before


def test_a_change_anywhere_in_the_users_package_or_in_what_it_imports_changes_the_key(blobs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "my_lab"
    (package / "deep").mkdir(parents=True)
    for name in ("my_lab/__init__", "my_lab/deep/__init__", "my_lab/deep/layers", "my_lab/unused", "my_stranger"):
        (tmp_path / f"{name}.py").write_text("width = 2\n")
    (package / "net.py").write_text("import my_helper\nfrom torch import nn\nclass Own(nn.Linear):\n    pass\n")
    (tmp_path / "my_helper.py").write_text("def late():\n    import my_helpers_helper\n")
    (tmp_path / "my_helpers_helper.py").write_text("width = 2\n")
    recipe = RECIPE | {"net": {"_target_": "my_lab.net.Own"}}
    for name in ("my_lab/deep/layers", "my_lab/unused", "my_helper", "my_helpers_helper"):
        edited = tmp_path / f"{name}.py"
        assert changed_by(blobs, recipe, lambda edited=edited: edited.write_text(edited.read_text() + "more = 1\n"))
    assert not changed_by(blobs, recipe, lambda: (tmp_path / "my_stranger.py").write_text("width = 3\n"))


def test_comments_docstrings_and_layout_are_not_in_the_key(blobs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "my_commented.py"
    file.write_text("from torch import nn\n\ndef net():\n    return nn.Linear(2, 2)\n")
    recipe = RECIPE | {"net": {"_target_": "my_commented.net"}}
    documented = (
        '"""My nets."""\nfrom torch import nn\ndef net():\n    """A net."""\n    # small\n    return nn.Linear(2,2)'
    )
    assert not changed_by(blobs, recipe, lambda: file.write_text(documented))
    assert changed_by(blobs, recipe, lambda: file.write_text(documented.replace("2,2", "2,3")))


def test_the_version_of_a_library_that_a_target_comes_from_is_in_the_key(blobs):
    recipe = RECIPE | {"augment": {"_target_": "scipy.special.expit"}}
    found = fit_contents(recipe=recipe, data=blobs, hardware=CPU, net=nn.Linear(2, 2), teacher_keys=[])
    assert found["libraries"]["scipy"] == importlib.metadata.version("scipy")


@pytest.mark.parametrize(
    ("net", "augment", "samples", "differs"),
    [
        (nn.Linear(2, 2), nn.Identity(), 270, False),
        (MLP(inputs=16, widths=[3], outputs=4), nn.Identity(), 270, False),
        (nn.Linear(2, 2), nn.Identity(), 269, True),
        (nn.Linear(2, 2), Jitter(), 270, True),
        (MLP(inputs=16, widths=[3], outputs=4, hidden_dropout=0.1), nn.Identity(), 270, True),
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Identity(), 270, True),
        (Unknown(), nn.Identity(), 270, True),
    ],
)
def test_the_number_of_devices_is_in_the_key_where_it_changes_more_than_rounding(blobs, net, augment, samples, differs):
    blobs._train_ids = blobs.train_ids[:samples]
    view = blobs.for_fit(held_out=[], augment=augment, order_seed=0)
    one, two = (key(view, net=net, hardware=CPU._replace(devices=devices)) for devices in (1, 2))
    assert (one != two) == differs
