"""The figures of all fits' curves: loss and accuracy over the epochs, in training and in validation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from kdlab.curves import Point
from kdlab.report.figures.drawing import described, in_style, sheet
from kdlab.report.figures.palette import line_styles

Curves = Mapping[str, Sequence[Point]]


@in_style
def loss_curves(curves: Curves) -> Figure:
    """Draw the cross-entropy with the labels over the epochs, for training and validation, all fits in one figure.

    What a student minimizes may be another loss; this one can be compared between fits.

    Args:
        curves: of each fit, (epoch, figure, value) as in a run's `curves.csv`.
    """
    panels = _measured(curves, {"training": "train/hard_loss", _validation(curves): "val/loss"})
    figure = _draw(curves, panels, "cross-entropy with the labels (nats)", sharey=True)
    lines = [line for panel in figure.axes for line in panel.lines]
    values = [y for line in lines for y in np.asarray(line.get_ydata()).tolist() if y > 0]
    if values and max(values) > 30 * min(values):
        for panel in figure.axes:
            panel.set_yscale("log")
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            panel.yaxis.set_minor_formatter(NullFormatter())
    return described(figure, f"Lines: cross-entropy with the labels over the epochs. {_ends(curves, panels, '{:.3g}')}")


@in_style
def accuracy_curves(curves: Curves) -> Figure:
    """Draw the accuracy over the epochs: in training, and in validation on seen and on unseen classes.

    Training accuracy is that of the answers given while the weights changed, with augmentation and dropout. What was
    not measured, without a validation part or unseen classes, has no panel.

    Args:
        curves: of each fit, (epoch, figure, value) as in a run's `curves.csv`.
    """
    panels = {"training": "train/accuracy", _validation(curves): "val/accuracy_seen"}
    panels = _measured(curves, panels | {"validation, unseen classes": UNSEEN_ACCURACY})
    figure = _draw(curves, panels, "accuracy", sharey=False)
    for panel in figure.axes:
        low, high = panel.get_ylim()
        panel.set_ylim(max(low, -0.02), min(high, 1.02))
        panel.yaxis.set_major_formatter(PercentFormatter(1))
    return described(figure, f"Lines: accuracy over the epochs. {_ends(curves, panels, '{:.2%}')}")


UNSEEN_ACCURACY = "val/accuracy_unseen"


def _measured(curves: Curves, panels: Mapping[str, str]) -> dict[str, str]:
    """Return the panels that there is a point for."""
    names = {name for points in curves.values() for _, name, _ in points}
    return {title: name for title, name in panels.items() if name in names}


def _validation(curves: Curves) -> str:
    any_unseen = _measured(curves, {"": UNSEEN_ACCURACY})
    return "validation, seen classes" if any_unseen else "validation"


def _draw(curves: Curves, panels: Mapping[str, str], measure: str, *, sharey: bool) -> Figure:
    figure = sheet(4.1 * len(panels) + 1.8, 3.6)
    axes = figure.subplots(1, len(panels), sharey=sharey, squeeze=False)[0]
    students = [arm for arm in curves if arm != "teacher"]
    styles: dict[str, dict[str, Any]] = dict(zip(students, line_styles(len(students)), strict=True))
    styles["teacher"] = {"color": "0.5", "linewidth": 2.2}
    for panel, (title, wanted) in zip(axes, panels.items(), strict=True):
        for arm, points in curves.items():
            series = _series(points, wanted)
            marker = "o" if len(series) == 1 else ""  # a line needs two points
            panel.plot([epoch for epoch, _ in series], [y for _, y in series], label=arm, marker=marker, **styles[arm])
        panel.set(title=title, xlabel="epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panel.grid()
    axes[0].set_ylabel(measure)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _series(points: Sequence[Point], wanted: str) -> list[tuple[int, float]]:
    return [(epoch, value) for epoch, name, value in points if name == wanted]


def _ends(curves: Curves, panels: Mapping[str, str], form: str) -> str:
    """Return in words where the lines end."""
    said = []
    for arm, points in curves.items():
        last = {title: series[-1][1] for title, name in panels.items() if (series := _series(points, name))}
        said.append(f"{arm} ends at " + ", ".join(f"{form.format(value)} ({title})" for title, value in last.items()))
    return "; ".join(said) + "."
