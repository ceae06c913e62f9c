"""Image files → one memory-mapped uint8 array on disk, decoded once, in parallel.

A decoded set is a folder with `images.npy` (N, C, size, size) and `manifest.json`, which says what it was made from.
"""

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
from rich.console import Console
from rich.progress import Progress
from torch.utils.data import DataLoader, Dataset

from kdlab.errors import DataError

FILES_PER_TASK = 128
SHOWN = 20
MANIFEST, IMAGES = "manifest.json", "images.npy"


class Decoded(NamedTuple):
    """The images (N, C, size, size) as a copy-on-write memory map, and which of the files they are."""

    images: np.ndarray
    kept: np.ndarray


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
            upright = ImageOps.exif_transpose(image).convert("L" if self.channels == 1 else "RGB")
            fitted = ImageOps.fit(upright, (self.size, self.size), Image.Resampling.BILINEAR)
        pixels = np.asarray(fitted)
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)


def decoded(
    title: str, root: Path, files: Sequence[Path], image_format: ImageFormat, *, skip_unreadable: bool, cache: Path
) -> Decoded:
    """Return the images of `files`: from `cache` where they were decoded before, else decoded now and kept there.

    Args:
        title: of the progress bar.
        root: what `files` are relative to.
        files: in the order that the images shall have.
        image_format: of the images.
        skip_unreadable: leave out what cannot be read, instead of an error.
        cache: the folder to keep the result in; replaced when `files` have changed since.

    Raises:
        DataError: when images cannot be read, naming them, or `cache` cannot be written.
    """
    source = {"format": image_format._asdict(), "files": [_fingerprint(root, file) for file in files]}
    manifest = _read_manifest(cache)
    if manifest.get("source") != source or not (cache / IMAGES).is_file():
        manifest = _decode_into(cache, title, root, files, image_format, source)
    unreadable: dict[str, str] = manifest["unreadable"]
    if unreadable and not skip_unreadable:
        raise DataError(_complaint(root, unreadable))
    names = [file.as_posix() for file in files]
    kept = np.array([i for i, name in enumerate(names) if name not in unreadable], dtype=np.int64)
    return Decoded(np.load(cache / IMAGES, mmap_mode="c"), kept)


def _fingerprint(root: Path, file: Path) -> list[Any]:
    status = (root / file).stat()
    return [file.as_posix(), status.st_size, status.st_mtime_ns]


def _read_manifest(cache: Path) -> dict[str, Any]:
    try:
        content = json.loads((cache / MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _complaint(root: Path, unreadable: dict[str, str]) -> str:
    shown = [f"  {root / name}: {reason}" for name, reason in list(unreadable.items())[:SHOWN]]
    more = [f"  … and {len(unreadable) - SHOWN} more"] if len(unreadable) > SHOWN else []
    return "\n".join(
        [f"{len(unreadable)} images below {root} cannot be read:", *shown, *more,
         "Mend or remove them, or leave them out with data.skip_unreadable=true."]
    )  # fmt: skip


def _decode_into(
    cache: Path, title: str, root: Path, files: Sequence[Path], image_format: ImageFormat, source: dict[str, Any]
) -> dict[str, Any]:
    """Decode beside `cache` and move the whole into its place: a decoded set is there complete, or not at all."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".decoding-", dir=cache.parent))
    except OSError as error:
        raise DataError(
            f"the decoded images cannot be kept in {cache.parent}: {error}; give data.cache=FOLDER"
        ) from error
    try:
        unreadable = _decode_all(scratch / IMAGES, title, root, files, image_format)
        manifest = {"source": source, "unreadable": unreadable}
        (scratch / MANIFEST).write_text(json.dumps(manifest))
        shutil.rmtree(cache, ignore_errors=True)
        scratch.rename(cache)
    except OSError as error:
        raise DataError(f"the decoded images cannot be kept in {cache}: {error}; give data.cache=FOLDER") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest


def _decode_all(
    target: Path, title: str, root: Path, files: Sequence[Path], image_format: ImageFormat
) -> dict[str, str]:
    """Write the images that can be read, in order; return (name: reason) of those that cannot."""
    shape = (image_format.channels, image_format.size, image_format.size)
    unreadable: dict[str, str] = {}
    count = 0
    raw = target.with_suffix(".raw")
    loader = DataLoader(
        _Files(root, files, image_format),
        batch_size=FILES_PER_TASK,
        collate_fn=_as_read,
        num_workers=_workers(len(files)),
    )
    with raw.open("wb") as out, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=len(files))
        for images, problems in loader:
            out.write(images.tobytes())
            count += len(images)
            unreadable.update(problems)
            progress.advance(task, len(images) + len(problems))
    array = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=(count, *shape))
    if count:
        array[:] = np.memmap(raw, dtype=np.uint8, mode="r", shape=(count, *shape))
    array.flush()
    raw.unlink()
    return unreadable


def _workers(count: int) -> int:
    """One process per core, unless starting them takes longer than reading the files."""
    return 0 if count < 4 * FILES_PER_TASK else len(os.sched_getaffinity(0))


class _Files(Dataset[Any]):
    def __init__(self, root: Path, files: Sequence[Path], image_format: ImageFormat) -> None:
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
                unreadable[file.as_posix()] = str(error) or type(error).__name__
        size, channels = self.image_format.size, self.image_format.channels
        return np.array(images, dtype=np.uint8).reshape(-1, channels, size, size), unreadable


def _as_read(part: Any) -> Any:
    return part
