"""Judge a claim over the seeds at hand, or tell what the test samples say of a single one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kdlab.claims.draws import Crossed, distinct, named, over_draws
from kdlab.claims.statistics import Interval, mcnemar, wilson
from kdlab.config.claims import Claim, Selection, claim_problems, claims_of
from kdlab.config.comparison import SHARES
from kdlab.config.tuning import tried_settings
from kdlab.results import InvalidResults, Results

# A share of less than a point of accuracy, or the like, is noise over noise.
LEAST_WHOLE = 0.01
Word = Literal["holds", "refuted", "open", "one draw"]


class Test(NamedTuple):
    """McNemar's exact test: the counts of samples that one network alone gets right, and the p-value."""

    first_alone: int
    second_alone: int
    p: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A verdict on a claim.

    `interval` is the mean over `n` draws with its 95 % t interval: of the value, or of the difference, paired by seed.
    `crossed` says which seeds a grid crosses, where it does. `missing` names the runs without a value, by their seeds.
    Of one draw, `samples` is Wilson's interval of a count or a share of samples, `test` McNemar's of a difference; None
    where the samples say nothing. `tried` says among how many settings each of the claim's students was chosen, by arm,
    where that is not the same for all; empty elsewhere.
    """

    claim: Claim
    word: Word
    interval: Interval
    n: int
    crossed: Crossed | None = None
    missing: tuple[str, ...] = ()
    samples: Interval | None = None
    test: Test | None = None
    tried: tuple[tuple[str, int], ...] = ()


def claims_in(results: Results) -> tuple[Claim, ...]:
    """Return the claims of a run's experiment.

    Raises:
        InvalidResults: when the claims in the run's config, which may have been edited, are none.
    """
    if problems := [*claim_problems(results.config.get("claims") or [], results.config)]:
        raise InvalidResults("\n".join(["the config of the results is not a run's:", *problems]))
    return claims_of(results.config)


def judge(claim: Claim, runs: Sequence[Results]) -> Verdict:
    """Return the verdict on a claim over runs that differ in their seeds alone.

    `holds` or `refuted` where the interval lies on one side of the bound; a bound is on the side of what holds. `open`
    otherwise, or without any value. Runs with the same fits of the claim's arms are one draw; those of a grid that
    crosses seeds are fewer draws than runs (`kdlab.claims.draws.over_draws`).
    """
    draws = distinct(claim, runs)
    found = [(it, value) for it in draws if (value := _value(claim, it)) is not None]
    missing = tuple(name for it, name in zip(draws, named(draws), strict=True) if _value(claim, it) is None)
    interval, n, crossed = over_draws([it for it, _ in found], [value for _, value in found])
    only = found[0][0] if len(found) == 1 else None
    return Verdict(
        claim=claim,
        word="one draw" if only else _word(claim, interval),
        interval=interval,
        n=n,
        crossed=crossed,
        missing=missing,
        samples=_samples(claim, only) if only else None,
        test=_test(claim, only) if only else None,
        tried=_tried(claim, draws[0]) if draws else (),
    )


def _tried(claim: Claim, results: Results) -> tuple[tuple[str, int], ...]:
    students = [arm for arm in claim.arms if arm in (results.config.get("arms") or ())]
    tried = tuple((arm, tried_settings(results.config, arm)) for arm in students)
    return tried if len({count for _, count in tried}) > 1 else ()


def _value(claim: Claim, results: Results) -> float | None:
    value, minus = (_selected(it, results) if it else 0.0 for it in (claim.value, claim.minus))
    if value is None or minus is None:
        return None
    if claim.share_of is None:
        return value - minus
    whole = _whole(claim, results)
    return (value - minus) / whole if whole else None


def _whole(claim: Claim, results: Results) -> float | None:
    """Return the difference that a claim takes a share of; None where it is too small for that."""
    assert claim.share_of
    first, second = (_selected(it, results) for it in claim.share_of)
    if first is None or second is None:
        return None
    least = LEAST_WHOLE if claim.value.metric in SHARES else 0
    return first - second if abs(first - second) > least else None


def _selected(it: Selection, results: Results) -> float | None:
    return results.value(it.arm, it.classes, it.metric, it.correction, it.split)


def _word(claim: Claim, interval: Interval) -> Word:
    low = float("-inf") if claim.low is None else claim.low
    high = float("inf") if claim.high is None else claim.high
    if low <= interval.low and interval.high <= high:
        return "holds"
    return "refuted" if interval.high < low or high < interval.low else "open"


def _samples(claim: Claim, results: Results) -> Interval | None:
    """Return Wilson's interval of a single value, in the units of the claim's metric."""
    it = claim.value
    errors = results.find(it.arm, it.classes[0], "errors", it.correction, it.split)
    if claim.minus or not claim.counts_samples or errors is None:
        return None
    wrong = it.metric in ("errors", "error_rate")
    share = wilson(round(errors.value if wrong else errors.n - errors.value), errors.n)
    scale = errors.n if it.metric in ("errors", "correct") else 1
    return Interval(*(scale * end for end in share))


def _test(claim: Claim, results: Results) -> Test | None:
    value, minus = claim.value, claim.minus
    if minus is None or not claim.counts_samples:
        return None
    place = (value.arm, value.correction), (minus.arm, minus.correction), value.classes[0], value.split
    for it in results.disagreements:
        if (it.first, it.second, it.classes, it.split) == place:
            return Test(it.first_alone, it.second_alone, mcnemar(it.first_alone, it.second_alone))
    return None
