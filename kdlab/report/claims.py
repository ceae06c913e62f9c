"""The verdicts on claims, of a run or at each setting of a sweep: as a data frame, a CSV file, a table, sentences."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from kdlab.claims.draws import is_seed
from kdlab.claims.statistics import Interval
from kdlab.claims.verdict import Verdict, claims_in, judge
from kdlab.config.claims import Claim
from kdlab.config.comparison import SHARES
from kdlab.files import write_csv
from kdlab.report.comparison import departures, written
from kdlab.report.rows import Run, configs_of
from kdlab.report.settings import as_categories
from kdlab.report.tables import Table
from kdlab.results import Results

FIGURES = ("verdict", "mean", "low", "high", "n", "missing_seeds", "sample_low", "sample_high", "first_alone",
           "second_alone", "p")  # fmt: skip


class Judged(NamedTuple):
    """A verdict, the settings that it is about by their keys, and in what its runs differ from the claim's source."""

    verdict: Verdict
    at: Mapping[str, str]
    differs: str


def judged_run(results: Results) -> list[Judged]:
    """Return the verdict on each claim of a run: one draw."""
    return [Judged(judge(claim, [results]), {}, departures(results)) for claim in claims_in(results)]


def judged_runs(runs: Sequence[Run], fits: pd.DataFrame, keys: Sequence[str]) -> list[Judged]:
    """Return the verdict on each claim at each setting: over the runs that differ in their seeds alone.

    Args:
        runs: whose claims are judged; each over the runs of its experiment and data set that have it.
        fits: from `fits_of`; a key that is blank for all arms of a claim does not part its settings.
        keys: that differ between the runs.
    """
    asked: dict[tuple[str, str, Claim], list[int]] = {}
    for number, (_, results) in enumerate(runs):
        for claim in claims_in(results):
            asked.setdefault((results.experiment, results.dataset, claim), []).append(number)
    configs = configs_of(run.results for run in runs)
    found = []
    for (*_, claim), numbers in asked.items():
        own = fits[fits["arm"].isin(claim.arms)]
        parting = [key for key in keys if not is_seed(key) and (own[key] != "").any()]
        places = pd.DataFrame({key: as_categories(configs[key]) for key in parting}, configs.index).loc[numbers]
        for values, members in places.groupby(parting, observed=True) if parting else [((), places)]:
            of_setting = [runs[i].results for i in members.index]
            at = dict(zip(parting, map(str, values), strict=True))
            found.append(Judged(judge(claim, of_setting), at, _once(map(departures, of_setting))))
    return found


def claims_frame(judged: Iterable[Judged]) -> pd.DataFrame:
    """Return a line for each verdict: claim, bound, the swept keys, the verdict's numbers, source.

    `low` and `high` are the 95 % t interval of the mean; `sample_low`, `sample_high` and `p` what the test samples say
    of a single draw, see `kdlab.claims.verdict`.
    """
    lines = [
        {"claim": it.claim.say, "bound": bound(it.claim), **at, **_figures(it), "source": it.claim.source}
        for it, at, _ in judged
    ]
    keys = dict.fromkeys(key for _, at, _ in judged for key in at)
    frame = pd.DataFrame(lines, columns=["claim", "bound", *keys, *FIGURES, "source"])
    return frame.astype(dict.fromkeys(("first_alone", "second_alone"), "Int64"))


def _figures(it: Verdict) -> dict[str, object]:
    samples, test = it.samples or (None,) * 3, it.test or (None,) * 3
    return dict(zip(FIGURES, (it.word, *it.interval, it.n, " ".join(it.missing), *samples[1:], *test), strict=True))


def write_claims(judged: Sequence[Judged], path: Path) -> None:
    """Write the verdicts as a CSV file; missing values are blank."""
    frame = claims_frame(judged).astype(object)
    write_csv(path, list(map(str, frame)), frame.where(frame.notna(), "").itertuples(index=False))


def bound(claim: Claim) -> str:
    """Return a claim's bound in words."""
    scale = 100 if _in_per_cent(claim) else 1
    low, high = (None if it is None else f"{scale * it:,.10g}" for it in (claim.low, claim.high))
    words = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    return words + _unit(claim)


