"""A user's own images, in folders named after their classes."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from kdlab.data.decode import ImageFormat, decoded
from kdlab.data.held_out import split_ids
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Samples
from kdlab.errors import DataError
from kdlab.limits import integer, is_part


class ImageFolderData(ClassificationData):
    """Images of any size in `root/train/<class>/` and `root/test/<class>/`, or in `root/<class>/`.

    The classes are the folders' names in sorted order (names that are numbers, in the order of the numbers). Images are
    decoded once and kept in `cache` for later runs. Networks see them normalized in each channel by the mean and
    standard deviation of about a thousand training images (all, if there are fewer).

    Args:
        root: the folder.
        name: the data set's name in results; null for the folder's name.
        image_size: height and width in pixels; the shorter side is resized to it and the centre cut out.
        channels: 3 for colour, 1 for grey.
        test_size: without train/ and test/, the share or number of test images; their choice is stratified and the same
            for every seed.
        skip_unreadable: leave out unreadable images instead of raising an error that names them.
        cache: the folder for the decoded images; null for `root/.kdlab`.
        **kwargs: see `ClassificationData`.

    Raises:
        ValueError: one line for each argument out of its range, and one if `root` has another layout.
    """

    def __init__(
        self,
        *,
        root: str,
        name: str | None = None,
        image_size: int = 32,
        channels: int = 3,
        test_size: float = 0.2,
        skip_unreadable: bool = False,
        cache: str | None = None,
        **kwargs: Any,
    ) -> None:
        problems = integer("image_size", image_size)
        if channels not in (1, 3):
            problems.append(f"channels={channels}: must be 3 (colour) or 1 (grey)")
        if not is_part(test_size) or test_size == 0:
            problems.append(f"test_size={test_size}: must be a fraction in (0, 1) or a number of images")
        self.root = Path(root).expanduser()
        try:
            self.class_names = _classes(self.root)
        except ValueError as error:
            problems.append(f"root={root}: {error}")
        if problems:
            raise ValueError("\n".join(problems))
        self.name = self.root.resolve().name if name is None else str(name)
        self.input_shape = (channels, image_size, image_size)
        self.image_format = ImageFormat(image_size, channels)
        self.test_size = test_size
        self.skip_unreadable = skip_unreadable
        self.cache = self.root / ".kdlab" if cache is None else Path(cache).expanduser()
        super().__init__(**kwargs)

    def read(self) -> tuple[Samples, Samples]:
        """Return the training and the test images (N, channels, image_size, image_size) uint8."""
        if (self.root / "train").is_dir():
            train, test = self._read_tree("train"), self._read_tree("test")
        else:
            train, test = self._cut(self._read_tree(""))
        self.channel_mean, self.channel_std = _mean_and_std(train.inputs)
        return train, test

    def _read_tree(self, part: str) -> Samples:
        tree = self.root / part
        files = [file for c in self.class_names for file in _image_files(tree, c)]
        images, readable = decoded(
            f"decoding {self.name} {part}".rstrip(),
            tree,
            files,
            self.image_format,
            skip_unreadable=self.skip_unreadable,
            cache=self.cache,
        )
        index = {name: i for i, name in enumerate(self.class_names)}
        labels = torch.tensor([index[file.split("/")[0]] for file in readable], dtype=torch.long)
        counts = labels.bincount(minlength=len(index))
        if not len(labels):
            raise DataError(f"{tree} has no readable image")
        if part != "test" and (empty := (counts == 0).nonzero().flatten().tolist()):
            raise DataError(f"{tree / self.class_names[empty[0]]} has no readable image to learn the class from")
        return Samples(torch.from_numpy(images), labels)

    def _cut(self, samples: Samples) -> tuple[Samples, Samples]:
        try:
            train, test = split_ids(samples.labels, self.test_size, seed=0)
        except ValueError as error:
            raise DataError(str(error).replace("val_size", "data.test_size")) from error
        return Samples(*(part[train] for part in samples)), Samples(*(part[test] for part in samples))


def _classes(root: Path) -> tuple[str, ...]:
    """Return the names of the class folders, sorted.

    Raises:
        ValueError: when `root` has another layout than `ImageFolderData` describes.
    """
    if not root.is_dir():
        raise ValueError("no such folder")
    tree = root / "train" if (root / "train").is_dir() else root
    names = _folders(tree)
    if len(names) < 2:
        raise ValueError(
            f"there are {len(names)} class folders in {tree}; at least two are needed, as train/<class>/ and "
            "test/<class>/, or as <class>/ alone"
        )
    if tree != root:
        if not (root / "test").is_dir():
            raise ValueError(f"it has train/ but no test/; for a random test part give data.root={tree}")
        if unknown := sorted(set(_folders(root / "test")) - set(names)):
            raise ValueError(f"test/ has classes that train/ lacks: {', '.join(unknown)}")
    return names


def _folders(tree: Path) -> tuple[str, ...]:
    names = [entry.name for entry in tree.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    # In the order of the numbers, so that the classes 0, 1, 2, … have their names as indices.
    return tuple(sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names))


def _image_files(tree: Path, class_name: str) -> list[str]:
    """List the images at any depth of a class's folder, as sorted paths relative to `tree`."""
    found = []
    for folder, inner, names in os.walk(tree / class_name, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith(".")]
        inside = Path(folder).relative_to(tree).as_posix()
        found += [f"{inside}/{name}" for name in names if name.lower().endswith(IMG_EXTENSIONS) and name[0] != "."]
    return sorted(found)


def _mean_and_std(images: Tensor) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel in [0, 1], over about a thousand images if there are more."""
    evenly = images[:: max(1, len(images) // 1000)].float() / 255
    std, mean = torch.std_mean(evenly, dim=(0, 2, 3), correction=0)
    return mean.tolist(), std.clamp(min=1 / 255).tolist()
