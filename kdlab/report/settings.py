"""What was varied between runs, and what each arm came to at each setting, over seeds."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kdlab.report.collection import Run, Value


class Setting(NamedTuple):
    """One arm at one setting: the values of the keys that matter to it, and its runs, one for each outcome."""

    arm: str
    values: dict[str, Value]
    runs: list[Run]

    def figures(self, metric: str, classes: str = "all", correction: str = "none", split: str = "test") -> list[float]:
        """Return the metric's value in each run that has it."""
        found = [run.results.find(self.arm, classes, metric, correction, split) for run in self.runs]
        return [row.value for row in found if row]


def swept_keys(runs: Sequence[Run]) -> list[str]:
    """Return the keys of the config that differ between runs, as the user types them.

    Keys that always change together (`loss.temperature` and `student.loss.temperature`) count once, under the name with
    the fewest dots.
    """
    flat = [run.described for run in runs]
    names = dict.fromkeys(name for described in flat for name in described)
    columns: dict[tuple[str, ...], str] = {}
    for name in sorted(names, key=lambda name: name.count(".")):
        column = tuple(repr(described.get(name)) for described in flat)
        if len(set(column)) > 1:
            columns.setdefault(column, name)
    order = list(names)
    return sorted(columns.values(), key=lambda name: (is_seed(name), order.index(name)))


def is_seed(key: str) -> bool:
    """Return whether runs that differ in this key alone are repetitions."""
    return key.rpartition(".")[2] in ("seed", "split_seed", "sample_seed")


def values_of(run: Run, keys: Iterable[str]) -> dict[str, Value]:
    """Return the run's values of these keys; None for what it does not have."""
    return {key: run.described.get(key) for key in keys}


def settings_of(runs: Sequence[Run], keys: Sequence[str]) -> list[Setting]:
    """Return each arm at each of its settings, the teacher's first.

    A key that changes none of an arm's rows does not tell its settings apart, and what several runs share counts once:
    a baseline has one setting where only the temperature is varied.
    """
    arms = dict.fromkeys(arm for run in runs for arm in run.arms)
    found: list[Setting] = []
    for arm in arms:
        having = [run for run in runs if arm in run.arms]
        relevant = [key for key in keys if not is_seed(key) and _matters(key, keys, having, arm)]
        by_values: dict[str, Setting] = {}
        for run in having:
            values = values_of(run, relevant)
            setting = by_values.setdefault(repr(values), Setting(arm, values, []))
            if all(run.outcome_of(arm) != other.outcome_of(arm) for other in setting.runs):
                setting.runs.append(run)
        found += sorted(by_values.values(), key=lambda setting: [sortable(v) for v in setting.values.values()])
    return found


def distinct(values: Iterable[Value]) -> list[Value]:
    """Return the different values in order."""
    return sorted(set(values), key=sortable)


def combinations(settings: Sequence[Setting], keys: Sequence[str]) -> list[tuple[Value, ...]]:
    """Return the different values that these keys have together, in order."""
    return sorted(
        {tuple(setting.values[key] for key in keys) for setting in settings},
        key=lambda values: [sortable(value) for value in values],
    )


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation; None for that of fewer than two values."""
    if not values:
        return math.nan, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _matters(key: str, keys: Sequence[str], runs: Sequence[Run], arm: str) -> bool:
    """Return whether runs that differ in this key alone have different rows of the arm.

    Where no two runs differ in it alone, it matters if there are different rows at all.
    """
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(repr(values_of(run, [name for name in keys if name != key])), []).append(run)
    varied_alone = [group for group in alike.values() if len({repr(values_of(run, [key])) for run in group}) > 1]
    return any(len({run.outcome_of(arm) for run in group}) > 1 for group in varied_alone or [list(runs)])


def sortable(value: Value) -> tuple[int, float, str]:
    """Return what values are sorted by: numbers by their size, before all else by how it is written."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, float(value), "") if is_number else (1, 0.0, str(value))  # type: ignore[arg-type]
