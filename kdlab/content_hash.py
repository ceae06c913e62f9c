"""Hashes of plain values and of source files."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def short_hash(value: Any) -> str:
    """Return the hash of a value made of mappings, lists, strings and finite numbers, 16 hexadecimal digits.

    The order of a mapping's keys does not matter.
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_hash(root: Path, names: Iterable[str]) -> str:
    """Return the hash of the Python files with these names below `root`, folders with all that is in them."""
    digest = hashlib.sha256()
    for name in names:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Return the hash of a file's bytes, 16 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
