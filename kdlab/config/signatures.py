"""What a `_target_` takes, read from its source: importing it would import torch, which takes seconds.

Where the source does not say, because it is compiled, decorated or computed, `signature_of` returns None, and what is
wrong shows when the part is built.
"""

import ast
import importlib.util
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Parameter:
    """One argument: its annotation (None for none) and whether it may be left out.

    `limits` are the calls of `kdlab.limits` in the constructor that check it, such as `positive("lr", lr)`.
    """

    annotation: ast.expr | None
    optional: bool
    limits: tuple[ast.Call, ...] = ()


@dataclass(frozen=True)
class Signature:
    """What a class or a function takes by name; `others` where it takes arguments that it does not name."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    others: bool = False


@cache
def signature_of(target: str) -> Signature | None:
    """Return what the class or function with this full name takes; None where its source does not say."""
    try:
        found = _find(*_module_of(target))
        return _signature(*found) if found else None
    except (OSError, SyntaxError, ValueError, ImportError, RecursionError):
        return None


@cache
def _source(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _module_of(target: str) -> tuple[Path, list[str]]:
    """Return the file of the innermost module in a full name, and the names inside of it."""
    first, *rest = target.split(".")
    spec = importlib.util.find_spec(first)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ImportError(target)
    return _below(Path(spec.origin), rest)


def _below(path: Path, names: list[str]) -> tuple[Path, list[str]]:
    """Follow names into the modules of a package; return the last module's file, and the names that are left."""
    while names and path.name == "__init__.py":
        inner = [path.parent / names[0] / "__init__.py", path.parent / f"{names[0]}.py"]
        if not (found := [file for file in inner if file.is_file()]):
            break
        path, names = found[0], names[1:]
    return path, names


def _find(path: Path, names: list[str]) -> tuple[Path, Definition] | None:
    """Return the definition of a name in a file, and the file that has it: names that it imports are followed."""
    if len(names) != 1:
        return None
    (name,) = names
    for statement in _source(path).body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef) and statement.name == name:
            return path, statement
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if alias.name == "*" and (found := _find(*_imported(path, statement, name))):
                    return found
                if (alias.asname or alias.name) == name:
                    return _find(*_imported(path, statement, alias.name))
    return None


def _imported(path: Path, statement: ast.ImportFrom, name: str) -> tuple[Path, list[str]]:
    module = statement.module or ""
    if not statement.level:
        return _module_of(f"{module}.{name}")
    folder = path.parents[statement.level - 1]
    return _below(folder / "__init__.py", [*filter(None, module.split(".")), name])


def _signature(path: Path, definition: Definition) -> Signature | None:
    if definition.decorator_list:
        return None
    if isinstance(definition, ast.FunctionDef):
        return _of_function(path, definition, skipped=0)
    if any(isinstance(item, ast.FunctionDef) and item.name == "__new__" for item in definition.body):
        return None
    made = [item for item in definition.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    if made and made[0].decorator_list:
        return None
    own = _of_function(path, made[0], skipped=1) if made else Signature(others=True)
    if not own.others:
        return own
    # What it does not name goes to its base.
    bases = [_find(path, [base.id]) if isinstance(base, ast.Name) else None for base in definition.bases]
    inherited = _signature(*bases[0]) if bases and bases[0] else None
    if inherited is None:
        return own if made else None
    return Signature(inherited.parameters | own.parameters, inherited.others)


def _of_function(path: Path, function: ast.FunctionDef, *, skipped: int) -> Signature:
    given = function.args
    plain, with_default = [*given.posonlyargs, *given.args][skipped:], len(given.defaults)
    limits = _limits(path, function)
    defaults = dict(zip([it.arg for it in plain[len(plain) - with_default :]], given.defaults, strict=True))
    defaults |= {it.arg: value for it, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value}
    parameters = {
        it.arg: Parameter(_with_null(it.annotation, defaults.get(it.arg)), it.arg in defaults, tuple(limits[it.arg]))
        for it in [*plain, *given.kwonlyargs]
    }
    return Signature(parameters, others=given.kwarg is not None)


def _with_null(annotation: ast.expr | None, default: ast.expr | None) -> ast.expr | None:
    """Return an annotation that allows null where the default is null, annotated so or not."""
    if annotation is None or not (isinstance(default, ast.Constant) and default.value is None):
        return annotation
    return ast.BinOp(annotation, ast.BitOr(), default)


def _limits(path: Path, function: ast.FunctionDef) -> dict[str, list[ast.Call]]:
    """Return the calls of `kdlab.limits` in a function, by the argument that each checks."""
    known = {
        alias.name
        for statement in _source(path).body
        if isinstance(statement, ast.ImportFrom) and statement.module == "kdlab.limits"
        for alias in statement.names
    }
    found: dict[str, list[ast.Call]] = defaultdict(list)
    for call in _calls(function):
        match call:
            case ast.Call(func=ast.Name(id=checker), args=[ast.Constant(value=str(name)), ast.Name(id=value), *more]):
                literal = [*more, *(keyword.value for keyword in call.keywords)]
                if checker in known and name == value and all(isinstance(it, ast.Constant) for it in literal):
                    found[name].append(call)
    return found


def _calls(function: ast.FunctionDef) -> Iterator[ast.Call]:
    return (node for node in ast.walk(function) if isinstance(node, ast.Call))
