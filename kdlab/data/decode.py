"""Image files → one memory-mapped uint8 array on disk, decoded once, in parallel.

A decoded set is a folder with `images.npy` (N, C, size, size) and `manifest.json`, which describes its source.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import warnings
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
# Increase this when `ImageFormat.read` changes the pixels that it makes of a file: sets decoded before become invalid.
DECODER = 1


class Decoded(NamedTuple):
    """The images (N, C, size, size) as a copy-on-write memory map, the N files that they come from, and their hash."""

    images: np.ndarray
    files: list[str]
    checksum: str


class ImageFormat(NamedTuple):
    """The form of decoded images: the shorter side resized to `size`, the centre cut out, 1 or 3 channels."""

    size: int
    channels: int

    def read(self, path: Path) -> np.ndarray:
        """Return one image (C, size, size) uint8, turned upright by its EXIF orientation.

        Raises:
            Exception: whatever Pillow raises for a damaged file, or one that is not an image.
        """
        if not path.exists():
            raise ValueError("it is a link that leads nowhere" if path.is_symlink() else "there is no such file")
        if not path.is_file():  # reading from a pipe would wait for ever
            raise ValueError("it is a pipe, a device or a folder")
        with Image.open(path) as image:
            if image.mode[0] in "IF":
                raise ValueError(f"its pixels do not have 8 bits (mode {image.mode}); convert it to 8 bits")
            upright = ImageOps.exif_transpose(image).convert("L" if self.channels == 1 else "RGB")
            fitted = ImageOps.fit(upright, (self.size, self.size), Image.Resampling.BILINEAR)
        pixels = np.asarray(fitted)
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)


def decoded(
    title: str, root: Path, files: Sequence[str], image_format: ImageFormat, *, skip_unreadable: bool, cache: Path
) -> Decoded:
    """Return the images of `files`, from `cache` if they were decoded before; otherwise decode and keep them there.

    Args:
        title: the title of the progress bar.
        root: the folder that holds `files`.
        files: paths relative to `root`, in the order of the images.
        image_format: the form of the decoded images.
        skip_unreadable: leave out unreadable files instead of raising an error.
        cache: the folder of decoded sets; each has a subfolder, named by the hash of its source.

    Raises:
        DataError: when files cannot be read (the message names them), or when `cache` cannot be written.
    """
    source = {
        "root": os.path.relpath(root, cache),  # relative, so that images and cache can be moved together
        "format": image_format._asdict(),
        "decoder": [DECODER, pillow_version],
        "files": [_fingerprint(root, file) for file in files],
    }
    target = cache / hashlib.sha256(json.dumps(source).encode()).hexdigest()[:16]
    for _ in range(ATTEMPTS):  # another process may be replacing a damaged copy
        if found := _read(target, source):
            images, unreadable, checksum = found
            if any(_can_be_read(root / file, image_format) for file in unreadable):
                shutil.rmtree(target, ignore_errors=True)  # decode again: a file can be read that could not
                continue
            if unreadable and not skip_unreadable:
                raise DataError(_complaint(root, unreadable))
            readable = [file for file in files if file not in unreadable]
            return Decoded(images[: len(readable)], readable, checksum)
        _decode_into(target, title, root, files, image_format, source)
    raise DataError(f"{target} does not hold what was just written there; choose another folder with data.cache=FOLDER")


def _can_be_read(path: Path, image_format: ImageFormat) -> bool:
    try:
        image_format.read(path)
    except Exception:  # Pillow's plugins raise anything on a damaged file
        return False
    return True


def _fingerprint(root: Path, file: str) -> list[Any]:
    try:
        return [file, *_stamp(root / file)]
    except OSError:  # a link that leads nowhere
        return [file]


def _stamp(path: Path) -> list[int]:
    """Return size and time of a file: while they are the same, so are its contents."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _read(target: Path, source: dict[str, Any]) -> tuple[np.ndarray, dict[str, str], str] | None:
    """Return the images in `target`, the unreadable files (name: reason) and a hash of the images.

    None if it is missing or damaged. Images that were not touched since they were written are not hashed again.
    """
    try:
        manifest = json.loads((target / MANIFEST).read_text())
        images = np.load(target / IMAGES, mmap_mode="c")
        checksum: str = manifest["checksum"]
        untouched = manifest["written"] == _stamp(target / IMAGES)
        intact = manifest["source"] == source and (untouched or checksum == _hash(images))
        return (images, manifest["unreadable"], checksum) if intact else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hash(images: np.ndarray) -> str:
    return hashlib.sha256(images.data).hexdigest()


def _complaint(root: Path, unreadable: dict[str, str]) -> str:
    shown = [f"  {root / name}: {reason}" for name, reason in list(unreadable.items())[:SHOWN]]
    more = [f"  … and {len(unreadable) - SHOWN} more"] if len(unreadable) > SHOWN else []
    return "\n".join(
        [f"{len(unreadable)} image{'s' * (len(unreadable) > 1)} below {root} cannot be read:", *shown, *more,
         "Repair or remove them, or leave them out with data.skip_unreadable=true."]
    )  # fmt: skip


def _decode_into(
    target: Path, title: str, root: Path, files: Sequence[str], image_format: ImageFormat, source: dict[str, Any]
) -> None:
    """Decode into a scratch folder and rename it to `target`, so that no process sees a half-written set."""
    cache = target.parent
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".decoding-", dir=cache, ignore_cleanup_errors=True) as name:
            scratch = Path(name, target.name)
            scratch.mkdir()
            unreadable = _decode_all(scratch / IMAGES, title, root, files, image_format)
            checksum = _hash(np.load(scratch / IMAGES, mmap_mode="r"))
            written = _stamp(scratch / IMAGES)
            manifest = {"source": source, "unreadable": unreadable, "checksum": checksum, "written": written}
            (scratch / MANIFEST).write_text(json.dumps(manifest))
            if _read(target, source) is None:  # unless another process was first
                shutil.rmtree(target, ignore_errors=True)
                _rename_unless_there(scratch, target)
        _remove_outdated(target, source)
    except OSError as error:
        raise DataError(
            f"the decoded images cannot be written to {cache}: {error}; choose another folder with data.cache=FOLDER"
        ) from error


def _rename_unless_there(scratch: Path, target: Path) -> None:
    try:
        scratch.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another process has put the same set there
            raise


def _remove_outdated(target: Path, source: dict[str, Any]) -> None:
    """Remove sets decoded from the same folder in the same format before its files changed."""
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
    """Write the readable images in order, then zeros; return the unreadable files (name: reason)."""
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
    """Return the number of processes: one for each core, or none if starting them takes longer than reading."""
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
                    warnings.simplefilter("ignore")  # Pillow warns about odd but readable files
                    images.append(self.image_format.read(self.root / file))
            except Exception as error:  # Pillow's plugins raise anything on a damaged file
                unreadable[file] = str(error) or type(error).__name__
        size, channels = self.image_format.size, self.image_format.channels
        return np.array(images, dtype=np.uint8).reshape(-1, channels, size, size), unreadable
