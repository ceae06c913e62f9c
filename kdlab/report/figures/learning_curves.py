"""Draw the curves of all fits: loss and accuracy over the epochs, in training and validation."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from kdlab.curves import COLUMNS, Point
from kdlab.report.figures.drawing import described, in_style, sheet
from kdlab.report.figures.palette import line_styles
from kdlab.report.rows import only

Curves = Mapping[str, Sequence[Point]]


@in_style
def loss_curves(curves: Curves) -> Figure:
    """Draw each fit's cross-entropy with the labels over the epochs, in training and validation.

    Students may minimize other losses; this one can be compared between fits.

    Args:
        curves: for each fit, points (epoch, figure, value) as in a run's `curves.csv`.
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
def accuracy_curves(curves: Curves) -> Figure:
    """Draw each fit's accuracy over the epochs: in training, and in validation on seen and unseen classes.

    Training accuracy is measured while the weights change, with augmentation and dropout. Without a validation part or
    unseen classes, these panels are left out.

    Args:
        curves: for each fit, points (epoch, figure, value) as in a run's `curves.csv`.
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


def _points(curves: Curves) -> pd.DataFrame:
    """Return a line for each point; arms are categories, so that groups keep their order."""
    lines = [(arm, *point) for arm, points in curves.items() for point in points]
    return pd.DataFrame(lines, columns=["arm", *COLUMNS]).astype({"arm": pd.CategoricalDtype(list(curves))})


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
    for panel, (title, wanted) in zip(axes, panels.items(), strict=True):
        for arm, line in only(points, figure=wanted).groupby("arm", observed=False):
            marker = "o" if len(line) == 1 else ""  # a single point makes no line
            panel.plot(line["epoch"], line["value"], label=str(arm), marker=marker, **styles[str(arm)])
        panel.set(title=title, xlabel="epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panel.grid()
    axes[0].set_ylabel(measure)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _ends(points: pd.DataFrame, panels: Mapping[str, str], form: str) -> str:
    """Return the last value of each line in words."""
    last = points.groupby(["arm", "figure"], observed=True)["value"].last()
    said = []
    for arm in points["arm"].cat.categories:
        ends = [f"{last[arm, name]:{form}} ({title})" for title, name in panels.items() if (arm, name) in last]
        said.append(f"{arm} ends at {', '.join(ends)}")
    return "; ".join(said) + "."
