"""Content keys: the hash of everything that a fit's weights depend on."""

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from torch import nn

from kdlab.data import ClassificationData

PACKAGE = Path(__file__).parent
TRAINING_CODE = (
    "bench.py", "data", "fit.py", "inference.py", "losses", "models", "modules", "pipeline.py", "schedules.py",
    "seeds.py",
)  # fmt: skip


def content_key(
    *, recipe: Mapping[str, Any], data: ClassificationData, precision: str, net: nn.Module, teacher_key: str | None
) -> str:
    """Return the content key of a fit, 16 hexadecimal digits.

    The code counts with the values: kdlab's own, and the source file of every class and function that the recipe names,
    of the network and of the data set, wherever they lie.

    Args:
        recipe: the resolved recipe, less what does not matter to this fit.
        data: the fit's view of its data set.
        precision: of the arithmetic, as Lightning names it.
        net: the network before training.
        teacher_key: the teacher's content key, where the fit depends on it.
    """
    named = [get_object(target) for target in _targets(recipe)]
    parts = {
        "recipe": recipe,
        "data": data.identity(),
        "precision": precision,
        "teacher": teacher_key,
        "parameters": [(name, list(value.shape)) for name, value in net.state_dict().items()],
        "code": [_training_code(), *(_source_of(item) for item in (*named, type(net), type(data)))],
        "libraries": {name: version(name) for name in ("torch", "lightning")},
    }
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _targets(node: Any) -> Iterator[str]:
    """Yield every `_target_` of a recipe, in the order of their keys."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for key in sorted(node):
            yield from _targets(node[key])
    elif isinstance(node, list):
        for item in node:
            yield from _targets(item)


@cache
def _training_code() -> str:
    digest = hashlib.sha256()
    for name in TRAINING_CODE:
        path = PACKAGE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _source_of(item: Any) -> str:
    try:
        source = inspect.getsource(inspect.getmodule(item) or item)
    except (OSError, TypeError):  # without a source file, as in a notebook
        return f"{item.__module__}.{item.__qualname__}"
    return hashlib.sha256(source.encode()).hexdigest()
