"""All runs below some folders: finished, unfinished, failed, or corrupt. Numbers come from results.json alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from kdlab.config.commands import overrides_of, planned, sweep_command
from kdlab.hashing import plain, short_hash
from kdlab.outcome import failure_of
from kdlab.results import InvalidResults, Results, read

Value = str | int | float | bool | None
# Parts of a config that do not matter to results, or that repeat others.
LEFT_OUT = ("name", "question", "store", "comparison", "figures", "trainer.devices")


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

    @property
    def arms(self) -> list[str]:
        """The teacher and the students."""
        return [fit.arm for fit in self.results.fits]

    def outcome_of(self, arm: str) -> str:
        """Return what makes an arm of two runs the same: its fit, and its rows, less what its network costs."""
        return self._outcomes[arm]

    @cached_property
    def _outcomes(self) -> dict[str, str]:
        rows: dict[str, list[str]] = {}
        for row in self.results.rows:
            if row.split != "cost":
                rows.setdefault(row.arm, []).append(repr(row))
        return {fit.arm: short_hash([fit.key, rows.get(fit.arm, [])]) for fit in self.results.fits}


def _flatten(prefix: str, node: dict[str, Any]) -> Iterator[tuple[str, Value]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flatten(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", str(value) if isinstance(value, list) else plain(value)


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
    results.json that is corrupt or foreign; `repeated` counts runs left out because a later one has the same config.
    """

    runs: list[Run]
    missing: list[Missing]
    skipped: list[str]
    repeated: int


def collect(folders: Iterable[Path]) -> Collection:
    """Read all runs and sweeps below `folders`, in the order of their paths, numbers by their size."""
    runs: dict[Path, Run] = {}
    missing: dict[Path, Missing] = {}
    skipped: list[str] = []
    for folder in folders:
        for path in sorted(folder.rglob("results.json"), key=_natural):
            if failure_of(path.parent):  # of a later try than the results are
                continue
            try:
                runs[path.parent.resolve()] = Run(path.parent, read(path))
            except InvalidResults as error:
                skipped.append(str(error))
                why = "its results.json cannot be read"
                missing[path.parent.resolve()] = Missing(path.parent, overrides_of(path.parent), why)
        for begun in sorted(folder.rglob(".hydra/overrides.yaml"), key=_natural):
            run = begun.parent.parent
            why = failure_of(run) or UNFINISHED
            missing.setdefault(run.resolve(), Missing(run, overrides_of(run), why))
        for sweep in sorted(folder.rglob("multirun.yaml"), key=_natural):
            for number, overrides in enumerate(planned(sweep)):
                run = sweep.parent / str(number)
                why = failure_of(run) or NOT_BEGUN
                missing.setdefault(run.resolve(), Missing(run, overrides, why))
    left = [lack for place, lack in missing.items() if place not in runs]
    latest = _latest(list(runs.values()))
    return Collection(latest, left, skipped, len(runs) - len(latest))


def commands_of(runs: Iterable[Run]) -> list[str]:
    """Return the commands that the runs came from, each once: for all points of a sweep, that of the sweep."""
    found: dict[Path, str | None] = {}  # a sweep's record is read once
    for run in runs:
        multirun = run.folder.parent / "multirun.yaml"
        origin = multirun if multirun.exists() else run.folder
        if origin not in found:
            own = run.results.environment.get("command")
            found[origin] = (sweep_command(multirun) if origin == multirun else None) or own
    return list(dict.fromkeys(filter(None, found.values())))


def _latest(runs: Sequence[Run]) -> list[Run]:
    """Leave out runs whose config a later one has too: repetitions differ in a seed, these would count twice."""
    latest: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.folder / "results.json").stat().st_mtime):
        latest[repr(run.described)] = run
    kept = {run.folder for run in latest.values()}
    return [run for run in runs if run.folder in kept]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in path.parts]
