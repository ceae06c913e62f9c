"""CIFAR-10, read from the files of its Python version."""

from pathlib import Path
from typing import ClassVar

import torch
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_md5, extract_archive

from kdlab.data.download import download
from kdlab.data.official import OfficialData
from kdlab.data.samples import Samples
from kdlab.errors import DataError

CHECKSUMS = {
    Path(CIFAR10.base_folder, name): md5
    for name, md5 in [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
}


class CIFAR10Data(OfficialData):
    """A. Krizhevsky's 50,000 training and 10,000 test images of ten classes, (3, 32, 32).

    Networks see images normalized in each channel by the mean and standard deviation of the training images.
    """

    name = "cifar10"
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    input_shape = (3, 32, 32)
    channel_mean = (0.4914, 0.4822, 0.4465)
    channel_std = (0.2470, 0.2435, 0.2616)
    title = "CIFAR-10"
    files: ClassVar[tuple[Path, ...]] = tuple(CHECKSUMS)
    remedy = "data=image_folder data.root=FOLDER, a copy as images in FOLDER/train/<class>/ and FOLDER/test/<class>/"

    def fetch(self, folder: Path) -> None:
        """Download and unpack the archive."""
        archive = folder / CIFAR10.filename
        download([CIFAR10.url], archive, md5=CIFAR10.tgz_md5)
        extract_archive(archive, remove_finished=True)

    def read_from(self, folder: Path) -> tuple[Samples, Samples]:
        """Check the MD5 of each file before it is unpickled; return the training and the test images."""
        for file, md5 in CHECKSUMS.items():
            if not check_md5(str(folder / file), md5):
                raise DataError(
                    f"{folder / file} is corrupt, or not CIFAR-10's: its MD5 is not {md5}; "
                    "delete it and download it again"
                )
        return _read_split(folder, train=True), _read_split(folder, train=False)


def _read_split(folder: Path, *, train: bool) -> Samples:
    split = CIFAR10(folder, train=train)
    images = torch.from_numpy(split.data).permute(0, 3, 1, 2).contiguous()
    return Samples(images, torch.tensor(split.targets))
