"""Draw the curves of all fits: loss and accuracy over the epochs, in training and validation."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from kdlab.curves import COLUMNS, Point
from kdlab.report.figures.drawing import described, in_style, sheet
from kdlab.report.figures.palette import line_styles
from kdlab.report.rows import only

Curves = Mapping[str, Sequence[Point]]
# Of one run, or of several that differ in their seeds alone.
Several = Curves | Sequence[Curves]


@in_style
def loss_curves(curves: Several) -> Figure:
    """Draw each fit's cross-entropy with the labels over the epochs, in training and validation.

    Students may minimize other losses; this one can be compared between fits. Of several runs, the mean, in a band from
    the lowest to the highest.

    Args:
        curves: for each fit, points (epoch, figure, value) as in a run's `curves.csv`; or such of several runs.
    """
    points = _points(curves)
    panels = _measured(points, {"training": "train/hard_loss", _validation(points): "val/loss"})
    figure = _draw(points, panels, "cross-entropy with the labels (nats)", sharey=True)
    losses = only(points, figure=list(panels.values()))["value"]
    positive = losses[losses > 0]
    if positive.max() > 30 * positive.min():
        for panel in figure.axes:
            panel.set_yscale("log")
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            panel.yaxis.set_minor_formatter(NullFormatter())
    return described(figure, f"Lines: cross-entropy with the labels over the epochs. {_ends(points, panels, '.3g')}")


@in_style
def accuracy_curves(curves: Several) -> Figure:
    """Draw each fit's accuracy over the epochs: in training, and in validation on seen and unseen classes.

    Training accuracy is measured while the weights change, with augmentation and dropout. Without a validation part or
    unseen classes, these panels are left out. Of several runs, the mean, in a band from the lowest to the highest.

    Args:
        curves: for each fit, points (epoch, figure, value) as in a run's `curves.csv`; or such of several runs.
    """
    points = _points(curves)
    panels = {"training": "train/accuracy", _validation(points): "val/accuracy_seen"}
    panels = _measured(points, panels | {"validation, unseen classes": UNSEEN_ACCURACY})
    figure = _draw(points, panels, "accuracy", sharey=False)
    for panel in figure.axes:
        low, high = panel.get_ylim()
        panel.set_ylim(max(low, -0.02), min(high, 1.02))
        panel.yaxis.set_major_formatter(PercentFormatter(1))
    return described(figure, f"Lines: accuracy over the epochs. {_ends(points, panels, '.2%')}")


UNSEEN_ACCURACY = "val/accuracy_unseen"


def _points(curves: Several) -> pd.DataFrame:
    """Return a line for each point of each run; arms are categories, so that groups keep their order."""
    several = [curves] if isinstance(curves, Mapping) else curves
    lines = [(run, arm, *point) for run, own in enumerate(several) for arm, points in own.items() for point in points]
    arms = dict.fromkeys(arm for own in several for arm in own)
    return pd.DataFrame(lines, columns=["run", "arm", *COLUMNS]).astype({"arm": pd.CategoricalDtype(list(arms))})


def _measured(points: pd.DataFrame, panels: Mapping[str, str]) -> dict[str, str]:
    """Return the panels that have points."""
    return {title: name for title, name in panels.items() if (points["figure"] == name).any()}


def _validation(points: pd.DataFrame) -> str:
    return "validation, seen classes" if _measured(points, {"": UNSEEN_ACCURACY}) else "validation"


def _draw(points: pd.DataFrame, panels: Mapping[str, str], measure: str, *, sharey: bool) -> Figure:
    figure = sheet(4.1 * len(panels) + 1.8, 3.6)
    axes = figure.subplots(1, len(panels), sharey=sharey, squeeze=False)[0]
    arms = points["arm"].cat.categories
    students = [arm for arm in arms if arm != "teacher"]
    styles: dict[str, dict[str, Any]] = dict(zip(students, line_styles(len(students)), strict=True))
    styles["teacher"] = {"color": "0.5", "linewidth": 2.2}
    runs = points.groupby("arm", observed=False)["run"].nunique()
    named = {str(arm): str(arm) if n == runs.max() else f"{arm}, n = {n}" for arm, n in runs.items()}
    for panel, (title, wanted) in zip(axes, panels.items(), strict=True):
        for arm, own in only(points, figure=wanted).groupby("arm", observed=False):
            _line(panel, own, named[str(arm)], styles[str(arm)])
        panel.set(title=title, xlabel="epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panel.grid()
    axes[0].set_ylabel(measure)
    heading = f"line: mean of {runs.max()} seeds\nband: lowest to highest" if runs.max() > 1 else None
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", title=heading)
    return figure


def _line(panel: Axes, points: pd.DataFrame, label: str, style: dict[str, Any]) -> None:
    """Draw a fit's line; of several runs their mean, and a band from the lowest to the highest.

    At an epoch that some of the runs did not reach, these are left out.
    """
    at = points.groupby("epoch")["value"].agg(["mean", "min", "max"])
    marker = "o" if len(at) == 1 else ""  # a single point makes no line
    panel.plot(at.index, at["mean"], label=label, marker=marker, **style)
    if points["run"].nunique() > 1:
        panel.fill_between(at.index, at["min"], at["max"], color=style["color"], alpha=0.2, linewidth=0)
        if len(at) == 1:
            panel.vlines(at.index, at["min"], at["max"], color=style["color"])


def _ends(points: pd.DataFrame, panels: Mapping[str, str], form: str) -> str:
    """Return the last value of each fit in words, of several runs the mean."""
    last = points.groupby(["arm", "figure", "run"], observed=True)["value"].last().groupby(level=[0, 1]).mean()
    said = []
    for arm in points["arm"].cat.categories:
        ends = [f"{last[arm, name]:{form}} ({title})" for title, name in panels.items() if (arm, name) in last]
        said.append(f"{arm} ends at {', '.join(ends)}")
    return "; ".join(said) + "."
