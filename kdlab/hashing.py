"""Hashes: of plain values and source files, for content keys; of a seed and a purpose, for random streams."""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
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
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file_hash(file).encode())
    return digest.hexdigest()[:16]


@cache
def file_hash(path: Path) -> str:
    """Return the hash of a Python file as this process first read it.

    Comments, docstrings and layout are left out: they change no result.
    """
    source = path.read_bytes()
    with suppress(SyntaxError, ValueError):  # a template, perhaps: no part of it can be left out
        source = ast.dump(_without_docstrings(ast.parse(source))).encode()
    return hashlib.sha256(source).hexdigest()[:16]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:  # type: ignore[arg-type]
            del node.body[0]  # type: ignore[attr-defined]
    return tree


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """Return a 32-bit seed for one purpose (`weights`, `order`, `epoch`, …) and index, a pure function of the three.

    Streams with different purposes are independent: a change in one leaves the others as they were.
    """
    sequence = np.random.SeedSequence([seed, index, *purpose.encode()])
    return int(sequence.generate_state(1)[0])