def claims_table(judged: Sequence[Judged]) -> Table | None:
    """Return the verdicts as a table; None without claims.

    The first cell of a line has the claim and its source, once for all settings, and what else is known: missing seeds,
    what the samples say.
    Without more than one draw of any claim there is no column for intervals.
    """
    if not judged:
        return None
    several = any(it.verdict.n > 1 for it in judged)
    keys = list(dict.fromkeys(key for it in judged for key in it.at))
    rows: list[list[str]] = []
    for i, (it, at, _) in enumerate(judged):
        repeated = i > 0 and judged[i - 1].verdict.claim == it.claim
        source = [f"source: {it.claim.source}"] if it.claim.source else []
        said = [""] if repeated else [it.claim.say, *source]
        about = "\n".join([*said, *_remarks(it)])
        over_draws = [_ends(it.interval, it.claim), str(it.n)] if several else []
        numbers = bound(it.claim), _number(it.interval.mean, it.claim), *over_draws
        rows.append([about, it.word, *(at.get(key, "") for key in keys), *numbers])
    caption = f"What must be, and what is: {'the mean over n draws (seeds)' if several else 'of one seed'}"
    if differs := _differences(judged):
        caption += f". Their sources' figures are {differs}"
    header = ["claim", "verdict", *keys, "must be", *(["mean", "95 % interval (t)", "n"] if several else ["is"])]
    return Table("claims", caption, header, rows, labels=2 + len(keys))


def claim_lines(judged: Iterable[Judged]) -> Iterator[str]:
    """Yield a sentence for each claim: its verdict, or how often each verdict was reached over several settings.

    Then, where the runs differ from what the sources' figures are about, one that says so.
    """
    judged = list(judged)
    by_claim: dict[Claim, list[Judged]] = {}
    for it in judged:
        by_claim.setdefault(it.verdict.claim, []).append(it)
    for claim, found in by_claim.items():
        if len(found) > 1:
            words = Counter(it.verdict.word for it in found)
            said = ", ".join(f"{word} at {count}" for word, count in words.most_common())
            yield f"{claim.say}: {said} of {len(found)} settings"
            continue
        ((verdict, *_),) = found
        interval = f" [{_ends(verdict.interval, claim)}], n = {verdict.n}" if verdict.n > 1 else ""
        mean = f"{_number(verdict.interval.mean, claim) or 'no value'}{interval}"
        yield "; ".join([f"{verdict.word}: {claim.say}: {mean} (must be {bound(claim)})", *_remarks(verdict)])
    if differs := _differences(judged):
        yield f"the sources' figures are {differs}"


def _differences(judged: Iterable[Judged]) -> str:
    return _once(it.differs for it in judged)


def _once(texts: Iterable[str]) -> str:
    """Return what several texts list, each part once."""
    return "; ".join(dict.fromkeys(part for text in texts for part in text.split("; ") if part))


def _remarks(it: Verdict) -> Iterator[str]:
    """Yield what a reader must know beside the mean: which seeds are missing, and what the samples of one draw say."""
    if it.crossed:
        yield f"{it.crossed.runs} runs that cross {' and '.join(it.crossed.keys)} are no more than {it.n} draws"
    if it.missing and not it.n:
        yield f"no run has a value of {' and '.join(it.claim.arms)}: it was not measured, or the fit failed"
    elif it.missing:
        seed = "" if "=" in it.missing[0] else "seed "
        yield f"no value of {' or '.join(it.claim.arms)} at {seed}{', '.join(it.missing)}"
    if it.tried:
        told = ", ".join(f"{arm} of {n}" for arm, n in it.tried)
        yield f"unequally tuned: the settings of {told} that were tried"
    if it.samples:
        yield f"its samples alone: {_ends(it.samples, it.claim)} (Wilson's 95 % interval)"
    if it.test:
        first, second = (
            " ".join(filter(None, (side.arm, "" if side.correction == "none" else side.correction)))
            for side in (it.claim.value, it.claim.minus)
            if side
        )
        yield (
            f"of the same samples {it.test.first_alone:,} are right in {first} alone, {it.test.second_alone:,} in "
            f"{second} alone (McNemar's exact test: p = {it.test.p:.2g})"
        )


def _ends(interval: Interval, claim: Claim) -> str:
    """Return the ends of an interval as text; blank for NaN."""
    if math.isnan(interval.low):
        return ""
    return f"{_bare(interval.low, claim)} to {_bare(interval.high, claim)}{_unit(claim)}"


def _number(value: float, claim: Claim) -> str:
    """Return a value of a claim's metric as text; blank for NaN."""
    return "" if math.isnan(value) else f"{_bare(value, claim)}{_unit(claim)}"


def _bare(value: float, claim: Claim) -> str:
    return f"{100 * value:.2f}" if _in_per_cent(claim) else written(value, claim.value.metric)


def _in_per_cent(claim: Claim) -> bool:
    return claim.share_of is not None or claim.value.metric in SHARES


def _unit(claim: Claim) -> str:
    """Return the unit of a claim's value: per cent for shares, points for differences of accuracies and the like."""
    if not _in_per_cent(claim):
        return ""
    return " points" if claim.minus and not claim.share_of else " %"
