"""What may be wrong with one part of a recipe: a network, an optimizer, a loss, a number.

Each part states its own limits: it is built once, as the run will build it, and what its constructor raises is reported
under the key that is to blame.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from torch import nn

from kdlab.config.experiment import TARGETS, Node
from kdlab.config.networks import network_of
from kdlab.config.nodes import HYDRAS_OWN, arguments_of
from kdlab.data import ClassificationData
from kdlab.data.held_out import class_indices
from kdlab.limits import memory, shown
from kdlab.losses import LossTerms

# A network in training: its weights, their gradients, and what optimizers keep of both.
COPIES = 4
# A network without a size above this is built as it is.
LARGE = 10_000


def needs_soft_targets(loss: Node) -> bool:
    """Tell whether a loss works on soft targets, as losses do that do not say `needs_soft_targets = False`."""
    needs: bool = getattr(get_object(loss["_target_"]), "needs_soft_targets", True)
    return needs


def check_part(path: str, part: str, value: Any, data: ClassificationData | None, problems: list[str]) -> None:
    """Add to `problems` what is wrong with the `part` of a recipe that the user calls `path`, apart from its types."""
    if part in VALUES:
        problems += VALUES[part](path, value, data) if data is not None else ()
    elif part in BUILT:
        if part in ("net", "augment") and data is None:
            return  # its sizes may be the data set's, which is what must be mended first
        if part == "net" and (too_large := _size_problems(path, value)):
            problems += too_large
            return
        BUILT[part](path, value, data, problems)


def _check_optimizer(path: str, node: Node, data: Any, problems: list[str]) -> None:
    given = arguments_of("optimizer", node)
    built_with(path, given, problems, lambda make: make([nn.Parameter(torch.zeros(1))]))


def _check_schedule(path: str, node: Node, data: Any, problems: list[str]) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))])
    built_with(path, node, problems, lambda make: make(optimizer, 1))


def _check_loss(path: str, node: Node, data: Any, problems: list[str]) -> None:
    loss = build(path, node, problems)
    if loss is not None:
        classes = len(data.class_names) if data is not None else 3
        problems += _loss_problems(path, loss, classes, soft=needs_soft_targets(node))


def _check_control(path: str, node: Node | None, data: Any, problems: list[str]) -> None:
    if node is not None:
        built_with(path, node, problems, lambda made: made(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), 1.0))


def _check_augment(path: str, node: Node, data: ClassificationData, problems: list[str]) -> None:
    inputs = torch.zeros(2, *data.input_shape, dtype=torch.uint8)
    built = built_with(path, node, problems, _is_module)
    if built is None:
        return
    arguments = [key for key in node if key not in HYDRAS_OWN]
    if isinstance(built, nn.Identity) and arguments:  # it takes anything, and ignores it
        problems.append(f"{path}.{arguments[0]}={shown(node[arguments[0]])}: {node['_target_']} has no arguments")
    outputs = tried(path, {}, lambda: built(inputs), problems, f"fails on {_of(data)}")
    if outputs is not None and tuple(outputs.shape) != tuple(inputs.shape):
        problems.append(f"{path}: makes {tuple(outputs.shape)[1:]} of {_of(data)}")


def _check_net(path: str, node: Node, data: ClassificationData, problems: list[str]) -> None:
    net = built_with(path, node, problems, lambda net: net, make=partial(network_of, of_data=data.normalization))
    if net is None:
        return
    inputs, classes = torch.zeros(2, *data.input_shape, dtype=torch.uint8), len(data.class_names)
    with torch.no_grad():
        outputs = tried(path, {}, lambda: net.eval()(data.scale(inputs)), problems, f"fails on {_of(data)}")
    shape = tuple(getattr(outputs, "shape", ()))
    if outputs is not None and shape != (2, classes):
        problems.append(f"{path}: gives outputs of shape {shape} for 2 samples, but {data.name} has {classes} classes")


BUILT: dict[str, Callable[[str, Node, Any, list[str]], None]] = {
    "optimizer": _check_optimizer,
    "schedule": _check_schedule,
    "loss": _check_loss,
    "control": _check_control,
    "augment": _check_augment,
    "net": _check_net,
}


def _of(data: ClassificationData) -> str:
    return f"{data.name}'s inputs of shape {data.input_shape}"


def _is_module(built: Any) -> Any:
    if not isinstance(built, nn.Module):
        raise TypeError(f"makes a {type(built).__name__}; a torch.nn.Module is needed")
    return built


def _patience_problems(path: str, value: Any, data: ClassificationData) -> Iterator[str]:
    if value is not None and data.val_size == 0:
        yield f"{path}={value}: stopping early needs a validation part, but data.val_size=0"


def _targets_problems(path: str, value: Any, data: ClassificationData) -> Iterator[str]:
    if TARGETS[value].source == "bayes" and data.bayes_rule is None:
        yield f"{path}={value}: the true posterior of {data.name} is not known; that of data=blobs is"


def _held_out_problems(path: str, value: Any, data: ClassificationData) -> Iterator[str]:
    problems: list[str] = []
    tried(path.removesuffix(".held_out_classes"), {}, lambda: class_indices(value, data.class_names), problems)
    yield from problems


# Plain parts whose limits depend on the data set.
VALUES: dict[str, Callable[[str, Any, ClassificationData], Iterator[str]]] = {
    "patience": _patience_problems,
    "targets": _targets_problems,
    "held_out_classes": _held_out_problems,
}


def _size_problems(path: str, node: Node) -> list[str]:
    """Return what is wrong with a network that has more weights than this machine can train; built without memory."""
    largest = {key: max(_numbers([value]), default=0) for key, value in node.items()}
    if max(largest.values()) < LARGE:
        return []
    try:
        with torch.device("meta"):
            net = network_of(node, of_data=None)
        needed = COPIES * sum(value.numel() * value.element_size() for value in net.parameters())
    except Exception:  # what is wrong, or cannot be built so, shows when it is built in earnest
        return []
    key = max(largest, key=lambda key: largest[key])
    return memory(f"{path}.{key}", node[key], needed, "training the network's weights")


def _numbers(node: Any) -> Iterator[int]:
    inner = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    for value in inner:
        yield from [value] if isinstance(value, int) else _numbers(value)


def _loss_problems(path: str, loss: Any, classes: int, *, soft: bool) -> Iterator[str]:
    logits, targets = torch.zeros(2, classes, requires_grad=True), torch.zeros(2, dtype=torch.long)
    try:
        terms = loss(student_logits=logits, teacher_logits=logits.detach() if soft else None, targets=targets)
        given = [getattr(terms, name) for name in LossTerms._fields if soft or name != "soft"]
        scalar = all(term.shape == () for term in given)
    except Exception as error:  # the user's own loss may fail in any way
        yield f"{path}: must take (student_logits=, teacher_logits=, targets=) and return LossTerms: {error}"
        return
    if not scalar:
        yield f"{path}: total, soft and hard must be scalars, averaged over the batch"


def build(path: str, node: Node, problems: list[str]) -> Any:
    """Return what the config `node` describes; where it cannot be built, add why to `problems` and return None."""
    return built_with(path, node, problems, lambda built: built)


def _plainly(node: Node) -> Any:
    return instantiate(node, _convert_="all")


def built_with(
    path: str, node: Node, problems: list[str], use: Callable[[Any], Any], make: Callable[[Node], Any] = _plainly
) -> Any:
    """Build a node and use it once; where either fails, add why to `problems`, and return None.

    To blame is the key that the error names, or else the first without which, that is with whose default, all is well;
    or else the `_target_`.
    """
    found: list[str] = []
    built = tried(path, node, lambda: use(make(node)), found)
    if len(found) == 1 and found[0].startswith(f"{path}: "):
        arguments = [key for key in node if key not in HYDRAS_OWN]
        key = next((key for key in arguments if _works(node, use, make, without=key)), "_target_")
        found = [f"{path}.{key}={shown(node[key])}{found[0].removeprefix(path)}"]
    problems += found
    return built


def _works(node: Node, use: Callable[[Any], Any], make: Callable[[Node], Any], *, without: str) -> bool:
    """Tell whether a node can be built without one of its arguments, that is with its default."""
    try:
        use(make({key: value for key, value in node.items() if key != without}))
    except Exception:
        return False
    return True


def tried(path: str, node: Mapping[str, Any], make: Callable[[], Any], problems: list[str], what: str = "") -> Any:
    """Return what `make` makes; where it raises, add what went wrong to `problems` and return None.

    The line names the key, where the error names an argument of `node` or is a list of lines `argument=…`.
    """
    try:
        return make()
    except Exception as error:  # any constructor, the user's own among them
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        lines = [line for line in str(cause).strip().split("\n") if not line.startswith("full_key:")]
        if isinstance(cause, ValueError) and all(re.match(r"\w+=", line) for line in lines):
            problems += [f"{path}.{line}" for line in lines]
            return None
        text = " ".join([*([f"{what}:"] if what else []), *lines]) or type(cause).__name__
        problems.append(f"{path}{_named(text, node)}: {text}")
        return None


def _named(text: str, node: Node) -> str:
    """Return `.key=value` of the argument that an error names."""
    named = [key for key in node if key not in HYDRAS_OWN and re.search(rf"\b{key}\b", text, re.IGNORECASE)]
    return f".{named[0]}={shown(node[named[0]])}" if named else ""
