"""Interpolations, such as `${seed}`: their values, or which of them have none."""

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kdlab.errors import ConfigError
from kdlab.limits import shown

REFERENCE = re.compile(r"\$\{(?:oc\.select:)?([\w.@\[\]]+)")


def resolved_values(config: DictConfig) -> Any:
    """Return a config as plain values.

    Raises:
        ConfigError: with each key that has no value, or whose interpolation cannot be resolved.
    """
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (OmegaConfBaseException, RecursionError, ValueError) as error:
        broken = {path: problem for path, problem in _unset(config)} | _unresolved(config)
        raise ConfigError(
            [f"{path}{problem}" for path, problem in broken.items()] or [f"the config: {_first_line(error)}"]
        ) from None


def _unset(config: Any) -> Iterator[tuple[str, str]]:
    for path, node, key in _places(config, ""):
        if OmegaConf.is_missing(node, key):
            yield path, ": has no value"


def _unresolved(config: DictConfig) -> dict[str, str]:
    """Return what is wrong with each interpolation that has no value, by key.

    Those that only refer to another such key, or to one that is not set, are left out.
    """
    written: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for path, node, key in _places(config, ""):
        if OmegaConf.is_interpolation(node, key) and (reason := _failure(node, key)):
            raw: Any = OmegaConf.to_container(node)
            written[path], reasons[path] = str(raw[key]), reason
    unset = [path for path, _ in _unset(config)]

    def takes_over(path: str) -> bool:
        return any(other != path and other in (*written, *unset) for other in REFERENCE.findall(written[path]))

    own = [path for path in written if not takes_over(path)] or ([] if unset else list(written))
    return {path: f"={shown(written[path])}: {reasons[path]}" for path in own}


def _failure(node: Any, key: Any) -> str | None:
    try:
        value = node[key]
    except (OmegaConfBaseException, RecursionError, ValueError) as error:
        if "Recursive interpolation" in str(error) or isinstance(error, RecursionError):
            return "refers to itself"
        return f"cannot be resolved: {_first_line(error)}"
    try:
        if OmegaConf.is_config(value):
            OmegaConf.to_container(value, resolve=True)
    except RecursionError:
        return "refers to itself"
    except OmegaConfBaseException:  # of a key inside of it, which is told on its own
        pass
    return None


def _first_line(error: Exception) -> str:
    """Return what went wrong, without the resolver's name for the error."""
    line = str(error).strip().split("\n")[0]
    return re.sub(r"^\w+ raised while resolving interpolation: ", "", line).strip("\"'")


def _places(node: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (full key, container, key in it) of everything that stands in a config itself."""
    if node._is_none() or node._is_interpolation() or node._is_missing():
        return
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        place = f"{path}.{key}" if isinstance(node, DictConfig) and path else f"{path}[{key}]" if path else str(key)
        yield place, node, key
        if not (OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key)):
            inner = node[key]
            if OmegaConf.is_config(inner):
                yield from _places(inner, place)
