"""Intervals and tests, from scipy: of a mean over seeds, of a share of samples, of two networks on the same samples."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean, or a share, and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def half_width(sd: Any, n: Any) -> Any:
    """Return half the width of the 95 % t interval of a mean, t(0.975, n − 1) · sd / √n; NaN for n < 2.

    Args:
        sd: sample standard deviations, of any shape.
        n: numbers of values, of the same shape.
    """
    sizes = np.maximum(np.asarray(n, dtype=float), 1)
    return np.where(sizes > 1, stdtrit(np.maximum(sizes - 1, 1), (1 + LEVEL) / 2) * sd / np.sqrt(sizes), np.nan)


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of one or more values with its 95 % t interval; a single value has none, NaN.

    Equal values have an interval of width 0. Means and ends are rounded to 12 digits: a difference of shares that are
    equal is 0.
    """
    mean = float(np.mean(values))
    half = float(half_width(np.std(values, ddof=1), len(values))) if len(values) > 1 else float("nan")
    return Interval(*(round(it, 12) for it in (mean, mean - half, mean + half)))


def wilson(right: int, n: int) -> Interval:
    """Return the share right / n with Wilson's 95 % interval (score interval without continuity correction)."""
    from scipy.stats import binomtest  # its import takes longer than a report's tables

    ends = binomtest(right, n).proportion_ci(LEVEL, method="wilson")
    return Interval(right / n, float(ends.low), float(ends.high))


def mcnemar(first_alone: int, second_alone: int) -> float:
    """Return the p-value of McNemar's exact two-sided test that two networks are right equally often; 1 without any.

    Args:
        first_alone: how many samples the first network alone gets right.
        second_alone: how many the second alone.
    """
    from scipy.stats import binomtest

    total = first_alone + second_alone
    return float(binomtest(first_alone, total).pvalue) if total else 1.0
