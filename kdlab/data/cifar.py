"""CIFAR-10 and CIFAR-100, read from the files of their Python versions."""

from pathlib import Path
from typing import ClassVar

import torch
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import check_md5, extract_archive

from kdlab.data.download import download
from kdlab.data.official import OfficialData
from kdlab.data.samples import Samples
from kdlab.errors import DataError

# The classes of CIFAR-100, in the order of their indices.
FINE = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
    "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
    "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
    "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
    "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
    "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)


def checksums(published: type[CIFAR10]) -> dict[Path, str]:
    """Return the MD5 of each file of a published data set."""
    lists = [*published.train_list, *published.test_list, (published.meta["filename"], published.meta["md5"])]
    return {Path(published.base_folder, name): md5 for name, md5 in lists}


class _CIFARData(OfficialData):
    """50,000 training and 10,000 test images, (3, 32, 32)."""

    input_shape = (3, 32, 32)
    published: ClassVar[type[CIFAR10]]
    remedy = "data=image_folder data.root=FOLDER, a copy as images in FOLDER/train/<class>/ and FOLDER/test/<class>/"

    def fetch(self, folder: Path) -> None:
        """Download and unpack the archive."""
        archive = folder / self.published.filename
        download([self.published.url], archive, md5=self.published.tgz_md5)
        extract_archive(archive, remove_finished=True)

    def read_from(self, folder: Path) -> tuple[Samples, Samples]:
        """Check the MD5 of each file before it is unpickled; return the training and the test images."""
        for file, md5 in checksums(self.published).items():
            if not check_md5(str(folder / file), md5):
                raise DataError(
                    f"{folder / file} is corrupt, or not {self.title}'s: its MD5 is not {md5}; "
                    "delete it and download it again"
                )
        return self._split(folder, train=True), self._split(folder, train=False)

    def _split(self, folder: Path, *, train: bool) -> Samples:
        split = self.published(folder, train=train)
        images = torch.from_numpy(split.data).permute(0, 3, 1, 2).contiguous()
        return Samples(images, torch.tensor(split.targets))


class CIFAR10Data(_CIFARData):
    """A. Krizhevsky's 50,000 training and 10,000 test images of ten classes, (3, 32, 32).

    Networks see images normalized in each channel by the mean and standard deviation of the training images.
    """

    name = "cifar10"
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    channel_mean = (0.4914, 0.4822, 0.4465)
    channel_std = (0.2470, 0.2435, 0.2616)
    title = "CIFAR-10"
    published = CIFAR10
    files: ClassVar[tuple[Path, ...]] = tuple(checksums(CIFAR10))


class CIFAR100Data(_CIFARData):
    """A. Krizhevsky's 50,000 training and 10,000 test images of a hundred classes, (3, 32, 32).

    Networks see images normalized in each channel by the mean and standard deviation of the training images.
    """

    name = "cifar100"
    class_names = tuple(FINE.split())
    channel_mean = (0.5071, 0.4867, 0.4408)
    channel_std = (0.2675, 0.2565, 0.2761)
    title = "CIFAR-100"
    published = CIFAR100
    files: ClassVar[tuple[Path, ...]] = tuple(checksums(CIFAR100))
