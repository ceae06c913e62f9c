"""Draw errors, and accuracy on unseen classes, before and after bias correction."""

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kdlab.report.figures.drawing import described, in_style, sheet
from kdlab.report.figures.palette import SEEN, UNSEEN, colours
from kdlab.results import Results

CORRECTIONS = {"none": "uncorrected", "prior": "corrected without labels", "oracle": "corrected on test labels"}


@in_style
def error_counts(results: Results) -> Figure:
    """Draw each arm's errors on seen and unseen classes, before and after bias correction.

    Measured on `results.shown_split`.

    Raises:
        ValueError: when the run has no rows of errors on this split.
    """
    split = results.shown_split
    bars = [
        (fit.arm, correction, row)
        for fit in results.fits
        for correction in CORRECTIONS
        if (row := results.find(fit.arm, "all", "errors", correction, split))
    ]
    if not bars:
        raise ValueError(f"the run has no rows of errors on {split}")
    labels = [arm if correction == "none" else f"{arm}, {correction}" for arm, correction, _ in bars]
    figure = sheet(8, 0.32 * len(bars) + 1.3)
    panel = figure.subplots()
    most = max(row.value for *_, row in bars)
    parted = any(results.find(arm, "unseen", "errors", how, split) for arm, how, _ in bars)
    for y, (arm, correction, row) in enumerate(bars):
        unseen = results.find(arm, "unseen", "errors", correction, split)
        on_unseen = unseen.value if unseen else 0.0
        panel.barh(y, row.value - on_unseen, 0.7, color=SEEN, label="on seen classes" if parted else "errors")
        panel.barh(y, on_unseen, 0.7, left=row.value - on_unseen, color=UNSEEN, hatch="///", edgecolor="white",
                   linewidth=0, label="on unseen classes")  # fmt: skip
        panel.text(row.value + 0.01 * most, y, f"{row.value:,.0f}", va="center", fontsize="small")
    panel.set_yticks(range(len(bars)), labels)
    panel.set(
        xlabel=f"errors on {bars[0][2].n:,} {split} samples", xlim=(0, 1.12 * most or 1), ylim=(len(bars) - 0.4, -0.6)
    )
    panel.grid(axis="x")
    handles, names = panel.get_legend_handles_labels()
    named = dict(zip(names, handles, strict=True)) if parted else {}
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=2)
    said = "; ".join(f"{label} {row.value:,.0f}" for label, (*_, row) in zip(labels, bars, strict=True))
    return described(figure, f"Bars: errors on {bars[0][2].n:,} {split} samples. {said}.")


@in_style
def unseen_accuracy(results: Results) -> Figure:
    """Draw each student's accuracy on its unseen classes, before and after bias correction.

    Measured on `results.shown_split`.

    Raises:
        ValueError: when no student has unseen classes.
    """
    split = results.shown_split
    arms = [fit.arm for fit in results.fits if results.find(fit.arm, "unseen", "accuracy", "oracle", split)]
    if not arms:
        raise ValueError("no student of this run has unseen classes")
    figure = sheet(max(6.0, 1.1 * len(arms) + 2), 4)
    panel = figure.subplots()
    width = 0.8 / len(CORRECTIONS)
    said = []
    for i, ((correction, label), colour) in enumerate(zip(CORRECTIONS.items(), colours(3), strict=True)):
        rows = [results.find(arm, "unseen", "accuracy", correction, split) for arm in arms]
        heights = {x: row.value for x, row in enumerate(rows) if row}
        panel.bar([x + (i - 1) * width for x in heights], list(heights.values()), width, label=label, color=colour)
        said.append(f"{label}: " + ", ".join(f"{arms[x]} {y:.1%}" for x, y in heights.items()))
    panel.set_xticks(range(len(arms)), arms, rotation=30 if len(arms) > 6 else 0)
    panel.set(ylabel=f"{split} accuracy on unseen classes", ylim=(0, 1))
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    panel.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=3)
    return described(figure, f"Bars: accuracy on classes that the student never saw. {'; '.join(said)}.")
