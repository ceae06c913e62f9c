"""The heatmaps of a sweep: two keys against each other, a panel for each value of the rest."""

import math
from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from kdlab.report.collection import Value
from kdlab.report.figures.drawing import described, in_style, numbered_image, sheet
from kdlab.report.settings import Setting, combinations, distinct, mean_and_sd
from kdlab.report.sweep_table import value_shown

PREFERRED = ("loss.temperature", "loss.alpha")
# What is drawn, where there is such: (classes, correction).
SHOWN = (("all", "none"), ("unseen", "none"), ("all", "prior"), ("unseen", "prior"))
SHOWN_CELLS = 120


def axes_of(settings: Sequence[Setting]) -> list[str]:
    """Return the keys in which an arm's settings differ: temperature and alpha first, where they are among them."""
    keys = [key for key in settings[0].values if len(distinct(s.values[key] for s in settings)) > 1]
    return [key for key in PREFERRED if key in keys] + [key for key in keys if key not in PREFERRED]


@in_style
def heatmap(settings: Sequence[Setting]) -> Figure:
    """Draw an arm's mean test accuracy, in per cent, over two swept keys; panels across for each setting of the others.

    Rows of panels: all and unseen classes, as they are and after bias correction. A point that has no result is left
    white, with a dash.

    Args:
        settings: of one arm, which differ in at least two keys.

    Raises:
        ValueError: when they differ in fewer.
    """
    keys = axes_of(settings)
    if len(keys) < 2:
        raise ValueError(f"a heatmap needs two swept keys, there is {', '.join(keys) or 'none'}")
    across, up, rest = keys[0], keys[1], keys[2:]
    panels = combinations(settings, rest)
    rows = [(classes, how) for classes, how in SHOWN if any(s.figures("accuracy", classes, how) for s in settings)]
    columns, lines = distinct(s.values[across] for s in settings), distinct(s.values[up] for s in settings)
    figure = sheet(max(5.0, (1.2 + 0.75 * len(columns)) * len(panels) + 1), (1.3 + 0.45 * len(lines)) * len(rows) + 0.6)
    axes = figure.subplots(len(rows), len(panels), squeeze=False)
    for line, (classes, correction) in zip(axes, rows, strict=True):
        means = [
            {
                (s.values[across], s.values[up]): 100 * mean_and_sd(figures)[0]
                for s in settings
                if tuple(s.values[key] for key in rest) == panel
                and (figures := s.figures("accuracy", classes, correction))
            }
            for panel in panels
        ]
        known = [value for panel in means for value in panel.values()]
        for axis, values_of_rest, values in zip(line, panels, means, strict=True):
            image = _draw(axis, values, columns, lines, (min(known), max(known)))
            at = ", ".join(f"{key}={value_shown(value)}" for key, value in zip(rest, values_of_rest, strict=True))
            axis.set_title("\n".join(filter(None, [_title(classes, correction), at])), fontsize="medium")
            axis.set(xlabel=across, ylabel=up)
        figure.colorbar(image, ax=list(line), label="test accuracy, %", shrink=0.9)
    figure.suptitle(f"{settings[0].arm}, mean of {_counts(settings)}")
    what = ", ".join(_title(classes, correction) for classes, correction in rows)
    return described(
        figure,
        f"Heatmaps: test accuracy of {settings[0].arm} over {across} and {up}, for {what}. "
        "The page's table holds the numbers.",
    )


def _draw(
    axis: Axes,
    values: dict[tuple[Value, Value], float],
    columns: Sequence[Value],
    lines: Sequence[Value],
    limits: tuple[float, float],
) -> AxesImage:
    grid = [[values.get((x, y), math.nan) for x in columns] for y in lines]
    low, high = limits if limits[0] < limits[1] else (max(0.0, limits[0] - 0.5), min(100.0, limits[1] + 0.5))
    few = len(columns) * len(lines) <= SHOWN_CELLS
    texts = [["–" if math.isnan(value) else f"{value:.1f}" for value in row] for row in grid] if few else []
    image = numbered_image(axis, grid, norm=Normalize(low, high), cmap=colormaps["viridis"], texts=texts)
    axis.invert_yaxis()
    axis.set_xticks(range(len(columns)), [value_shown(value) for value in columns])
    axis.set_yticks(range(len(lines)), [value_shown(value) for value in lines])
    return image


def _title(classes: str, correction: str) -> str:
    return f"{classes} classes" + ("" if correction == "none" else f", correction {correction}")


def _counts(settings: Sequence[Setting]) -> str:
    counts = sorted({len(setting.runs) for setting in settings})
    return f"{counts[0]} to {counts[-1]} fits" if len(counts) > 1 else f"{counts[0]} fit{'s' if counts[0] > 1 else ''}"
