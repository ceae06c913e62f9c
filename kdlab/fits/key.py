"""Content keys: the hash of everything that a fit's weights depend on, and of nothing else.

Paths, names, logging, and the numbers of devices and threads are left out: they change results by rounding at most.
"""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from torch import nn

from kdlab.data import ClassificationData
from kdlab.hashing import code_hash, file_hash, plain

PACKAGE = Path(__file__).parent.parent
TRAINING_CODE = (
    "data", "fits/callbacks.py", "fits/context.py", "fits/fit.py", "fits/logits.py", "fits/obtain.py", "fits/plan.py",
    "hashing.py", "losses", "models", "modules", "schedules.py",
)  # fmt: skip
LIBRARIES = ("torch", "torchvision", "lightning")
# Computed when the code is imported: a file edited while a sweep runs does not change what the sweep runs.
TRAINING_CODE_HASH = code_hash(PACKAGE, TRAINING_CODE)


def fit_contents(
    *, recipe: Mapping[str, Any], data: ClassificationData, precision: str, net: nn.Module, teacher_keys: Sequence[str]
) -> dict[str, Any]:
    """Return everything that a fit depends on, as plain values; their `short_hash` is the fit's content key.

    The code is included: kdlab's own, and the source file of every class and function that the recipe names, of the
    network, of the data set, and of their base classes.

    Args:
        recipe: the parts of the recipe that matter to this fit.
        data: the fit's view of its data set.
        precision: as Lightning names it.
        net: the network before training.
        teacher_keys: the content keys of the teachers that the fit depends on.
    """
    named = [get_object(target) for target in _targets(recipe)]
    contents = {
        "recipe": recipe,
        "data": data.identity(),
        "precision": precision,
        "teachers": list(teacher_keys),
        "parameters": [(name, list(value.shape)) for name, value in net.state_dict().items()],
        "code": [TRAINING_CODE_HASH, *(_source_of(item) for item in _with_bases(*named, type(net), type(data)))],
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    # As read back from a file, so that both have the same hash.
    return json.loads(json.dumps(plain(contents), allow_nan=False))


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


def _with_bases(*items: Any) -> Iterator[Any]:
    for item in items:
        yield from item.__mro__[:-1] if isinstance(item, type) else [item]


def _source_of(item: Any) -> str:
    try:
        path = inspect.getsourcefile(inspect.getmodule(item) or item)
    except TypeError:
        path = None
    if path is None or not Path(path).is_file():  # defined in a notebook, for example
        return f"{item.__module__}.{item.__qualname__}"
    return file_hash(Path(path))
