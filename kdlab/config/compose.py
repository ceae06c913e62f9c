"""The composed config: where its files lie, how a sweep's points are composed, its text. Imports no torch."""

import copy
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel the configs lie inside the package, in a checkout beside it.
CONFIGS = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
# Arguments that say how a sweep is run, not what it is.
HOW = ("hydra/launcher", "hydra.launcher", "hydra.verbose", "store")

ComposedConfig = DictConfig
# For each loader, what it merged from its files, by the choices of groups.
_merged: WeakKeyDictionary[ConfigLoader, dict[tuple[str, ...], DictConfig]] = WeakKeyDictionary()


def sweep_id(arguments: tuple[str, ...]) -> str:
    """Return a name for the sweep that a command's arguments describe; the same command has the same name."""
    what = [argument for argument in arguments if not argument.lstrip("+~").startswith(HOW)]
    return hashlib.sha256("\0".join(what).encode()).hexdigest()[:8]


OmegaConf.register_new_resolver("sweep_id", lambda: sweep_id(tuple(sys.argv[1:])), use_cache=True, replace=True)


def experiments() -> dict[str, str]:
    """Return the questions of all experiments by name."""
    files = sorted((CONFIGS / "experiment").glob("*.yaml"))
    return {file.stem: str(OmegaConf.select(OmegaConf.load(file), "question")) for file in files}


def compose_point(
    loader: ConfigLoader, config: DictConfig, *, number: int, overrides: tuple[str, ...], sweep: Path
) -> DictConfig:
    """Return the config of one point of a sweep, whose folder lies below the sweep's."""
    composed = _composed(loader, config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = str(number)
        composed.hydra.job.num = number
        composed.hydra.sweep.dir = str(sweep)
    return composed


def _composed(loader: ConfigLoader, config: DictConfig, overrides: tuple[str, ...]) -> DictConfig:
    """Return what Hydra composes for these overrides.

    Reading and merging the files takes most of the time, and depends on the choices of groups alone; points of the same
    choices share it. Their values are set on a copy, as Hydra does after merging.
    """
    own = [*map(str, config.hydra.overrides.hydra)]
    parsed = OverridesParser.create().parse_overrides([*overrides])
    searched = any("hydra.searchpath" in line for line in own) or OmegaConf.select(config, "hydra.searchpath")
    if not isinstance(loader, ConfigLoaderImpl) or searched or any(it.is_sweep_override() for it in parsed):
        return loader.load_sweep_config(config, list(overrides))
    choices = [it for it in parsed if it.is_hydra_override() or _is_choice(it, loader)]
    lines = [str(it.input_line) for it in choices]
    key = (config.hydra.job.config_name, *own, "", *lines)
    merged = _merged.setdefault(loader, {})
    if key not in merged:
        merged[key] = loader.load_sweep_config(config, lines)
    composed = copy.deepcopy(merged[key])
    loader._apply_overrides_to_config([it for it in parsed if it not in choices], composed)
    tasks = [it for it in parsed if not it.is_hydra_override()]
    composed.hydra.overrides.task = [it.input_line for it in tasks]
    named = composed.hydra.job.config.override_dirname
    composed.hydra.job.override_dirname = get_overrides_dirname(
        tasks, exclude_keys=named.exclude_keys, item_sep=named.item_sep, kv_sep=named.kv_sep
    )
    return composed


def _is_choice(override: Override, loader: ConfigLoaderImpl) -> bool:
    """Tell whether an override chooses a group's option, as Hydra decides it."""
    return loader.repository.group_exists(override.key_or_group) and not isinstance(override.value(), dict)


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a composed config as a run gets it: without Hydra's own part."""
    with open_dict(config):
        del config["hydra"]
    return config


def resolved_task(config: DictConfig) -> dict[str, Any]:
    """Return a composed config as plain values, without Hydra's own part; raises OmegaConf's errors."""
    return {
        str(key): OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        if OmegaConf.is_config(value)
        else value
        for key, value in config.items()
        if key != "hydra"
    }


def is_recorded(config: DictConfig, folder: Path) -> bool:
    """Tell whether Hydra's record in a point's folder is of the same overrides."""
    record = folder / str(config.hydra.output_subdir) / "overrides.yaml"
    return record.read_text() == OmegaConf.to_yaml(config.hydra.overrides.task)


def worth_stacking(config: DictConfig) -> bool:
    """Tell whether the points of a sweep may find fits that were trained at once, ahead of them."""
    kept = OmegaConf.select(config, "store.folder") is not None
    return kept and OmegaConf.select(config, "trainer.stack") not in (None, "off", 1)


def one_folder(config: DictConfig) -> bool:
    """Tell whether a sweep's points would share one folder."""
    subdir = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore[index,call-overload]
    return not any(f"hydra.job.{part}" in str(subdir) for part in ("num", "id", "override_dirname"))


def as_yaml(config: Mapping[str, Any]) -> str:
    """Return a config as it would stand in a file."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))
