"""Means over runs that differ in their seeds alone, with their intervals; of one run, its own numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from kdlab.report.rows import over_seeds
from kdlab.report.settings import outcomes
from kdlab.results import Results

# Results of one run, or of several that differ in their seeds alone.
Several = Results | Sequence[Results]
INTERVAL = "95 % interval of the mean over seeds (t)"


class Mean(NamedTuple):
    """A row's mean over `fits` different fits, half the width of its 95 % t interval, and its number of samples.

    `half` is NaN for one fit, `n` 0 where the fits have different numbers of samples.
    """

    value: float
    half: float
    fits: int
    n: int

    @property
    def reach(self) -> float:
        """Half the width of the interval, 0 for one fit."""
        return self.half if self.fits > 1 else 0.0


@dataclass(frozen=True)
class Averages:
    """Means by (arm, classes, correction, metric) on `split`, over `runs` runs; `arms` are their fits, in order.

    `called` says what the runs are: `3 seeds`, or `4 runs` where some share their seed, as with two splits of each.
    """

    split: str
    runs: int
    called: str
    arms: Sequence[str]
    means: Mapping[tuple[str, str, str, str], Mean]

    def find(self, arm: str, classes: str, metric: str, correction: str = "none") -> Mean | None:
        """Return the mean of the rows with these properties, if there are some."""
        return self.means.get((arm, classes, correction, metric))

    def named(self, arm: str, fits: int) -> str:
        """Return an arm's name, with its number of fits if it is not that of the runs."""
        return arm if fits == self.runs else f"{arm}, n = {fits}"


def averaged(results: Several) -> Averages:
    """Return the means over the different fits of each arm, on the split that the first of the results shows."""
    several = as_list(results)
    split = several[0].shown_split
    different = different_fits(several)
    lines = [
        (row.arm, row.classes, row.correction, row.metric, row.value, row.n)
        for number, found in enumerate(several)
        for row in found.rows
        if row.split == split and number in different[row.arm]
    ]
    by = ["arm", "classes", "correction", "metric"]
    rows = pd.DataFrame(lines, columns=[*by, "value", "n"]).astype({"value": float})
    samples = rows.groupby(by)["n"].agg(["first", "nunique"])
    stats = over_seeds(rows, by).join(samples["first"].where(samples["nunique"] == 1, 0))
    means = {place: Mean(mean, half, fits, n) for place, mean, half, fits, n in stats.itertuples(name=None)}
    arms = dict.fromkeys(fit.arm for found in several for fit in found.fits)
    seeds = len({it.seed for it in several})
    called = f"{seeds} seeds" if seeds == len(several) else f"{len(several)} runs"
    return Averages(split, len(several), called, list(arms), means)


def different_fits(several: Sequence[Results]) -> dict[str, list[int]]:
    """Return for each arm the positions of the results with its different fits: one that runs share counts once."""
    found: dict[str, dict[int, int]] = {}
    for number, results in enumerate(several):
        for arm, *_, outcome in outcomes(results):
            found.setdefault(arm, {}).setdefault(outcome, number)
    return {arm: list(first.values()) for arm, first in found.items()}


def as_list(results: Several) -> list[Results]:
    """Return one or several results as a list."""
    return [results] if isinstance(results, Results) else list(results)
