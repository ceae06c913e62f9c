"""MNIST, read from its four files."""

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor
from torchvision.datasets import MNIST
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.datasets.utils import check_md5, extract_archive

from kdlab.data.download import download
from kdlab.data.official import OfficialData
from kdlab.data.samples import Samples
from kdlab.errors import DataError

RAW = Path("MNIST", "raw")
FILES = {split: (RAW / f"{split}-images-idx3-ubyte", RAW / f"{split}-labels-idx1-ubyte") for split in ("train", "t10k")}
# Number of items and MD5 of the unpacked originals. A file with that number of items must be the original.
OFFICIAL = {
    "train": (60_000, "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
    "t10k": (10_000, "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
}


class MNISTData(OfficialData):
    """Y. LeCun, C. Cortes and C. Burges' 60,000 training and 10,000 test digits, (1, 28, 28)."""

    name = "mnist"
    class_names = tuple("0123456789")
    input_shape = (1, 28, 28)
    title = "MNIST"
    files: ClassVar[tuple[Path, ...]] = tuple(file for pair in FILES.values() for file in pair)
    remedy = "data=digits, the small handwritten digits that come with scikit-learn"

    def fetch(self, folder: Path) -> None:
        """Download and unpack the four files, each from the first of torchvision's mirrors that serves it."""
        for name, md5 in MNIST.resources:
            archive = folder / RAW / name
            download([mirror + name for mirror in MNIST.mirrors], archive, md5=md5)
            extract_archive(archive, remove_finished=True)

    def read_from(self, folder: Path) -> tuple[Samples, Samples]:
        """Return the training and the test images; check the MD5 of each official file."""
        return _read_split(folder, "train"), _read_split(folder, "t10k")


def _read_split(folder: Path, split: str) -> Samples:
    images_file, labels_file = (folder / file for file in FILES[split])
    images, labels = _read(read_image_file, images_file), _read(read_label_file, labels_file)
    if images.shape[1:] != (28, 28):
        raise DataError(f"{images_file} is corrupt: its images are {tuple(images.shape[1:])}, not (28, 28)")
    if len(images) != len(labels):
        raise DataError(f"{images_file} has {len(images)} images, but {labels_file} has {len(labels)} labels")
    if not len(labels) or labels.max() > 9:
        raise DataError(f"{labels_file} is corrupt: its labels are not digits")
    count, *checksums = OFFICIAL[split]
    for file, md5 in zip((images_file, labels_file), checksums, strict=True):
        if len(labels) == count and not check_md5(str(file), md5):
            raise DataError(f"{file} is corrupt, or not MNIST's: its MD5 is not {md5}; delete it and download it again")
    return Samples(images.unsqueeze(1), labels)


def _read(reader: Any, file: Path) -> Tensor:
    try:
        return reader(str(file))
    except Exception as error:  # the parser raises many kinds of errors for a bad file
        raise DataError(f"{file} is truncated or corrupt; delete it and download it again ({error!r})") from error
