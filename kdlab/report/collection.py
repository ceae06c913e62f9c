"""All runs below some folders: finished, unfinished, failed, or corrupt. Numbers come from results.json alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kdlab.point import failure_of
from kdlab.results import InvalidResults, Results, read

Value = str | int | float | bool | None
# Parts of a config that do not matter to results, or that repeat others.
LEFT_OUT = ("name", "store", "comparison", "figures", "trainer.devices")


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    results: Results

    @cached_property
    def described(self) -> dict[str, Value]:
        """Its experiment, data set and config as one flat mapping, less what does not matter to results."""
        config = {key: value for key, value in self.results.config.items() if key not in LEFT_OUT}
        flat = {key: value for key, value in _flatten("", config) if key not in LEFT_OUT}
        return {"experiment": self.results.experiment, "dataset": self.results.dataset} | flat

    def fit_of(self, arm: str) -> tuple[str, str] | None:
        """Return what makes an arm of two runs the same: its fit, and the classes that count as unseen."""
        key = next((fit.key for fit in self.results.fits if fit.arm == arm), None)
        return (key, str(self.results.held_out_classes)) if key else None


def _flatten(prefix: str, node: dict[str, Any]) -> Iterator[tuple[str, Value]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flatten(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", str(value) if isinstance(value, list) else value


class Missing(NamedTuple):
    """A run without results: what was asked of it, and why there are none."""

    folder: Path
    overrides: tuple[str, ...]
    why: str

    @property
    def failed(self) -> bool:
        """Whether it came to an end of its own, rather than being cut off, under way, or never begun."""
        return self.why not in (UNFINISHED, NOT_BEGUN)


UNFINISHED, NOT_BEGUN = "unfinished", "not begun"


class Collection(NamedTuple):
    """What lies below some folders.

    `runs` are the finished ones, each once; `missing` those without results; `skipped` has one message for each
    results.json that is corrupt or foreign; `copies` counts runs left out because another is the same in all.
    """

    runs: list[Run]
    missing: list[Missing]
    skipped: list[str]
    copies: int


def collect(folders: Iterable[Path]) -> Collection:
    """Read all runs and sweeps below `folders`, in the order of their paths, numbers by their size."""
    runs: dict[Path, Run] = {}
    missing: dict[Path, Missing] = {}
    skipped: list[str] = []
    for folder in folders:
        for path in sorted(folder.rglob("results.json"), key=_natural):
            try:
                runs[path.parent.resolve()] = Run(path.parent, read(path))
            except InvalidResults as error:
                skipped.append(str(error))
                why = "its results.json cannot be read"
                missing[path.parent.resolve()] = Missing(path.parent, _overrides(path.parent), why)
        for begun in sorted(folder.rglob(".hydra/overrides.yaml"), key=_natural):
            run = begun.parent.parent
            why = failure_of(run) or UNFINISHED
            missing.setdefault(run.resolve(), Missing(run, _overrides(run), why))
        for sweep in sorted(folder.rglob("multirun.yaml"), key=_natural):
            for number, overrides in enumerate(planned(sweep)):
                run = sweep.parent / str(number)
                why = failure_of(run) or NOT_BEGUN
                missing.setdefault(run.resolve(), Missing(run, overrides, why))
    left = [lack for place, lack in missing.items() if place not in runs]
    different = _different(runs.values())
    return Collection(
        different, sorted(left, key=lambda lack: _natural(lack.folder)), skipped, len(runs) - len(different)
    )


def planned(multirun: Path) -> list[tuple[str, ...]]:
    """Return the overrides of each point of the sweep that Hydra wrote down in `multirun.yaml`.

    Nothing where Hydra's own sweeper was not used, or the file is no such record.
    """
    try:
        record = OmegaConf.load(multirun)
        given = [str(line) for line in OmegaConf.select(record, "hydra.overrides.task") or ()]
        if not str(OmegaConf.select(record, "hydra.sweeper._target_")).endswith(".BasicSweeper"):
            return []
        parsed = OverridesParser.create().parse_overrides(given)
        (points,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    except (OSError, ValueError, OmegaConfBaseException, HydraException):
        return []
    return [tuple(point) for point in points]


def _overrides(run: Path) -> tuple[str, ...]:
    try:
        return tuple(str(line) for line in OmegaConf.load(run / ".hydra" / "overrides.yaml"))
    except (OSError, OmegaConfBaseException):
        return ()


def _different(runs: Iterable[Run]) -> list[Run]:
    """Leave out runs that say the same of the same fits as an earlier one."""
    seen: dict[str, Run] = {}
    for run in runs:
        results = run.results
        fits = [(fit.arm, fit.key) for fit in results.fits]
        rows = [row for row in results.rows if row.split != "cost"]
        seen.setdefault(str((results.experiment, results.dataset, fits, rows)), run)
    return list(seen.values())


def _natural(path: Path) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in path.parts]
