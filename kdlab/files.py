"""Files that a reader finds whole or not at all, their checksums, and the disk that has no room for them."""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

SUMS = "SHA256SUMS"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Give the name of a scratch file beside `path`; rename it to `path` when the block ends without an error.

    On an error the scratch file is removed, and `path` stays as it was; where the disk is full, the error names `path`.

    Args:
        path: of the file.
        sync: wait until the content is on the disk, so that a power cut cannot leave an empty file. A killed process
            leaves a whole file or none either way.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".part", dir=path.parent)
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        scratch.chmod(0o644)
        if sync:
            with scratch.open("rb+") as file:
                os.fsync(file.fileno())
        scratch.replace(path)
    except Exception as error:
        if full_disk(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        scratch.unlink(missing_ok=True)


def remove_scratch(folder: Path) -> None:
    """Delete what `whole` left below `folder` in killed processes. Nobody else may be writing there."""
    for scratch in folder.rglob(".*.part"):
        scratch.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Delete a file, a link, or a folder with all below it, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    with whole(path) as scratch, scratch.open("w", newline="") as file:
        file.write(text)


def write_json(content: Any, path: Path) -> None:
    """Write a JSON file.

    Raises:
        ValueError: when a number is not finite.
    """
    text = json.dumps(content, allow_nan=False)
    write_text(msgspec.json.format(text, indent=1), path)  # json indents at a tenth of the speed


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(header)
    table.writerows(rows)
    write_text(text.getvalue(), path)


def sha256(path: Path) -> str:
    """Return a file's checksum."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of these files below `folder` to its SHA256SUMS, as `sha256sum -c` reads it."""
    write_text(sums_text({name: sha256(folder / name) for name in names}), folder / SUMS)


def sums_text(sums: Mapping[str, str]) -> str:
    """Return checksums by name as the text of a file SHA256SUMS."""
    return "".join(f"{digest}  {name}\n" for name, digest in sums.items())


def read_sums(folder: Path) -> dict[str, str]:
    """Return the checksum of each file that `write_sums` wrote.

    Raises:
        OSError, ValueError: when they cannot be read.
    """
    lines = [line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines()]
    return {name: digest for digest, name in lines}


def damage(folder: Path, names: Iterable[str] = ()) -> list[str]:
    """Return a line for each file below `folder` that is not as `write_sums` saw it; `names` must be among them."""
    try:
        sums = read_sums(folder)
    except (OSError, ValueError) as error:
        return [f"{SUMS} cannot be read: {error}"]
    found = []
    for name in dict.fromkeys([*names, *sums]):
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif sha256(path) != sums.get(name):
            found.append(f"{name} does not match {SUMS}")
    return found


def full_disk(error: BaseException | None) -> str | None:
    """Return what the operating system says of a full disk, if `error` or one that led to it tells of one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
        error = error.__cause__ or error.__context__
    return None
