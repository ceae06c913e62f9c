"""Whether a value of the config suits the annotation of an argument, and what to say where it does not."""

import ast
from collections.abc import Mapping
from typing import Any

from kdlab.limits import is_finite, is_integer

SEQUENCES = ("Sequence", "list", "List", "tuple", "Tuple", "Iterable", "Collection")
MAPPINGS = ("Mapping", "dict", "Dict")
UNIONS = ("Optional", "Union")
# Types that no plain value of a yaml has.
BUILT = ("Tensor", "Module", "Callable")
PLAIN = {
    "int": ("an integer", lambda value: is_integer(value, least=-(2**63))),
    "float": ("a number", is_finite),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "str": ("a text", lambda value: isinstance(value, str)),
    "None": ("null", lambda value: value is None),
}


PLURALS = {"an integer": "integers", "a number": "numbers", "a text": "texts", "true or false": "truth values"}


def suits(value: Any, annotation: ast.expr | None) -> bool:
    """Tell whether a plain value has the annotated type; true where the annotation is not understood."""
    match annotation:
        case ast.Constant(value=None):
            return value is None
        case ast.Constant(value=str(text)):
            return suits(value, ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return suits(value, left) or suits(value, right)
        case ast.Subscript(value=generic, slice=inner):
            return _suits_generic(value, _name(generic), inner.elts if isinstance(inner, ast.Tuple) else [inner])
        case ast.Name() | ast.Attribute():
            return _suits_name(value, _name(annotation))
    return True


def wanted(annotation: ast.expr | None) -> str:
    """Return what a value must be, in words; nothing where the annotation is not understood."""
    return " or ".join(dict.fromkeys(filter(None, _kinds(annotation))))


def _kinds(annotation: ast.expr | None) -> list[str]:
    match annotation:
        case ast.Constant(value=None):
            return ["null"]
        case ast.Constant(value=str(text)):
            return _kinds(ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, right=right):
            return _kinds(left) + _kinds(right)
        case ast.Subscript(value=generic, slice=inner):
            return _generic_kinds(_name(generic), inner.elts if isinstance(inner, ast.Tuple) else [inner])
        case ast.Name() | ast.Attribute():
            name = _name(annotation)
            return [PLAIN[name][0] if name in PLAIN else "a list" if name in SEQUENCES else ""]
    return []


def _generic_kinds(name: str, inner: list[ast.expr]) -> list[str]:
    if name == "Literal":
        return [str(it.value) for it in inner if isinstance(it, ast.Constant)]
    if name in UNIONS:
        return [kind for it in inner for kind in _kinds(it)] + (["null"] if name == "Optional" else [])
    if name in SEQUENCES:
        of = " or ".join(PLURALS[kind] for kind in _kinds(inner[0]) if kind in PLURALS)
        pair = name in ("tuple", "Tuple") and all(not isinstance(it, ast.Constant) for it in inner)
        return [f"a list of {len(inner)} {of}" if of and pair else f"a list of {of}" if of else "a list"]
    return ["a mapping" if name in MAPPINGS else ""]


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _suits_name(value: Any, name: str) -> bool:
    if name in PLAIN:
        return PLAIN[name][1](value)
    if name in SEQUENCES:
        return isinstance(value, list)
    if name in MAPPINGS:
        return isinstance(value, Mapping)
    return name not in BUILT


def _suits_generic(value: Any, name: str, inner: list[ast.expr]) -> bool:
    if name == "Literal":
        choices = [it.value for it in inner if isinstance(it, ast.Constant)]
        return any(type(value) is type(it) and value == it for it in choices)
    if name in UNIONS:
        return (name == "Optional" and value is None) or any(suits(value, it) for it in inner)
    if name in ("tuple", "Tuple"):
        of_any_length = len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is ...
        if not of_any_length:
            return isinstance(value, list) and len(value) == len(inner) and all(map(suits, value, inner))
    if name in SEQUENCES:
        return isinstance(value, list) and all(suits(item, inner[0]) for item in value)
    if name in MAPPINGS:
        return isinstance(value, Mapping)
    return name not in BUILT
