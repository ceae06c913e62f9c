"""Collect all runs below some folders: finished, unfinished, failed or corrupt. Only results.json gives numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from kdlab.claims.draws import is_seed
from kdlab.config.commands import overrides_of, planned, sweep_command
from kdlab.outcome import failure_of
from kdlab.report.claims import Judged, judged_runs
from kdlab.report.numbers import Numbers, numbers_of
from kdlab.report.rows import Run, configs_of
from kdlab.report.settings import fits_of, settings_of, swept_keys
from kdlab.report.sweep_table import best_by_validation, best_lines
from kdlab.results import InvalidResults, Results, read


class Missing(NamedTuple):
    """A run without results, or without those of some fits: its overrides, and why."""

    folder: Path
    overrides: tuple[str, ...]
    why: str

    @property
    def failed(self) -> bool:
        """False if the run was interrupted, is still running or has not begun."""
        return self.why not in (UNFINISHED, NOT_BEGUN)


UNFINISHED, NOT_BEGUN = "unfinished", "not begun"


@dataclass(frozen=True)
class Collection:
    """The runs below some folders.

    `runs` have results, `missing` lack some or all, and `skipped` has a message for each results.json that cannot be
    read. `repeated` counts the runs left out because a later one has the same config.
    """

    runs: list[Run]
    missing: list[Missing]
    skipped: list[str]
    repeated: int

    @property
    def results(self) -> list[Results]:
        """The results of the finished runs."""
        return [run.results for run in self.runs]

    @cached_property
    def keys(self) -> list[str]:
        """The keys that differ between the runs, see `swept_keys`."""
        return swept_keys(self.runs)

    @cached_property
    def over_seeds(self) -> bool:
        """Whether there are runs, and nothing but seeds varies between them and those that are missing."""
        if not self.runs or not all(map(is_seed, self.keys)):
            return False
        given = set(overrides_of(self.runs[0].folder))
        varied = {
            line for lack in self.missing if lack.overrides for line in given.symmetric_difference(lack.overrides)
        }
        return all(is_seed(line.partition("=")[0]) for line in varied)

    @cached_property
    def numbers(self) -> tuple[list[Numbers], list[str]]:
        """The runs' counts and curves, and a sentence for each file that is left out, see `numbers_of`."""
        return numbers_of(self.runs)

    @cached_property
    def fits(self) -> pd.DataFrame:
        """The different fits of each arm at each setting, see `fits_of`."""
        return fits_of(self.runs, self.keys)

    @cached_property
    def settings(self) -> pd.DataFrame:
        """The rows of each arm at each setting, see `settings_of`."""
        return settings_of(self.fits)

    @cached_property
    def claims(self) -> list[Judged]:
        """The verdict on each claim at each setting, see `judged_runs`."""
        return judged_runs(self.runs, self.fits, self.keys)

    @cached_property
    def best(self) -> list[list[str]]:
        """Each arm's best point by validation, in sentences, see `best_lines`."""
        return [list(best_lines(best)) for best in best_by_validation(self.settings)]


def collect(folders: Iterable[Path]) -> Collection:
    """Read all runs and sweeps below `folders`, sorted by path; numbers in paths are sorted by size."""
    runs: dict[Path, Run] = {}
    missing: dict[Path, Missing] = {}
    skipped: list[str] = []
    for folder in folders:
        for path in sorted(folder.rglob("results.json"), key=_natural):
            why = failure_of(path.parent)
            try:
                results = read(path)
                if why and not results.failed:  # a later try than that of the results
                    continue
                runs[path.parent.resolve()] = Run(path.parent, results)
                why = "\n".join(results.failed.values())
            except InvalidResults as error:
                skipped.append(str(error))
                why = "its results.json cannot be read"
            if why:
                missing[path.parent.resolve()] = Missing(path.parent, overrides_of(path.parent), why)
        for begun in sorted(folder.rglob(".hydra/overrides.yaml"), key=_natural):
            run = begun.parent.parent
            if not {run.resolve()} & (runs.keys() | missing.keys()):
                missing[run.resolve()] = Missing(run, overrides_of(run), failure_of(run) or UNFINISHED)
        for sweep in sorted(folder.rglob("multirun.yaml"), key=_natural):
            for number, overrides in enumerate(planned(sweep)):
                run = sweep.parent / str(number)
                why = failure_of(run) or NOT_BEGUN
                missing.setdefault(run.resolve(), Missing(run, overrides, why))
    left = [lack for place, lack in missing.items() if place not in runs or runs[place].results.failed]
    latest = _latest(list(runs.values()))
    return Collection(latest, left, skipped, len(runs) - len(latest))


def commands_of(runs: Iterable[Run]) -> list[str]:
    """Return the runs' commands without repetitions; points of a sweep share the sweep's command."""
    found: dict[Path, str | None] = {}  # reads a sweep's record once
    for run in runs:
        multirun = run.folder.parent / "multirun.yaml"
        origin = multirun if multirun.exists() else run.folder
        if origin not in found:
            own = run.results.environment.get("command")
            found[origin] = (sweep_command(multirun) if origin == multirun else None) or own
    return list(dict.fromkeys(str(command) for command in found.values() if command))


def _latest(runs: Sequence[Run]) -> list[Run]:
    """Leave out runs whose config a later run has, too: they would count twice. Repetitions differ in their seeds."""
    configs = configs_of(run.results for run in runs).map(repr)
    written = pd.Series([(run.folder / "results.json").stat().st_mtime for run in runs], dtype=float)
    kept = configs.loc[written.sort_values(kind="stable").index].drop_duplicates(keep="last").index
    return [runs[i] for i in sorted(kept)]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in path.parts]
