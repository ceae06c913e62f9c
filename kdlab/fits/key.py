"""Content keys: the hash of everything that a fit's weights depend on, and of nothing else.

Paths, names, logging, the kind of device and the number of threads are left out: they change results by rounding at
most. So is the number of devices where a fit is the same on any number.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from kdlab.data import ClassificationData
from kdlab.fits.sources import sources_of
from kdlab.hardware import Hardware
from kdlab.hashing import code_hash, plain

PACKAGE = Path(__file__).parent.parent
TRAINING_CODE = (
    "config/networks.py", "data", "fits/callbacks.py", "fits/context.py", "fits/fit.py", "fits/given_logits.py",
    "fits/logits.py", "fits/objective.py", "fits/plan.py", "fits/stack.py", "fits/train.py", "hashing.py", "losses",
    "models", "modules", "schedules.py", "zoo",
)  # fmt: skip
LIBRARIES = ("torch", "torchvision", "lightning")
# Modules that do the same to each sample whatever the others of its batch are, and draw no random numbers.
SAMPLE_BY_SAMPLE = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.LayerNorm, nn.GroupNorm, nn.Flatten, nn.Identity, nn.Sequential,
    nn.ModuleList, nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.MaxPool2d, nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)  # fmt: skip
# Computed when the code is imported: a file edited while a sweep runs does not change what the sweep runs.
TRAINING_CODE_HASH = code_hash(PACKAGE, TRAINING_CODE)


def fit_contents(
    *,
    recipe: Mapping[str, Any],
    data: ClassificationData,
    hardware: Hardware,
    net: nn.Module,
    teacher_keys: Sequence[str],
) -> dict[str, Any]:
    """Return everything that a fit depends on, as plain values; their `short_hash` is the fit's content key.

    The code is included: kdlab's own, and that of every class and function that the recipe names, of the network, of
    the data set, and of their base classes, with what it imports (`kdlab.fits.sources`).

    Args:
        recipe: the parts of the recipe that matter to this fit.
        data: the fit's view of its data set.
        hardware: where it is trained.
        net: the network, with or without weights.
        teacher_keys: the content keys of the teachers that the fit depends on.
    """
    sources = sources_of(_targets(recipe), [type(net), type(data)])
    contents = {
        "recipe": recipe,
        "data": data.identity(),
        "precision": hardware.precision,
        "deterministic": hardware.deterministic,
        "devices": hardware.devices if _differs_by_devices(net, data, hardware.devices) else 1,
        "teachers": list(teacher_keys),
        "parameters": [(name, list(value.shape)) for name, value in net.state_dict().items()],
        "code": {"kdlab": TRAINING_CODE_HASH} | sources.code,
        "libraries": _versions() | sources.libraries,
    }
    # As read back from a file, so that both have the same hash.
    return json.loads(json.dumps(plain(contents), allow_nan=False))


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _differs_by_devices(net: nn.Module, data: ClassificationData, devices: int) -> bool:
    """Return whether several devices change more than rounding.

    They do where each draws random numbers of its own (dropout, augmentation), where samples of a batch depend on each
    other (batch norm), and where the samples do not divide evenly, so that some are seen twice in an epoch. A module
    that kdlab does not know may do either.
    """
    alike = all(
        type(module) in SAMPLE_BY_SAMPLE
        or (type(module).__module__.startswith("kdlab.models.") and not isinstance(module, nn.Dropout))
        for module in net.modules()
    )
    even = len(data.train_ids) * data.passes_per_epoch % devices == 0
    return not (alike and even and isinstance(data.augment, nn.Identity))


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
