"""The code that a fit runs besides kdlab's own: the user's, as hashes of source files; libraries, as versions."""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import get_object

from kdlab.hashing import code_hash, file_hash, short_hash

# Recorded in every key, or hashed by `kdlab.fits.key`.
KNOWN = {"kdlab", "torch", "torchvision", "lightning", *sys.stdlib_module_names} - {"__main__"}


class Sources(NamedTuple):
    """`code`: the hash of each of the user's packages and modules; `libraries`: the version of each distribution."""

    code: dict[str, str]
    libraries: dict[str, str]


def sources_of(targets: Iterable[str], classes: Iterable[type]) -> Sources:
    """Return the code that these targets of a config and these classes, with their base classes, may run.

    Of a user's package that is every file in it, of a single module its file, and the same for all modules of the user
    that these files import: a change in a helper changes a fit as much as one in the network's own file.
    """
    found = Sources({}, {})
    targets = list(targets)
    waiting = [target.partition(".")[0] for target in targets]
    for item in _with_bases([*map(get_object, targets), *classes]):
        name = _module_of(item)
        if name == "__main__" and not hasattr(sys.modules[name], "__file__"):
            found.code[f"{name}.{item.__qualname__}"] = _typed_in(item)
        else:
            waiting.append(name.partition(".")[0])
    while waiting:
        name = waiting.pop()
        if name in KNOWN or name in found.code:
            continue
        files = _files(name)
        if not files or {"site-packages", "dist-packages"}.intersection(files[0].parts):
            found.libraries.update(_versions(name))
        else:
            found.code[name] = short_hash([code_hash(file) if file.is_dir() else file_hash(file) for file in files])
            waiting.extend(imported for file in files for imported in _imported_by(file))
    return found


def _with_bases(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield from item.__mro__[:-1] if isinstance(item, type) else [item]


def _module_of(item: Any) -> str:
    return getattr(item, "__module__", None) or type(item).__module__


def _typed_in(item: Any) -> str:
    """Return the hash of what was typed in at a prompt or in a notebook; of its name, where its source is unknown."""
    try:
        return short_hash(inspect.getsource(item))
    except (OSError, TypeError):
        return short_hash(item.__qualname__)


@cache
def _files(name: str) -> list[Path]:
    """Return the folder of a package, or the file of a module; none if it has no source."""
    if name == "__main__":
        return [Path(sys.modules[name].__file__ or "")]
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [Path(folder) for folder in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []


@cache
def _imported_by(path: Path) -> set[str]:
    """Return the top-level names of all modules that a file, or the files in a folder, import anywhere."""
    names: set[str] = set()
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    return {name.partition(".")[0] for name in names}


@cache
def _versions(name: str) -> dict[str, str]:
    """Return the version of each distribution that an installed module is part of; the module's own name, mostly."""
    try:
        return {name: version(name)}
    except PackageNotFoundError:  # reading all distributions takes a second
        return {distribution: version(distribution) for distribution in packages_distributions().get(name, [])}
