"""What may be wrong with a part that Hydra builds from its `_target_`, as far as the source of the target says it.

Nothing is imported or built: a typing error is refused as fast as Hydra composes.
"""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from kdlab import limits
from kdlab.config.annotations import suits, wanted
from kdlab.config.signatures import Parameter, Signature, signature_of
from kdlab.limits import boolean, choice, not_negative, positive, share, shown

# What Hydra itself reads in a part.
HYDRAS_OWN = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")
# Keys of a part that are no arguments of its class: a network's mean, std and size of its inputs; the limit of an
# optimizer's gradients, the rates of a network's parts, and the decay of an average of its weights.
NORMALIZE = "normalize"
OWN = {"net": (NORMALIZE,), "optimizer": ("clip", "rates", "average")}
CONVERSIONS = ("none", "partial", "object", "all")
# Arguments of networks that are filled in from the data set where they are null.
SIZES = ("inputs", "image_channels", "outputs", "num_classes")


def node_problems(path: str, node: Any) -> Iterator[str]:
    """Yield what is wrong with a part and with those inside of it."""
    if isinstance(node, list):
        for i, item in enumerate(node):
            yield from node_problems(f"{path}[{i}]", item)
    if not isinstance(node, Mapping):
        return
    if "_target_" in node:
        yield from _call_problems(path, node)
    for key, value in node.items():
        yield from node_problems(f"{path}.{key}", value)


def network_problems(path: str, node: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a network's config, with its `normalize` too."""
    yield from node_problems(path, arguments_of("net", node))
    asked = node.get(NORMALIZE)
    if isinstance(asked, Mapping):
        given = {key: value for key, value in asked.items() if value is not None}
        yield from node_problems(f"{path}.{NORMALIZE}", {**given, "_target_": "kdlab.models.Normalization"})
    elif asked is not None:
        yield f"{path}.{NORMALIZE}={shown(asked)}: must be a mapping of mean, std and size"


def optimizer_problems(path: str, node: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an optimizer's config, with its `clip`, `rates` and `average` too."""
    yield from node_problems(path, arguments_of("optimizer", node))
    if node.get("clip") is not None:
        yield from positive(f"{path}.clip", node["clip"])
    if node.get("average") is not None:
        yield from share(f"{path}.average", node["average"], "the decay of the weights' average", one=False)
    rates = node.get("rates") or {}
    if not isinstance(rates, Mapping):
        yield f"{path}.rates={shown(rates)}: must be shares of lr by how parameters' names begin, such as {{body: 0.1}}"
        return
    for part, rate in rates.items():
        yield from not_negative(f"{path}.rates.{part}", rate)


def arguments_of(part: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the config of a recipe's part its class gets."""
    return {key: value for key, value in node.items() if key not in OWN.get(part, ())}


def _call_problems(path: str, node: Mapping[str, Any]) -> Iterator[str]:
    target = node["_target_"]
    if not isinstance(target, str) or not _package_exists(target):
        yield f"{path}._target_={shown(target)}: no such class or function; give its full name, package.module.Class"
        return
    for key in ("_partial_", "_recursive_"):
        yield from boolean(f"{path}.{key}", node.get(key, True))
    yield from choice(f"{path}._convert_", node.get("_convert_", "none"), CONVERSIONS)
    if not isinstance(node.get("_args_", []), list):
        yield f"{path}._args_={shown(node['_args_'])}: must be a list"
    elif (signature := signature_of(target)) is not None:
        yield from _argument_problems(path, node, signature)


def _argument_problems(path: str, node: Mapping[str, Any], signature: Signature) -> Iterator[str]:
    given = {key: value for key, value in node.items() if key not in HYDRAS_OWN}
    if not (node.get("_partial_") or node.get("_args_")):
        missing = [key for key, it in signature.parameters.items() if not it.optional and key not in given]
        yield from (f"{path}.{key}: is missing" for key in missing)
    for key, value in given.items():
        if key in signature.parameters:
            yield from _value_problems(f"{path}.{key}", key, value, signature.parameters[key])
        elif not signature.others:
            named = ", ".join(key for key, it in signature.parameters.items() if it.optional or key in given)
            yield f"{path}.{key}: no such argument of {node['_target_']}; there are {named or 'none'}"


def _value_problems(path: str, key: str, value: Any, parameter: Parameter) -> Iterator[str]:
    built_or_filled_in = (isinstance(value, Mapping) and "_target_" in value) or (key in SIZES and value is None)
    suitable = suits(value, parameter.annotation)
    if built_or_filled_in or (value is None and suitable):
        return
    checked = [line for call in parameter.limits for line in _checked(call, path, value)]
    if checked:
        yield from checked
    elif not suitable:
        kind = wanted(parameter.annotation) or "something else"
        yield f"{path}={shown(value)}: must be {kind}{_hint(path, value, parameter)}"


def _hint(path: str, value: Any, parameter: Parameter) -> str:
    """Return how to write a value where only the way of writing is wrong."""
    if suits([value], parameter.annotation):
        return f", such as [{shown(value)}]"
    if suits(str(value), parameter.annotation) and isinstance(value, int | float):
        return f"""; a text that looks like a number needs quotes of its own, '{path}="{value}"'"""
    return ""


def _checked(call: ast.Call, path: str, value: Any) -> list[str]:
    """Return what a call of `kdlab.limits` in a constructor says of a value."""
    assert isinstance(call.func, ast.Name)
    more = [it.value for it in call.args[2:] if isinstance(it, ast.Constant)]
    named = {it.arg: it.value.value for it in call.keywords if it.arg and isinstance(it.value, ast.Constant)}
    return getattr(limits, call.func.id)(path, value, *more, **named)


def _package_exists(target: str) -> bool:
    """Tell whether the first part of a full name can be imported; the rest is seen when the part is built."""
    first, *rest = target.split(".")
    try:
        return bool(rest) and all(rest) and importlib.util.find_spec(first) is not None
    except (ImportError, ValueError):
        return False
