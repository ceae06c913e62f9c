"""Hashes: of plain values and source files, for content keys; of a seed and a purpose, for random streams."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


def short_hash(value: Any) -> str:
    """Return the hash, 16 hexadecimal digits, of a value of mappings, lists, strings and finite numbers.

    The order of a mapping's keys does not matter.
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """Return a value as JSON holds it; whole numbers become integers, so that 4 and 4.0 are one temperature."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def code_hash(root: Path, names: Iterable[str] = (".",)) -> str:
    """Return the hash of the Python files with these names below `root`; a folder stands for all files in it."""
    digest = hashlib.sha256()
    for name in sorted(names):
        path = root / name
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in (file for file in files if not file.name.startswith(".")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def file_hash(path: Path) -> str:
    """Return the hash, 16 hexadecimal digits, of a file's bytes as this process first read them."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """Return a 32-bit seed for one purpose (`weights`, `order`, `epoch`, …) and index, a pure function of the three.

    Streams with different purposes are independent: a change in one leaves the others as they were.
    """
    sequence = np.random.SeedSequence([seed, index, *purpose.encode()])
    return int(sequence.generate_state(1)[0])
