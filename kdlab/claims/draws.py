"""Which runs are draws of their own: by the fits that a claim is about, and by the seeds that they share."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from kdlab.claims.statistics import Interval, mean_interval
from kdlab.config.claims import Claim
from kdlab.results import Results

# Runs that differ only in keys with these last parts are repetitions.
SEED_KEYS = ("seed", "split_seed", "sample_seed")


class Crossed(NamedTuple):
    """The keys of seeds that a grid crosses, and how many runs it has."""

    keys: tuple[str, ...]
    runs: int


def is_seed(key: str) -> bool:
    """Return whether runs that differ only in this key are repetitions."""
    return key.rpartition(".")[2] in SEED_KEYS


def distinct(claim: Claim, runs: Sequence[Results]) -> list[Results]:
    """Return the runs in their order, without those whose fits of the claim's arms another has already."""
    return list({_identity(claim, it): it for it in reversed(runs)}.values())[::-1]


def over_draws(runs: Sequence[Results], values: Sequence[float]) -> tuple[Interval, int, Crossed | None]:
    """Return the mean of the runs' values with its 95 % interval, the number of independent draws, and what is crossed.

    The runs of a grid that crosses seeds are no draws of their own: eight students of two teachers, `teacher.seed=0,1
    student.seed=0,1,2,3`, say no more about teachers than two. For each crossed seed k the means over the runs that
    share it have a t interval, of half width h_k; together it is √(Σ h_k²), and n is the smallest of their numbers.
    That is wide enough where every seed has an effect of its own, and too wide where one has none.
    """
    if not values:
        return Interval(*[math.nan] * 3), 0, None
    whole = mean_interval(values)
    crossed = _crossed(runs)
    if not crossed:
        return whole, len(values), None
    halves, sizes = [], []
    for parts in crossed.values():
        means = [fmean(values[i] for i in part) for part in parts]
        halves.append((mean_interval(means).high - mean_interval(means).low) / 2)
        sizes.append(len(means))
    half = math.hypot(*halves)
    ends = (round(it, 12) for it in (whole.mean - half, whole.mean + half))
    return Interval(whole.mean, *ends), min(sizes), Crossed(tuple(crossed), len(runs))


def _crossed(runs: Sequence[Results]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return the keys of seeds that some runs share and others do not, each with the positions that share it.

    Of keys that part the runs alike, such as one that is `${seed}`, the first is taken.
    """
    found: dict[tuple[tuple[int, ...], ...], str] = {}
    seeds = [seeds_of(it) for it in runs]
    for key in seeds[0]:
        parts = defaultdict(list)
        for i, own in enumerate(seeds):
            parts[own.get(key)].append(i)
        if 1 < len(parts) < len(runs):
            found.setdefault(tuple(map(tuple, parts.values())), key)
    return {key: parts for parts, key in found.items()}


def named(runs: Sequence[Results]) -> list[str]:
    """Return what tells each of the runs from the others: its seed alone, or the seeds that differ, by their keys."""
    if len({it.seed for it in runs}) == len(runs):
        return [str(it.seed) for it in runs]
    seeds = [seeds_of(it) for it in runs]
    keys = [key for key in seeds[0] if len({it.get(key) for it in seeds}) > 1]
    # What merely follows another key, as all do that are `${seed}`, names nothing more.
    keys = [key for i, key in enumerate(keys) if not any(_follows(key, other, seeds) for other in keys[:i])]
    names = [",".join(f"{key}={own.get(key)}" for key in keys) for own in seeds]
    return [name or str(it.seed) for name, it in zip(names, runs, strict=True)]


def seeds_of(results: Results) -> dict[str, Any]:
    """Return the seeds of a run by their keys; that of the run first."""
    return {"seed": 0} | dict(_seeds(results.config)) | {"seed": results.seed}


def _seeds(node: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _seeds(value, f"{at}{key}.")
        elif is_seed(key) and value is not None:
            yield f"{at}{key}", value


def _follows(key: str, other: str, seeds: Sequence[Mapping[str, Any]]) -> bool:
    return len({(it.get(key), it.get(other)) for it in seeds}) == len({it.get(other) for it in seeds})


def _identity(claim: Claim, results: Results) -> tuple[object, ...]:
    """Return the content keys of the fits that a claim is about; the seeds for what has none.

    The Bayes rule depends on the seeds of the data, a fit that failed on all.
    """
    keys = {fit.arm: fit.key for fit in results.fits}
    seeds = tuple(seeds_of(results).items())
    of_data = tuple(it for it in seeds if it[0] == "seed" or it[0].startswith("data."))
    return tuple(keys.get(arm, of_data if arm == "bayes" else seeds) for arm in claim.arms)
