"""The commands behind runs and sweeps, from the records that Hydra keeps of them."""

import shlex
import time
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

# What reading a record may raise: of another tool, by another hand, or damaged.
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, YAMLError, OmegaConfBaseException,
    HydraException,
)  # fmt: skip


def given_at(sweep: Path | None) -> float:
    """Return when the command was given; for a sweep when Hydra recorded it, by the file system's clock."""
    written = sweep / "multirun.yaml" if sweep else None
    return written.stat().st_mtime if written and written.exists() else time.time()


def repeating(hydra: Any, *, sweep: bool) -> str:
    """Return the command that does a run or a sweep again: what was typed, without folders and launcher.

    Args:
        hydra: Hydra's record of it: `HydraConfig.get()`, or `hydra` in `multirun.yaml`.
        sweep: whether the record is that of a sweep; for a sweep's point the command is that of a single run.
    """
    words = ["python", "-m", "kdlab.train", *(["-m"] if sweep else [])]
    for source in hydra.runtime.config_sources:
        if source.provider == "command-line":
            words += ["--config-dir", source.path]
    if hydra.job.config_name not in (None, "train"):
        words += ["--config-name", hydra.job.config_name]
    return shlex.join([*words, *_lines(hydra.overrides.task)])


def _lines(overrides: Any) -> list[str]:
    """Return overrides as they were typed, with interpolations in them unresolved."""
    plain: Any = OmegaConf.to_container(overrides)
    return [str(line) for line in plain]


def sweep_command(multirun: Path) -> str | None:
    """Return the command of the sweep that Hydra recorded in `multirun.yaml`; None where there is no such record."""
    try:
        return repeating(OmegaConf.load(multirun).hydra, sweep=True)
    except UNREADABLE:
        return None


def overrides_of(run: Path) -> tuple[str, ...]:
    """Return the overrides that a run was started with; none where they were not recorded."""
    try:
        return tuple(_lines(OmegaConf.load(run / ".hydra" / "overrides.yaml")))
    except UNREADABLE:
        return ()


def planned(multirun: Path) -> list[tuple[str, ...]]:
    """Return the overrides of each point of the sweep that Hydra recorded in `multirun.yaml`.

    Nothing where another sweeper than Hydra's own was used, where a point's folder is not its number, or where there is
    no such record.
    """
    try:
        record = OmegaConf.load(multirun)
        sweeper = OmegaConf.select(record, "hydra.sweeper") or {}
        content: Any = OmegaConf.to_container(record)
        numbered = content["hydra"].get("sweep", {}).get("subdir") == "${hydra.job.num}"
        if not (numbered and str(sweeper.get("_target_")).endswith((".BasicSweeper", ".PointSweeper"))):
            return []
        given = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
        given += [str(line) for line in OmegaConf.select(record, "hydra.overrides.task") or ()]
        parsed = OverridesParser.create().parse_overrides(given)
        (points,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    except UNREADABLE:
        return []
    return [tuple(point) for point in points]
