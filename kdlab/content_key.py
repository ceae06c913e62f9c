"""Content keys: the hash of everything that a fit's weights depend on."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

PACKAGE = Path(__file__).parent
TRAINING_CODE = ("data", "losses", "models", "modules", "fit.py", "inference.py", "schedules.py", "seeds.py")


def content_key(
    *, recipe: Mapping[str, Any], data: Mapping[str, Any], precision: str, net: nn.Module, teacher_key: str | None
) -> str:
    """Return the content key of a fit, 16 hexadecimal digits.

    Args:
        recipe: the resolved recipe, less what does not matter to this fit.
        data: what identifies the training samples and their batches.
        precision: of the arithmetic, as Lightning names it.
        net: its source file counts, wherever it lies.
        teacher_key: the teacher's content key, where the fit depends on it.
    """
    parts = {
        "recipe": recipe,
        "data": data,
        "precision": precision,
        "teacher": teacher_key,
        "code": [_training_code(), _source_of(type(net))],
        "libraries": {name: version(name) for name in ("torch", "lightning")},
    }
    text = json.dumps(parts, sort_keys=True, allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _training_code() -> str:
    digest = hashlib.sha256()
    for name in TRAINING_CODE:
        path = PACKAGE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _source_of(kind: type) -> str:
    try:
        source = inspect.getsource(inspect.getmodule(kind) or kind)
    except (OSError, TypeError):  # a class without a source file, as in a notebook
        return f"{kind.__module__}.{kind.__qualname__}"
    return hashlib.sha256(source.encode()).hexdigest()
