"""Draw a sweep's lines: accuracy over one key, with a line for each combination of the others."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlab.report.figures.drawing import described, in_style, sheet, tick_classes
from kdlab.report.figures.heatmaps import axes_of
from kdlab.report.figures.palette import line_styles
from kdlab.report.rows import GROUPS, split_of
from kdlab.report.settings import accuracies, assigned, at, combinations, keys_of

# More lines, and more of the baseline's, cannot be told apart.
MOST_LINES, MOST_REFERENCES = 12, 4
CORRECTIONS = {"none": "uncorrected", "prior": "correction prior"}


@in_style
def lines(settings: pd.DataFrame, baseline: pd.DataFrame | None = None) -> Figure:
    """Draw an arm's accuracy over a swept key (temperature if swept), with 95 % intervals of the mean over seeds.

    Columns of panels: all, seen and unseen classes. Rows of panels: before and after bias correction.

    Args:
        settings: one arm's rows from `settings_of`; its settings must differ in at least one key.
        baseline: the baseline's rows, drawn as dashed grey lines.

    Raises:
        ValueError: when the settings do not differ.
    """
    keys = axes_of(settings)
    if not keys:
        raise ValueError("no key is swept")
    across, rest, arm, split = keys[0], keys[1:], settings["arm"].iloc[0], split_of(settings)
    stats = accuracies(settings, [*rest, across])
    measured = {(classes, how) for classes, how, *_ in stats.index}
    groups = [group for group in GROUPS if (group, "none") in measured]
    rows = [how for how in CORRECTIONS if ("all", how) in measured]
    figure = sheet(3.6 * len(groups) + 0.5, 2.9 * len(rows) + 0.8)
    axes = figure.subplots(len(rows), len(groups), squeeze=False)
    every, places = combinations(settings, rest), [value for (value,) in combinations(settings, [across])]
    series = every[:MOST_LINES]
    labels, references = [", ".join(assigned(rest, values)) or arm for values in series], _references(baseline)
    for row, correction in zip(axes, rows, strict=True):
        for axis, group in zip(row, groups, strict=True):
            cells = [(group, correction, *values, place) for values in series for place in places]
            _lines(axis, stats[["mean", "half"]].reindex(cells), labels)
            _reference_lines(axis, {label: means.get((group, correction)) for label, means in references.items()})
            axis.set(title=f"{group} classes, {CORRECTIONS[correction]}", xlabel=across, ylabel=f"{split} accuracy, %")
            tick_classes(axis.xaxis, places, inches=2.8)  # evenly spaced: swept values rarely are
    handles, labels = axes[0][0].get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    bars = "bars: 95 % interval of the mean over seeds (t)" if stats["half"].notna().any() else None
    figure.legend(named.values(), named.keys(), title=bars, loc="outside lower center", ncols=len(groups))
    cut = f"; the first {len(series)} of {len(every)} lines" if len(series) < len(every) else ""
    figure.suptitle(f"{arm}: mean over seeds{cut}")
    return described(
        figure,
        f"Lines with error bars: {split} accuracy of {arm} over {across}, for {', '.join(groups)} classes, "
        f"{' and '.join(CORRECTIONS[how] for how in rows)}{cut}. The page's table holds the numbers.",
    )


def _lines(axis: Axes, stats: pd.DataFrame, labels: Sequence[str]) -> None:
    """Draw lines with error bars from `stats`, which holds all points of the first line, then of the second, and so on.

    Columns: mean and half the width of its interval; a point without results is NaN.
    """
    lines = stats.to_numpy().reshape(len(labels), -1, 2)
    for line, label, style in zip(lines, labels, line_styles(len(labels)), strict=True):
        (known,) = np.isfinite(line[:, 0]).nonzero()
        means, halves = line[known].T
        axis.errorbar(known, means, np.nan_to_num(halves), label=label, marker="o", markersize=4, capsize=3, **style)


def _reference_lines(axis: Axes, means: Mapping[str, float | None]) -> None:
    """Draw a line at each mean, and leave room around all lines."""
    for i, (label, mean) in enumerate(means.items()):
        if mean is not None:
            axis.axhline(mean, label=label, color="0.5", linestyle=(0, (4, 2 + 2 * i)))
    low, high = axis.get_ylim()
    axis.set_ylim(max(low - 0.5, -1.0), min(high + 0.5, 101.0))
    axis.grid()


def _references(baseline: pd.DataFrame | None) -> dict[str, "pd.Series[float]"]:
    """Return the mean accuracies by (classes, correction) of each of the baseline's settings, by their labels."""
    if baseline is None:
        return {}
    keys = keys_of(baseline)
    return {
        " ".join(["baseline", *assigned(keys, values)]): accuracies(at(baseline, keys, values), [])["mean"]
        for values in combinations(baseline, keys)[:MOST_REFERENCES]
    }
