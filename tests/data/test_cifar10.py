"""CIFAR-10 in its publisher's files: found, checked, read."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from kdlab.data import CIFAR10Data, cifar10
from kdlab.errors import DataError, DataNotFound


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six small batches and the class names, in CIFAR-10's format; their MD5 are taken for the official ones."""
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()
    generator = np.random.default_rng(0)
    checksums = {}
    for name, _ in [*CIFAR10.train_list, *CIFAR10.test_list]:
        batch = {"data": generator.integers(0, 256, (20, 3072), dtype=np.uint8), "labels": [i % 10 for i in range(20)]}
        (base / name).write_bytes(pickle.dumps(batch))
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CIFAR10Data.class_names)}))
    for path in base.iterdir():
        checksums[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar10, "CHECKSUMS", {Path(base.name, name): md5 for name, md5 in checksums.items()})
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(CIFAR10, part, [[name, checksums[name]] for name, _ in getattr(CIFAR10, part)])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": checksums["batches.meta"]})
    return tmp_path


@pytest.mark.parametrize("where", ["root", "environment"])
def test_pixels_and_labels_are_those_of_the_files(folder, no_network, monkeypatch, where):
    if where == "environment":
        monkeypatch.setenv("KDLAB_DATA_DIR", str(folder))
    train, test = CIFAR10Data(root=str(folder) if where == "root" else None).read()
    assert train.inputs.shape == (100, 3, 32, 32)
    assert train.inputs.dtype == torch.uint8
    batch = pickle.loads((folder / "cifar-10-batches-py" / "data_batch_2").read_bytes())
    assert torch.equal(train.inputs[20:40].flatten(1), torch.from_numpy(batch["data"]))
    assert train.labels[20:40].tolist() == batch["labels"]
    assert test.labels.tolist() == [i % 10 for i in range(20)]


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_file_that_is_not_the_official_one_is_named_before_it_is_unpickled(folder, no_network, name):
    path = folder / "cifar-10-batches-py" / name
    path.write_bytes(b"cos\nsystem\n(S'touch unpickled'\ntR.")
    with pytest.raises(DataError, match=f"{name} is corrupt, or not CIFAR-10's"):
        CIFAR10Data(root=str(folder)).read()
    assert not Path("unpickled").exists()


def test_without_data_and_network_the_error_names_the_remedies(no_network):
    with pytest.raises(DataNotFound) as caught:
        CIFAR10Data(root="my_data").setup()
    message = str(caught.value)
    assert "KDLAB_DATA_DIR, set to the folder that holds cifar-10-batches-py/" in message
    assert str(Path("my_data", "cifar-10-batches-py", "data_batch_5")) in message
    assert "data=image_folder data.root=FOLDER" in message
    assert "20 seconds" in message


def test_networks_see_normalized_channels():
    data = CIFAR10Data()
    grey = torch.full((1, 3, 2, 2), 128, dtype=torch.uint8)
    seen = data.scale(grey)[0, :, 0, 0]
    expected = [(128 / 255 - mean) / std for mean, std in zip(data.channel_mean, data.channel_std, strict=True)]
    assert torch.allclose(seen, torch.tensor(expected), atol=1e-6)
