"""What may be wrong with one part of a recipe: a network, an optimizer, a loss, a number.

Each part states its own limits: it is built once, as the run will build it, and what its constructor raises is reported
under the part's key.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from torch import nn

from kdlab.config.experiment import TARGETS, Node
from kdlab.data import ClassificationData
from kdlab.data.held_out import class_indices
from kdlab.limits import integer, positive, shown
from kdlab.losses import LossTerms


def needs_soft_targets(loss: Node) -> bool:
    """Tell whether a loss works on soft targets, as losses do that do not say `needs_soft_targets = False`."""
    needs: bool = getattr(get_object(loss["_target_"]), "needs_soft_targets", True)
    return needs


def check_part(path: str, part: str, value: Any, data: ClassificationData | None, problems: list[str]) -> None:
    """Add to `problems` what is wrong with the `part` of a recipe that the user calls `path`."""
    if part in VALUES:
        problems += VALUES[part](path, value, data)
    elif not (isinstance(value, dict) and "_target_" in value):
        group = "model" if part == "net" else part
        problems.append(
            f"{path}={shown(value)}: must be a mapping with a _target_; "
            f"an option of the group {group} is chosen by {group}@{path}=OPTION"
        )
    elif part == "net" and data is None:
        return  # its sizes may be the data set's, which is what must be mended first
    else:
        built = build(path, value, problems)
        if built is None:
            return
        if part == "optimizer":
            _check_optimizer(path, value, built, problems)
        elif part == "schedule":
            _try(path, lambda: built(torch.optim.SGD([nn.Parameter(torch.zeros(1))]), 1), problems)
        elif part == "loss":
            problems += _loss_problems(path, built, soft=needs_soft_targets(value))
        elif part == "augment" and data is not None:
            problems += _augment_problems(path, built, data)
        elif part == "net":
            assert data is not None
            problems += _net_problems(path, built, data)


def _patience_problems(path: str, value: Any, data: ClassificationData | None) -> Iterator[str]:
    if value is None:
        return
    yield from integer(path, value)
    if data is not None and data.val_size == 0:
        yield f"{path}={value}: stopping early needs a validation part, but data.val_size=0"


def _targets_problems(path: str, value: Any, data: ClassificationData | None) -> Iterator[str]:
    if value not in TARGETS:
        yield f"{path}={value}: must be one of {', '.join(TARGETS)}"
    elif TARGETS[value].source == "bayes" and data is not None and data.bayes_rule is None:
        yield f"{path}={value}: the true posterior of {data.name} is not known; that of data=blobs is"


def _held_out_problems(path: str, value: Any, data: ClassificationData | None) -> Iterator[str]:
    if data is not None:
        problems: list[str] = []
        _try(path.removesuffix(".held_out_classes"), lambda: class_indices(value, data.class_names), problems)
        yield from problems


def _checkpoint_problems(path: str, value: Any, data: ClassificationData | None) -> Iterator[str]:
    if value is not None and not (isinstance(value, str) and Path(value).expanduser().is_file()):
        yield f"{path}={value}: no such file; a state_dict saved by torch.save, or .safetensors, is needed"


# Parts of a recipe that are plain values; all others are built.
VALUES: dict[str, Callable[[str, Any, ClassificationData | None], Iterable[str]]] = {
    "max_epochs": lambda path, value, data: integer(path, value),
    "seed": lambda path, value, data: integer(path, value, least=0),
    "teacher": lambda path, value, data: (),  # checked with the graph of fits
    "patience": _patience_problems,
    "targets": _targets_problems,
    "held_out_classes": _held_out_problems,
    "checkpoint": _checkpoint_problems,
}


def _check_optimizer(path: str, node: dict[str, Any], built: Any, problems: list[str]) -> None:
    if wrong_lr := positive(f"{path}.lr", node.get("lr", 1.0)):
        problems += wrong_lr
    else:
        _try(path, lambda: built([nn.Parameter(torch.zeros(1))]), problems)


def _loss_problems(path: str, loss: Any, *, soft: bool) -> Iterator[str]:
    logits, targets = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, dtype=torch.long)
    try:
        terms = loss(student_logits=logits, teacher_logits=logits.detach() if soft else None, targets=targets)
        given = [getattr(terms, name) for name in LossTerms._fields if soft or name != "soft"]
        scalar = all(term.shape == () for term in given)
    except Exception as error:  # the user's own loss may fail in any way
        yield f"{path}: must take (student_logits=, teacher_logits=, targets=) and return LossTerms: {error}"
        return
    if not scalar:
        yield f"{path}: total, soft and hard must be scalars, averaged over the batch"


def _augment_problems(path: str, augment: nn.Module, data: ClassificationData) -> Iterator[str]:
    inputs = torch.zeros(2, *data.input_shape, dtype=torch.uint8)
    try:
        shape = tuple(augment(inputs).shape)
    except Exception as error:  # an augmentation may fail in any way on inputs it was not made for
        yield f"{path}: fails on {data.name}'s inputs of shape {data.input_shape}: {error}"
        return
    if shape != tuple(inputs.shape):
        yield f"{path}: makes {shape[1:]} of {data.name}'s inputs of shape {data.input_shape}"


def _net_problems(path: str, net: nn.Module, data: ClassificationData) -> Iterator[str]:
    inputs, classes = torch.zeros(2, *data.input_shape, dtype=torch.uint8), len(data.class_names)
    try:
        with torch.no_grad():
            shape = tuple(net.eval()(data.scale(inputs)).shape)
    except Exception as error:  # a network may fail in any way on inputs it was not made for
        yield f"{path}: fails on {data.name}'s inputs of shape {data.input_shape}: {error}"
        return
    if shape != (2, classes):
        yield f"{path}: gives outputs of shape {shape} for 2 samples, but {data.name} has {classes} classes"


def build(path: str, node: Any, problems: list[str]) -> Any:
    """Return what the config `node` describes; where it cannot be built, add why to `problems` and return None."""
    return _try(path, lambda: instantiate(node, _convert_="all"), problems)


def _try(path: str, make: Callable[[], Any], problems: list[str]) -> Any:
    """Return what `make` makes; where it raises, add what went wrong to `problems` and return None."""
    try:
        return make()
    except Exception as error:  # any constructor, the user's own among them
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        lines = str(cause).strip().split("\n")
        names_keys = isinstance(cause, ValueError) and all(re.match(r"\w+=", line) for line in lines)
        problems += [f"{path}.{line}" for line in lines] if names_keys else [f"{path}: {' '.join(lines)}"]
        return None
