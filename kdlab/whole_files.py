"""Files and folders that a reader finds whole or not at all."""

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_text(text: str, path: Path) -> None:
    """Write a text file, by a rename of a scratch file beside it."""
    handle, scratch = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "w", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


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


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a scratch folder beside `path` to write into, and rename it when that is done.

    Where another has made `path` meanwhile, that one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        if not path.exists():
            scratch.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
