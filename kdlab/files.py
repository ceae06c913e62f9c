"""Files that a reader finds whole or not at all."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Give the name of a scratch file beside `path`; rename it to `path` when the block ends without an error.

    On an error the scratch file is removed, and `path` stays as it was.

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
    finally:
        scratch.unlink(missing_ok=True)


def remove_scratch(folder: Path) -> None:
    """Delete what `whole` left below `folder` in killed processes. Nobody else may be writing there."""
    for scratch in folder.rglob(".*.part"):
        scratch.unlink(missing_ok=True)


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    with whole(path) as scratch, scratch.open("w", newline="") as file:
        file.write(text)


def write_json(content: Any, path: Path) -> None:
    """Write a JSON file.

    Raises:
        ValueError: when a number is not finite.
    """
    write_text(json.dumps(content, indent=1, allow_nan=False), path)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(header)
    table.writerows(rows)
    write_text(text.getvalue(), path)
