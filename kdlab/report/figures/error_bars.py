"""Draw errors, and accuracy on unseen classes, before and after bias correction."""

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kdlab.report.averages import INTERVAL, Averages, Mean, Several, averaged
from kdlab.report.figures.drawing import INK, described, in_style, sheet
from kdlab.report.figures.palette import SEEN, UNSEEN, colours

CORRECTIONS = {"none": "uncorrected", "prior": "corrected without labels", "oracle": "corrected on test labels"}
# How the ends of an interval look.
WHISKERS: Any = {"ecolor": INK, "elinewidth": 1.2, "capsize": 3, "fmt": "none"}


@in_style
def error_counts(results: Several) -> Figure:
    """Draw each arm's errors on seen and unseen classes, before and after bias correction.

    Measured on `shown_split`. Of several runs that differ in their seeds alone, means with 95 % intervals.

    Raises:
        ValueError: when the runs have no rows of errors on this split.
    """
    found = averaged(results)
    split = found.split
    bars = [
        (arm, correction, errors)
        for arm in found.arms
        for correction in CORRECTIONS
        if (errors := found.find(arm, "all", "errors", correction))
    ]
    if not bars:
        raise ValueError(f"the run has no rows of errors on {split}")
    labels = [arm if correction == "none" else f"{arm}, {correction}" for arm, correction, _ in bars]
    figure = sheet(8, 0.32 * len(bars) + 1.3)
    panel = figure.subplots()
    most = max(errors.value + errors.reach for *_, errors in bars)
    parted = any(found.find(arm, "unseen", "errors", how) for arm, how, _ in bars)
    for y, (arm, correction, errors) in enumerate(bars):
        unseen = found.find(arm, "unseen", "errors", correction)
        on_unseen = unseen.value if unseen else 0.0
        panel.barh(y, errors.value - on_unseen, 0.7, color=SEEN, label="on seen classes" if parted else "errors")
        panel.barh(y, on_unseen, 0.7, left=errors.value - on_unseen, color=UNSEEN, hatch="///", edgecolor="white",
                   linewidth=0, label="on unseen classes")  # fmt: skip
        if errors.fits > 1:
            panel.errorbar(errors.value, y, xerr=errors.half, label=INTERVAL, **WHISKERS)
        end = errors.value + errors.reach + 0.01 * most
        panel.text(end, y, _counted(errors, found), va="center", fontsize="small")
    panel.set_yticks(range(len(bars)), labels)
    samples = f"{bars[0][2].n:,} {split} samples"
    room = 1.12 if found.runs == 1 else 1.25  # for the numbers
    panel.set(xlabel=f"errors on {samples}", xlim=(0, room * most or 1), ylim=(len(bars) - 0.4, -0.6))
    panel.grid(axis="x")
    handles, names = panel.get_legend_handles_labels()
    named = {name: handle for name, handle in zip(names, handles, strict=True) if parted or name == INTERVAL}
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=3)
    said = "; ".join(f"{label} {_counted(it, found)}" for label, (*_, it) in zip(labels, bars, strict=True))
    return described(figure, f"Bars: errors on {samples}{_over(found)}. {said}.")


def _counted(errors: Mean, found: Averages) -> str:
    """Return a number of errors as text: of several fits the mean ± half of its interval."""
    if found.runs == 1:
        return f"{errors.value:,.0f}"
    mean = f"{errors.value:,.1f}" + (f" ± {errors.half:,.1f}" if errors.fits > 1 else "")
    return found.named(mean, errors.fits)


def _over(found: Averages) -> str:
    return f", mean over {found.called} ± half of its 95 % interval" if found.runs > 1 else ""


@in_style
def unseen_accuracy(results: Several) -> Figure:
    """Draw each student's accuracy on its unseen classes, before and after bias correction.

    Measured on `shown_split`. Of several runs that differ in their seeds alone, means with 95 % intervals.

    Raises:
        ValueError: when no student has unseen classes.
    """
    found = averaged(results)
    arms = [arm for arm in found.arms if found.find(arm, "unseen", "accuracy", "oracle")]
    if not arms:
        raise ValueError("no student of this run has unseen classes")
    figure = sheet(max(6.0, 1.1 * len(arms) + 2), 4)
    panel = figure.subplots()
    width = 0.8 / len(CORRECTIONS)
    said = []
    for i, ((correction, label), colour) in enumerate(zip(CORRECTIONS.items(), colours(3), strict=True)):
        shares = [found.find(arm, "unseen", "accuracy", correction) for arm in arms]
        heights = {x: share for x, share in enumerate(shares) if share}
        places = [x + (i - 1) * width for x in heights]
        panel.bar(places, [share.value for share in heights.values()], width, label=label, color=colour)
        add_intervals(panel, dict(zip(places, heights.values(), strict=True)))
        said.append(f"{label}: " + ", ".join(f"{arms[x]} {in_words(share)}" for x, share in heights.items()))
    fits = {arm: share.fits for arm in arms if (share := found.find(arm, "unseen", "accuracy"))}
    names = [found.named(arm, fits.get(arm, found.runs)) for arm in arms]
    panel.set_xticks(range(len(arms)), names, rotation=30 if len(arms) > 6 else 0)
    panel.set(ylabel=f"{found.split} accuracy on unseen classes", ylim=(0, 1))
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    panel.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=3, title=what_whiskers_are(fits.values()))
    what = f"accuracy on classes that the student never saw{_over(found)}"
    return described(figure, f"Bars: {what}. {'; '.join(said)}.")


def add_intervals(panel: Axes, means: Mapping[float, Mean]) -> None:
    """Draw the intervals of means at their places on the x-axis, where there are such."""
    known = {x: mean for x, mean in means.items() if mean.fits > 1}
    if known:
        values, halves = ([getattr(mean, name) for mean in known.values()] for name in ("value", "half"))
        panel.errorbar(list(known), values, yerr=halves, **WHISKERS)


def what_whiskers_are(fits: Iterable[int]) -> str | None:
    """Return the title of a legend of means over these numbers of fits; None where no mean has an interval."""
    return f"whiskers: {INTERVAL}" if max(fits, default=1) > 1 else None


def in_words(share: Mean) -> str:
    """Return a share in per cent, with half of its interval if there is one."""
    return f"{share.value:.1%}" + (f" ± {100 * share.half:.1f}" if share.fits > 1 else "")
