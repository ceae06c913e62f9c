"""Image files → one memory-mapped uint8 array on disk, decoded once, in parallel.

A decoded set is a folder with `images.npy` (N, C, size, size) and `manifest.json`, which says what it was made from.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL import __version__ as pillow_version
from rich.console import Console
from rich.progress import Progress
from torch.utils.data import DataLoader, Dataset

from kdlab.data.samples import as_fetched
from kdlab.errors import DataError

FILES_PER_TASK = 128
SHOWN = 20
ATTEMPTS = 3
MANIFEST, IMAGES = "manifest.json", "images.npy"
# Counts up when `ImageFormat.read` makes other pixels of the same file.
DECODER = 1


class Decoded(NamedTuple):
    """The images (N, C, size, size) as a copy-on-write memory map, and the N files that they are."""

    images: np.ndarray
    files: list[str]


class ImageFormat(NamedTuple):
    """What each image is turned into: its shorter side resized to `size`, the middle cut out, in 1 or 3 channels."""

    size: int
    channels: int

    def read(self, path: Path) -> np.ndarray:
        """Return one image (C, size, size) uint8, turned upright where its camera noted that it lies.

        Raises:
            Exception: whatever Pillow raises for a file that is no image, or not a whole one.
        """
        with Image.open(path) as image:
            if image.mode[0] in "IF":
                raise ValueError(f"its pixels are no bytes (mode {image.mode}); convert it to 8 bits")
            upright = ImageOps.exif_transpose(image).convert("L" if self.channels == 1 else "RGB")
            fitted = ImageOps.fit(upright, (self.size, self.size), Image.Resampling.BILINEAR)
        pixels = np.asarray(fitted)
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)


def decoded(
    title: str, root: Path, files: Sequence[str], image_format: ImageFormat, *, skip_unreadable: bool, cache: Path
) -> Decoded:
    """Return the images of `files`: from `cache` where they were decoded before, else decoded now and kept there.

    Args:
        title: of the progress bar.
        root: the folder that holds them.
        files: relative to `root`, in the order that the images shall have.
        image_format: of the images.
        skip_unreadable: leave out what cannot be read, instead of an error.
        cache: the folder to keep the result in, in a folder of its own, named by what it was made from.

    Raises:
        DataError: when images cannot be read, naming them, or `cache` cannot be written.
    """
    source = {
        "root": os.path.relpath(root, cache),  # seen from the cache, so that both can be moved together
        "format": image_format._asdict(),
        "decoder": [DECODER, pillow_version],
        "files": [_fingerprint(root, file) for file in files],
    }
    target = cache / hashlib.sha256(json.dumps(source).encode()).hexdigest()[:16]
    for _ in range(ATTEMPTS):  # another process may be replacing a damaged copy
        if found := _read(target, source):
            images, unreadable = found
            if any(_can_be_read(root / file, image_format) for file in unreadable):
                shutil.rmtree(target, ignore_errors=True)  # what kept them from being read has been mended
                continue
            if unreadable and not skip_unreadable:
                raise DataError(_complaint(root, unreadable))
            readable = [file for file in files if file not in unreadable]
            return Decoded(images[: len(readable)], readable)
        _decode_into(target, title, root, files, image_format, source)
    raise DataError(f"{target} does not hold what was just written there; give data.cache=FOLDER")


def _can_be_read(path: Path, image_format: ImageFormat) -> bool:
    try:
        image_format.read(path)
    except Exception:  # as in _Files
        return False
    return True


def _fingerprint(root: Path, file: str) -> list[Any]:
    status = os.stat(os.path.join(root, file))
    return [file, status.st_size, status.st_mtime_ns]


def _read(target: Path, source: dict[str, Any]) -> tuple[np.ndarray, dict[str, str]] | None:
    """Return the images in `target` and what could not be read; None where it is not there, or damaged."""
    try:
        manifest = json.loads((target / MANIFEST).read_text())
        images = np.load(target / IMAGES, mmap_mode="c")
        intact = manifest["source"] == source and manifest["checksum"] == zlib.crc32(images.data)
        return (images, manifest["unreadable"]) if intact else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _complaint(root: Path, unreadable: dict[str, str]) -> str:
    shown = [f"  {root / name}: {reason}" for name, reason in list(unreadable.items())[:SHOWN]]
    more = [f"  … and {len(unreadable) - SHOWN} more"] if len(unreadable) > SHOWN else []
    return "\n".join(
        [f"{len(unreadable)} image{'s' * (len(unreadable) > 1)} below {root} cannot be read:", *shown, *more,
         "Mend or remove them, or leave them out with data.skip_unreadable=true."]
    )  # fmt: skip


def _decode_into(
    target: Path, title: str, root: Path, files: Sequence[str], image_format: ImageFormat, source: dict[str, Any]
) -> None:
    """Decode beside `target` and move the whole into its place: a decoded set is there complete, or not at all."""
    cache = target.parent
    try:
        cache.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".decoding-", dir=cache))
    except OSError as error:
        raise DataError(f"the decoded images cannot be kept in {cache}: {error}; give data.cache=FOLDER") from error
    try:
        unreadable = _decode_all(scratch / IMAGES, title, root, files, image_format)
        checksum = zlib.crc32(np.load(scratch / IMAGES, mmap_mode="r").data)
        manifest = {"source": source, "unreadable": unreadable, "checksum": checksum}
        (scratch / MANIFEST).write_text(json.dumps(manifest))
        if _read(target, source) is None:  # unless another process was first
            shutil.rmtree(target, ignore_errors=True)
            _rename_unless_there(scratch, target)
        _remove_outdated(target, source)
    except OSError as error:
        raise DataError(f"the decoded images cannot be kept in {cache}: {error}; give data.cache=FOLDER") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _rename_unless_there(scratch: Path, target: Path) -> None:
    try:
        scratch.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # of another process, just as whole
            raise


def _remove_outdated(target: Path, source: dict[str, Any]) -> None:
    """Remove what was decoded of the same folder in the same format when it held other files."""
    for manifest in target.parent.glob(f"*/{MANIFEST}"):
        try:
            other = json.loads(manifest.read_text())["source"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if manifest.parent != target and all(other.get(key) == source[key] for key in ("root", "format")):
            shutil.rmtree(manifest.parent, ignore_errors=True)


def _decode_all(
    target: Path, title: str, root: Path, files: Sequence[str], image_format: ImageFormat
) -> dict[str, str]:
    """Write the images that can be read, in order, and zeros behind; return (name: reason) of those that cannot."""
    shape = (image_format.channels, image_format.size, image_format.size)
    unreadable: dict[str, str] = {}
    count = 0
    array = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=(len(files), *shape))
    loader = DataLoader(
        _Files(root, files, image_format),
        batch_size=FILES_PER_TASK,
        collate_fn=as_fetched,
        num_workers=_workers(len(files)),
    )
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=len(files))
        for images, problems in loader:
            array[count : count + len(images)] = images
            count += len(images)
            unreadable.update(problems)
            progress.advance(task, len(images) + len(problems))
    array.flush()
    return unreadable


def _workers(count: int) -> int:
    """One process per core, unless starting them takes longer than reading the files."""
    if count < 4 * FILES_PER_TASK:
        return 0
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Files(Dataset[Any]):
    def __init__(self, root: Path, files: Sequence[str], image_format: ImageFormat) -> None:
        self.root = root
        self.files = files
        self.image_format = image_format

    def __len__(self) -> int:
        return len(self.files)

    def __getitems__(self, positions: list[int]) -> tuple[np.ndarray, dict[str, str]]:
        images, unreadable = [], {}
        for file in (self.files[i] for i in positions):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
                    images.append(self.image_format.read(self.root / file))
            except Exception as error:  # Pillow's plugins raise anything on a damaged file
                unreadable[file] = str(error) or type(error).__name__
        size, channels = self.image_format.size, self.image_format.channels
        return np.array(images, dtype=np.uint8).reshape(-1, channels, size, size), unreadable
