"""CIFAR-10 and CIFAR-100 in their publisher's files: found, checked, read."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdlab.config.networks import network_of
from kdlab.data import CIFAR10Data, CIFAR100Data
from kdlab.errors import DataError, DataNotFound

Published = tuple[type[CIFAR10Data] | type[CIFAR100Data], Path]


@pytest.fixture(params=[CIFAR10Data, CIFAR100Data], ids=lambda kind: kind.name)
def stored(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Small batches and the class names, in the format of the files; their MD5 are taken for the official ones."""
    kind = request.param
    published, classes = kind.published, len(kind.class_names)
    key = "labels" if kind is CIFAR10Data else "fine_labels"
    base = tmp_path / published.base_folder
    base.mkdir()
    generator = np.random.default_rng(0)
    lists: dict[str, Any] = {"train_list": published.train_list, "test_list": published.test_list}
    for name, _ in [*published.train_list, *published.test_list]:
        labels = [i % classes for i in range(20)]
        batch = {"data": generator.integers(0, 256, (20, 3072), dtype=np.uint8), key: labels}
        (base / name).write_bytes(pickle.dumps(batch))
    meta = published.meta
    (base / meta["filename"]).write_bytes(pickle.dumps({meta["key"]: list(kind.class_names)}))
    checksums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in base.iterdir()}
    for part, entries in lists.items():
        monkeypatch.setattr(published, part, [[name, checksums[name]] for name, _ in entries])
    monkeypatch.setattr(published, "meta", meta | {"md5": checksums[meta["filename"]]})
    return kind, tmp_path


@pytest.mark.parametrize("where", ["root", "environment"])
def test_pixels_and_labels_are_those_of_the_files(stored, no_network, monkeypatch, where):
    kind, folder = stored
    if where == "environment":
        monkeypatch.setenv("KDLAB_DATA_DIR", str(folder))
    train, test = kind(root=str(folder) if where == "root" else None).read()
    names = [name for name, _ in kind.published.train_list]
    assert train.inputs.shape == (20 * len(names), 3, 32, 32)
    assert train.inputs.dtype == torch.uint8
    batch = pickle.loads((folder / kind.published.base_folder / names[-1]).read_bytes())
    assert torch.equal(train.inputs[-20:].flatten(1), torch.from_numpy(batch["data"]))
    assert train.labels[-20:].tolist() == test.labels.tolist() == [i % len(kind.class_names) for i in range(20)]


@pytest.mark.parametrize("which", ["train_list", "test_list", "meta"])
def test_a_file_that_is_not_the_official_one_is_named_before_it_is_unpickled(stored, no_network, which):
    kind, folder = stored
    name = kind.published.meta["filename"] if which == "meta" else getattr(kind.published, which)[-1][0]
    path = folder / kind.published.base_folder / name
    path.write_bytes(b"cos\nsystem\n(S'touch unpickled'\ntR.")
    with pytest.raises(DataError, match=f"{name} is corrupt, or not {kind.title}'s"):
        kind(root=str(folder)).read()
    assert not Path("unpickled").exists()


def test_without_data_and_network_the_error_names_the_remedies(no_network):
    with pytest.raises(DataNotFound) as caught:
        CIFAR10Data(root="my_data").setup()
    message = str(caught.value)
    assert "KDLAB_DATA_DIR, set to the folder that holds cifar-10-batches-py/" in message
    assert str(Path("my_data", "cifar-10-batches-py", "data_batch_5")) in message
    assert "data=image_folder data.root=FOLDER" in message
    assert "20 seconds" in message


def test_there_are_a_hundred_classes_in_the_order_of_the_alphabet():
    names = CIFAR100Data.class_names
    assert len(set(names)) == 100
    assert list(names) == sorted(names)


@pytest.mark.parametrize("kind", [CIFAR10Data, CIFAR100Data])
def test_a_network_normalizes_each_channel(kind):
    data = kind()
    seen = network_of({"_target_": "torch.nn.Flatten"}, data.normalization)(
        data.scale(torch.full((1, 3, 1, 1), 128, dtype=torch.uint8))
    )
    expected = [(128 / 255 - mean) / std for mean, std in zip(data.channel_mean, data.channel_std, strict=True)]
    assert torch.allclose(seen[0], torch.tensor(expected), atol=1e-6)
