"""The lines of a sweep: accuracy over one key, a line for each setting of the others, error bars over seeds."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlab.report.collection import Value
from kdlab.report.figures.drawing import described, in_style, sheet
from kdlab.report.figures.heatmaps import axes_of
from kdlab.report.figures.palette import line_styles
from kdlab.report.settings import Setting, combinations, distinct, mean_and_sd
from kdlab.report.sweep_table import GROUPS, value_shown

CORRECTIONS = {"none": "as it is", "prior": "correction prior"}


@in_style
def lines(settings: Sequence[Setting], baseline: Sequence[Setting] = ()) -> Figure:
    """Draw an arm's test accuracy over a swept key (temperature, if it is one), with its standard deviation over seeds.

    Panels: all, seen and unseen classes across, as they are and after bias correction down.

    Args:
        settings: of one arm, which differ in at least one key.
        baseline: the settings of the baseline, drawn as grey dashes for comparison.

    Raises:
        ValueError: when the settings do not differ.
    """
    keys = axes_of(settings)
    if not keys:
        raise ValueError("no key is swept")
    across, rest = keys[0], keys[1:]
    groups = [group for group in GROUPS if any(s.figures("accuracy", group) for s in settings)]
    rows = [how for how in CORRECTIONS if any(s.figures("accuracy", "all", how) for s in settings)]
    figure = sheet(3.6 * len(groups) + 0.5, 2.9 * len(rows) + 0.8)
    axes = figure.subplots(len(rows), len(groups), squeeze=False)
    series = combinations(settings, rest)
    places = _places(distinct(s.values[across] for s in settings))
    for row, correction in zip(axes, rows, strict=True):
        for axis, group in zip(row, groups, strict=True):
            for style, values in zip(line_styles(len(series)), series, strict=True):
                members = [s for s in settings if tuple(s.values[key] for key in rest) == values]
                label = ", ".join(f"{key}={value_shown(value)}" for key, value in zip(rest, values, strict=True))
                _line(axis, members, across, places, group, correction, label or settings[0].arm, style)
            for i, setting in enumerate(baseline):
                if figures := setting.figures("accuracy", group, correction):
                    at = [f"{key}={value_shown(value)}" for key, value in setting.values.items()]
                    style = {"color": "0.5", "linestyle": (0, (4, 2 + 2 * i))}
                    axis.axhline(100 * mean_and_sd(figures)[0], label=" ".join(["baseline", *at]), **style)
            axis.set(title=f"{group} classes, {CORRECTIONS[correction]}", xlabel=across, ylabel="test accuracy, %")
            axis.set_xticks(list(places.values()), [value_shown(value) for value in places])
            low, high = axis.get_ylim()
            axis.set_ylim(max(low - 0.5, -1.0), min(high + 0.5, 101.0))
            axis.grid()
    handles, labels = axes[0][0].get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=len(groups))
    figure.suptitle(f"{settings[0].arm}: mean and standard deviation over seeds")
    return described(
        figure,
        f"Lines with error bars: test accuracy of {settings[0].arm} over {across}, for {', '.join(groups)} classes, "
        f"{' and '.join(CORRECTIONS[how] for how in rows)}. The page's table holds the numbers.",
    )


def _line(
    axis: Axes,
    members: Sequence[Setting],
    across: str,
    places: dict[Value, float],
    group: str,
    correction: str,
    label: str,
    style: dict[str, Any],
) -> None:
    found = [(places[s.values[across]], s.figures("accuracy", group, correction)) for s in members]
    found = sorted((place, figures) for place, figures in found if figures)
    means = [100 * mean_and_sd(figures)[0] for _, figures in found]
    deviations = [100 * (mean_and_sd(figures)[1] or 0.0) for _, figures in found]
    axis.errorbar(
        [place for place, _ in found], means, deviations, label=label, marker="o", markersize=4, capsize=3, **style
    )


def _places(values: Sequence[Value]) -> dict[Value, float]:
    """Give each value its place on the axis: evenly spaced, since what one sweeps is seldom evenly spaced itself."""
    return {value: float(i) for i, value in enumerate(values)}
