"""Draw a sweep's heatmaps: accuracy over two keys, with a panel for each combination of the others."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from kdlab.report.figures.drawing import described, in_style, numbered_image, sheet, tick_classes
from kdlab.report.rows import split_of
from kdlab.report.settings import accuracies, assigned, combinations, keys_of

PREFERRED = ("loss.temperature", "loss.alpha")
# The rows of panels, if the arm has such results: (classes, correction).
SHOWN = (("all", "none"), ("unseen", "none"), ("all", "prior"), ("unseen", "prior"))
# In inches: the widest figure that a page shows without making it much smaller, what stands beside a panel, and the
# longest side of a panel of many small cells.
WIDTH, BESIDE, LARGEST = 15.0, 1.2, 6.0
# Panels of more lines have no numbers.
SHOWN_LINES = 24


def axes_of(settings: pd.DataFrame) -> list[str]:
    """Return the keys in which an arm's settings differ, temperature and alpha first."""
    keys = [key for key in keys_of(settings) if settings[key].nunique() > 1]
    return [key for key in PREFERRED if key in keys] + [key for key in keys if key not in PREFERRED]


@in_style
def heatmap(settings: pd.DataFrame) -> Figure:
    """Draw an arm's mean accuracy in per cent over two swept keys.

    Columns of panels: combinations of the other keys. Rows of panels: all and unseen classes, before and after bias
    correction. A point without results is white with a dash.

    Args:
        settings: one arm's rows from `settings_of`; its settings must differ in at least two keys.

    Raises:
        ValueError: when the settings differ in fewer keys.
    """
    keys = axes_of(settings)
    if len(keys) < 2:
        raise ValueError(f"a heatmap needs two swept keys; found: {', '.join(keys) or 'none'}")
    across, up, rest = keys[0], keys[1], keys[2:]
    means = accuracies(settings, [*rest, up, across])["mean"]
    measured = {(classes, how) for classes, how, *_ in means.index}
    rows = [place for place in SHOWN if place in measured]
    columns, lines = ([value for (value,) in combinations(settings, [key])] for key in (across, up))
    every = combinations(settings, rest)
    cell = _cell(len(columns), len(lines), len(every))
    panels = every[: max(1, int(WIDTH / (BESIDE + cell.width * len(columns))))]
    width = max(5.0, (BESIDE + cell.width * len(columns)) * len(panels) + 1)
    figure = sheet(width, (1.3 + cell.height * len(lines)) * len(rows) + 0.6)
    axes = figure.subplots(len(rows), len(panels), squeeze=False)
    for axes_in_row, place in zip(axes, rows, strict=True):
        cells = [(*place, *panel, y, x) for panel in panels for y in lines for x in columns]
        grids = means.reindex(cells).to_numpy().reshape(len(panels), len(lines), len(columns))
        for axis, panel, grid in zip(axes_in_row, panels, grids, strict=True):
            image = _draw(axis, grid, numbers=cell.numbers, limits=_limits(grids))
            tick_classes(axis.xaxis, columns, inches=cell.width * len(columns))
            tick_classes(axis.yaxis, lines, inches=cell.height * len(lines))
            axis.set_title(
                "\n".join(filter(None, [_title(*place), ", ".join(assigned(rest, panel))])), fontsize="medium"
            )
            axis.set(xlabel=across, ylabel=up)
        figure.colorbar(image, ax=list(axes_in_row), label=f"{split_of(settings)} accuracy, %", shrink=0.9)
    arm = settings["arm"].iloc[0]
    cut = f"; the first {len(panels)} of {len(every)} panels" if len(panels) < len(every) else ""
    figure.suptitle(f"{arm}, mean of {_counts(settings, keys)}{cut}")
    what = ", ".join(_title(*place) for place in rows)
    said = f"Heatmaps: {split_of(settings)} accuracy of {arm} over {across} and {up}, for {what}{cut}."
    return described(figure, f"{said} The page's table holds the numbers.")


class _Cell(NamedTuple):
    """A cell's size in inches, and whether it holds its number."""

    width: float
    height: float
    numbers: bool


def _cell(columns: int, lines: int, panels: int) -> _Cell:
    """Return cells with numbers if all panels fit beside each other, or else small ones without."""
    if (BESIDE + 0.6 * columns) * panels <= WIDTH and lines <= SHOWN_LINES:
        return _Cell(0.6, 0.4, numbers=True)
    return _Cell(min(0.25, LARGEST / columns), min(0.25, LARGEST / lines), numbers=False)


def _limits(grids: np.ndarray) -> tuple[float, float]:
    low, high = (float("nan"),) * 2 if np.isnan(grids).all() else (np.nanmin(grids), np.nanmax(grids))
    return (low, high) if low < high else (max(0.0, low - 0.5), min(100.0, high + 0.5))


def _draw(axis: Axes, grid: np.ndarray, *, numbers: bool, limits: tuple[float, float]) -> AxesImage:
    texts = [["–" if np.isnan(value) else f"{value:.1f}" for value in row] for row in grid] if numbers else []
    image = numbered_image(axis, grid, norm=Normalize(*limits), cmap=colormaps["viridis"], texts=texts)
    axis.invert_yaxis()
    return image


def _title(classes: str, correction: str) -> str:
    return f"{classes} classes" + ("" if correction == "none" else f", correction {correction}")


def _counts(settings: pd.DataFrame, keys: Sequence[str]) -> str:
    counts = settings.groupby(list(keys), observed=True)["run"].nunique()
    low, high = counts.min(), counts.max()
    return f"{low} to {high} fits" if low < high else f"{low} fit{'s' if low > 1 else ''}"
