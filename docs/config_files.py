"""What docs/config.py reads: the options of conf/ as Hydra composes them, their comments, and docstrings."""

import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose
from hydra.utils import get_object
from omegaconf import OmegaConf

from kdlab.config.compose import CONFIGS

TRAIN = CONFIGS / "train.yaml"
# Keys of a node that Hydra reads itself.
HYDRAS_OWN = ("_target_", "_partial_", "_args_")


class Comments(NamedTuple):
    """The comments of a yaml: the lines above its first key, and those of its keys by dotted path."""

    header: list[str]
    keys: dict[str, str]


class Option(NamedTuple):
    """One file of a group: its name, its values as composed, and its comments."""

    name: str
    values: dict[str, Any]
    comments: Comments

    @property
    def target(self) -> str:
        """What it builds; empty for plain values."""
        return str(self.values.get("_target_", ""))

    @property
    def keys(self) -> list[str]:
        """Its keys, less Hydra's own."""
        return [key for key in self.values if key not in HYDRAS_OWN]


@cache
def composed() -> dict[str, Any]:
    """Return the config without any override, its interpolations as they are written."""
    return plain(compose("train"))


@cache
def choices() -> list[tuple[str, str, str]]:
    """Return (group, place, option) for each choice in the defaults list of train.yaml."""
    found = []
    for entry in raw(TRAIN)["defaults"]:
        for key, option in entry.items() if isinstance(entry, dict) else ():
            group, _, place = key.partition("@")
            if not group.startswith("override"):
                found.append((group, place or group, str(option)))
    return found


@cache
def options_of(group: str) -> list[Option]:
    """Return the options of a group, the default first, each as it comes out at the group's first place."""
    place, first = next((place, option) for name, place, option in choices() if name == group)
    choose = f"{group}@{place}" if place != group else group
    return [
        Option(
            name,
            value_at(plain(compose("train", [f"{choose}={name}"])), place),
            comments_of(CONFIGS / group / f"{name}.yaml"),
        )
        for name in sorted(names_in(group), key=lambda name: name != first)
    ]


def added() -> list[str]:
    """Return the groups that the defaults list does not name; experiments come first."""
    named = {group for group, _, _ in choices()} | {"hydra"}
    found = {folder.name for folder in CONFIGS.iterdir() if folder.is_dir()} - named
    return sorted(found, key=lambda group: (group != "experiment", group))


def names_in(group: str) -> list[str]:
    """Return the options of a group, in the order of their names."""
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml"))


def keys_below(section: str) -> list[str]:
    """Return the paths of a section's keys."""
    return [f"{section}.{key}" for key in composed()[section]]


@cache
def arguments(target: str) -> dict[str, str]:
    """Return the arguments that the docstrings of a kdlab class and its bases describe."""
    found: dict[str, str] = {}
    built = get_object(target) if target.startswith("kdlab.") else None
    for item in built.__mro__ if isinstance(built, type) else [built]:
        if item and item.__module__.startswith("kdlab."):
            section = re.search(r"^Args:\n((?: {4}.*\n?|\n)*)", inspect.getdoc(item) or "", re.MULTILINE)
            entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE)
            found = {name: " ".join(words.split()).removesuffix(".") for name, words in entries} | found
    return found


@cache
def comments_of(file: Path) -> Comments:
    """Return the comments of a yaml, and for its keys those of the files beside it that it is based on."""
    bases = raw(file).get("defaults", []) if file != TRAIN else []
    beside = [file.parent / f"{base}.yaml" for base in bases if isinstance(base, str)]
    inherited = {key: it for base in beside if base.exists() for key, it in comments_of(base).keys.items()}
    header, keys = _read_comments(file.read_text().splitlines())
    return Comments(header, inherited | keys)


def _read_comments(lines: Iterable[str]) -> Comments:
    """Read comments: behind a key, below that in the same column, or in the lines above a key."""
    header: list[str] | None = None
    keys: dict[str, str] = {}
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    path, column = "", -1
    for line in lines:
        before, mark, after = re.fullmatch(r"(.*?)(?:(?<!\S)(#)(.*))?", line).groups(default="")  # type: ignore[union-attr]
        if mark and not before.strip():
            if path in keys and len(before) == column:
                keys[path] += f" {after.strip()}"
            else:
                above.append(after.removeprefix(" "))
            continue
        if found := re.match(r"( *)([^:]+):(?: |$)", before):
            parents = [*(it for it in parents if it[0] < len(found[1])), (len(found[1]), found[2])]
            path, column = ".".join(name for _, name in parents), len(before)
            if header is None:
                header, above = above, []
            if mark or above:
                keys[path] = after.strip() if mark else " ".join(above)
        above = []
    return Comments([line for line in header or [] if not line.startswith("@package")], keys)


@cache
def raw(file: Path) -> dict[str, Any]:
    """Return a yaml as it stands."""
    return plain(OmegaConf.load(file))


def plain(config: Any) -> dict[str, Any]:
    """Return a config as plain values, its interpolations as they are written."""
    values: Any = OmegaConf.to_container(config, resolve=False)
    return values


def value_at(config: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path."""
    value: Any = config
    for part in path.split("."):
        value = value[part]
    return value
