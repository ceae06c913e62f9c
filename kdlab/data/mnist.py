"""MNIST: found on disk, or downloaded within bounds."""

import os
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.datasets.utils import check_md5

from kdlab.data.download import DownloadFailed, bounded_download
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Samples
from kdlab.errors import DataError, DataNotFound

RAW = Path("MNIST", "raw")
FILES = {split: (RAW / f"{split}-images-idx3-ubyte", RAW / f"{split}-labels-idx1-ubyte") for split in ("train", "t10k")}
DOWNLOAD = "from torchvision.datasets import MNIST; MNIST(folder, download=True)"
# Of the originals, unpacked; a file that claims their number of items must be one of them.
OFFICIAL = {
    "train": (60_000, "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
    "t10k": (10_000, "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
}


class MNISTData(ClassificationData):
    """Y. LeCun, C. Cortes and C. Burges' 60,000 training and 10,000 test digits, 28×28.

    Searched in `root`, then in the folder that `KDLAB_DATA_DIR` names, then in `./data`; else downloaded by torchvision
    into the first of these that is set.

    Args:
        root: the folder that holds `MNIST/raw/`.
        **kwargs: see `ClassificationData`.
    """

    name = "mnist"
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    input_shape: ClassVar[tuple[int, ...]] = (1, 28, 28)

    def __init__(self, *, root: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if root is not None and not isinstance(root, str | os.PathLike):
            raise ValueError(f"root={root}: must be a folder's path")
        self.folders = [Path(p).expanduser() for p in (root, os.environ.get("KDLAB_DATA_DIR"), "data") if p]

    def read(self) -> tuple[Samples, Samples]:
        """Return 60,000 training and 10,000 test images (N, 1, 28, 28) uint8."""
        for folder in self.folders:
            if all((folder / file).is_file() for files in FILES.values() for file in files):
                return _read_split(folder, "train"), _read_split(folder, "t10k")
        target = self.folders[0]
        try:
            bounded_download(DOWNLOAD, into=target)
        except DownloadFailed as error:
            raise DataNotFound(self._remedies(error)) from error
        return _read_split(target, "train"), _read_split(target, "t10k")

    def _remedies(self, error: DownloadFailed) -> str:
        files = "\n".join(f"       {self.folders[0] / file}" for files in FILES.values() for file in files)
        return (
            f"MNIST was not found in {', '.join(str(f) for f in self.folders)}, and its download failed: {error}.\n"
            "Any one of these helps:\n"
            "  1. data.root=FOLDER, or the variable KDLAB_DATA_DIR, set to the folder that holds MNIST/raw/\n"
            f"  2. these four files, unpacked, put here:\n{files}\n"
            "  3. data=digits, the small handwritten digits that come with scikit-learn"
        )


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
            raise DataError(f"{file} is corrupt, or not MNIST's: its MD5 is not {md5}; delete it and get it anew")
    return Samples(images.unsqueeze(1), labels)


def _read(reader: Any, file: Path) -> Tensor:
    try:
        return reader(str(file))
    except Exception as error:  # the parser's assertions, shape, type and lookup errors alike mean a bad file
        raise DataError(f"{file} is truncated or corrupt; delete it and get it anew ({error!r})") from error
