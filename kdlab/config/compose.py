"""The composed config: where its files lie, how a sweep's points are composed, its text. Imports no torch."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict

PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel the configs lie inside the package, in a checkout beside it.
CONFIGS = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
# Arguments that say how a sweep is run, not what it is.
HOW = ("hydra/launcher", "hydra.launcher", "hydra.verbose", "store")

ComposedConfig = DictConfig


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
    composed = loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = str(number)
        composed.hydra.job.num = number
        composed.hydra.sweep.dir = str(sweep)
    return composed


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a composed config as a run gets it: without Hydra's own part."""
    with open_dict(config):
        del config["hydra"]
    return config


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
    return str(yaml.safe_dump(dict(config), allow_unicode=True, sort_keys=False))
