"""The figure of what students know of classes that they never saw."""

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kdlab.report.palette import colours
from kdlab.results import Results

CORRECTIONS = {"none": "as it is", "prior": "corrected without labels", "oracle": "corrected on test labels"}


def unseen_accuracy(results: Results) -> Figure:
    """Draw the test accuracy of each student on its unseen classes, before and after bias correction.

    Raises:
        ValueError: when no student has unseen classes.
    """
    arms = [fit.arm for fit in results.fits if results.find(fit.arm, "unseen", "accuracy", "oracle")]
    if not arms:
        raise ValueError("no student of this run has unseen classes")
    figure = Figure(figsize=(max(6.0, 1.1 * len(arms) + 2), 4), layout="constrained")
    panel = figure.subplots()
    width = 0.8 / len(CORRECTIONS)
    for i, ((correction, label), colour) in enumerate(zip(CORRECTIONS.items(), colours(3), strict=True)):
        rows = [results.find(arm, "unseen", "accuracy", correction) for arm in arms]
        heights = [row.value if row else 0.0 for row in rows]
        panel.bar([x + (i - 1) * width for x in range(len(arms))], heights, width, label=label, color=colour)
    panel.set_xticks(range(len(arms)), arms, rotation=30 if len(arms) > 6 else 0)
    panel.set(ylabel="test accuracy on unseen classes", ylim=(0, 1), title=f"{results.experiment}, seed {results.seed}")
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    panel.grid(axis="y", alpha=0.3)
    panel.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure
