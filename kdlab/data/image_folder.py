"""A user's own images, in folders named after their classes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from kdlab.data.decode import ImageFormat, decoded
from kdlab.data.held_out import split_ids
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Samples, contents_hash
from kdlab.errors import DataError
from kdlab.hashing import short_hash
from kdlab.limits import integer, is_part, memory, shown, text

SHOWN = 5
# Where a folder really is, so that links to it are recognized → how it was reached.
Seen = dict[tuple[int, int], Path]


class ImageFolderData(ClassificationData):
    """Images of any size in `root/train/<class>/` and `root/test/<class>/`, or in `root/<class>/`.

    The classes are the folders' names in sorted order (names that are numbers, in the order of the numbers). Images are
    decoded once and kept in `cache` for later runs. Links are followed; a folder that would be read twice is an error.
    Networks see images normalized in each channel by the mean and standard deviation of about a thousand training
    images (all, if there are fewer).

    Args:
        root: the folder.
        name: the data set's name in results; null for the folder's name.
        image_size: height and width in pixels; the shorter side is resized to it and the centre cut out.
        channels: 3 for colour, 1 for grey.
        test_size: without train/ and test/, the share or number of test images; their choice is stratified and the same
            for every seed.
        skip_unreadable: leave out unreadable images instead of raising an error that names them.
        cache: the folder for the decoded images; null for one beside `root`, `.NAME.kdlab`.
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
        problems += problems or memory("image_size", image_size, 12 * image_size**2, "one image")
        problems += [] if name is None else text("name", name)
        problems += [] if cache is None else text("cache", str(cache))
        if channels not in (1, 3):
            problems.append(f"channels={channels}: must be 3 (colour) or 1 (grey)")
        if not is_part(test_size) or test_size == 0:
            problems.append(f"test_size={test_size}: must be a fraction in (0, 1) or a number of images")
        self.root = Path(root).expanduser()
        try:
            self.class_names = _classes(self.root)
        except (ValueError, OSError) as error:
            problems.append(f"root={shown(root)}: {getattr(error, 'strerror', None) or error}")
        if problems:
            raise ValueError("\n".join(problems))
        self.name = self.root.resolve().name if name is None else name
        self.input_shape = (channels, image_size, image_size)
        self.image_format = ImageFormat(image_size, channels)
        self.test_size = test_size
        self.skip_unreadable = skip_unreadable
        whole = self.root.resolve()  # inside of it, other programs would take the cache for a class
        self.cache = whole.with_name(f".{whole.name}.kdlab") if cache is None else Path(cache).expanduser()
        super().__init__(**kwargs)

    def read(self) -> tuple[Samples, Samples]:
        """Return the training and the test images (N, channels, image_size, image_size) uint8."""
        seen: Seen = {}
        if (self.root / "train").is_dir():
            parts = [self._decoded(part, [self._files(part, seen)])[0] for part in ("train", "test")]
        else:
            parts = self._decoded("", self._cut(self._files("", seen)))
        (train, of_train, train_files), (test, of_test, test_files) = parts
        self.sample_files = [*train_files, *test_files]
        self.channel_mean, self.channel_std = _mean_and_std(train.inputs)
        self.checksums = of_train, of_test
        return train, test

    def _files(self, part: str, seen: Seen) -> list[str]:
        tree = self.root / part
        classes = [name for name in self.class_names if (tree / name).is_dir()]
        for folder in (tree, *(tree / name for name in classes)):  # before the links that may lead to them
            seen.setdefault(_place(folder), folder)
        files = [file for name in classes for file in _image_files(tree, name, seen)]
        self._check_sizes(part, self._labels(files))
        return files

    def _labels(self, files: Sequence[str]) -> Tensor:
        index = {name: i for i, name in enumerate(self.class_names)}
        return torch.tensor([index[file.split("/")[0]] for file in files], dtype=torch.long)

    def _check_sizes(self, part: str, labels: Tensor) -> None:
        """Raise DataError where classes have fewer images than the parts of the data need."""
        tree = self.root / part
        counts = labels.bincount(minlength=len(self.class_names)).tolist()
        if not len(labels):
            raise DataError(f"{tree} has no readable image")
        if part == "test":
            return
        if empty := [name for name, count in zip(self.class_names, counts, strict=True) if not count]:
            raise DataError(f"{tree / empty[0]} has no readable image to learn the class from")
        uses = ["training", *(["validation"] if self.val_size else []), *([] if part else ["test"])]
        if tiny := [name for name, count in zip(self.class_names, counts, strict=True) if count < len(uses)]:
            size = {name: count for name, count in zip(self.class_names, counts, strict=True) if name in tiny[:SHOWN]}
            sizes = ", ".join(f"class {name} has {n} image{'s' * (n > 1)}" for name, n in size.items())
            more = f" and {len(tiny) - SHOWN} more are as small" if len(tiny) > SHOWN else ""
            fewer = f" ({len(uses) - 1} with data.val_size=0)" if self.val_size else ""
            raise DataError(f"{sizes}{more}; {len(uses)} are needed for {', '.join(uses)}{fewer}")

    def _cut(self, files: Sequence[str]) -> list[list[str]]:
        """Return the training and the test files."""
        try:
            parts = split_ids(self._labels(files), self.test_size, seed=0, names=self.class_names)
        except ValueError as error:
            raise DataError(str(error).replace("val_size", "data.test_size")) from error
        return [[files[i] for i in ids] for ids in parts]

    def _decoded(self, part: str, parts: Sequence[Sequence[str]]) -> list[tuple[Samples, str, list[str]]]:
        """Return the samples of each list of files, with a hash and with the names of those that can be read.

        They lie one after the other in one memory map.
        """
        found = decoded(
            f"decoding {self.name} {part}".rstrip(),
            self.root / part,
            [file for files in parts for file in files],
            self.image_format,
            skip_unreadable=self.skip_unreadable,
            cache=self.cache,
        )
        images, labels = torch.from_numpy(found.images), self._labels(found.files)
        self._check_sizes(part, labels)
        readable = set(found.files)
        samples, start = [], 0
        for files in parts:
            names = [f"{part}/{file}".lstrip("/") for file in files if file in readable]
            end = start + len(names)
            checksum = short_hash([found.checksum, start, end, contents_hash(labels[start:end])])
            samples.append((Samples(images[start:end], labels[start:end]), checksum, names))
            start = end
        return samples


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
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the name of its class folder {os.fsencode(name)!r} is not UTF-8; rename it") from error
    # In the order of the numbers, so that the classes 0, 1, 2, … have their names as indices.
    return tuple(sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names))


def _image_files(tree: Path, class_name: str, seen: Seen) -> list[str]:
    """List the images at any depth of a class's folder, as sorted paths relative to `tree`.

    Raises:
        DataError: when a folder is reached twice, or cannot be read.
    """
    found = []
    for folder, inner, names in os.walk(tree / class_name, onerror=_refuse, followlinks=True):
        if (first := seen.setdefault(_place(Path(folder)), Path(folder))) != Path(folder):
            raise DataError(f"{folder} is the same folder as {first}: images would be read twice; remove the link")
        inner[:] = [name for name in inner if not name.startswith(".")]
        inside = Path(folder).relative_to(tree).as_posix()
        found += [f"{inside}/{name}" for name in names if name.lower().endswith(IMG_EXTENSIONS) and name[0] != "."]
    return sorted(found)


def _place(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def _mean_and_std(images: Tensor) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel in [0, 1], over about a thousand images if there are more."""
    evenly = images[:: max(1, len(images) // 1000)].float() / 255
    std, mean = torch.std_mean(evenly, dim=(0, 2, 3), correction=0)
    return mean.tolist(), std.clamp(min=1 / 255).tolist()
