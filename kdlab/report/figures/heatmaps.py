"""Draw a sweep's heatmaps: accuracy over two keys, with a panel for each combination of the others."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from kdlab.report.figures.drawing import described, in_style, numbered_image, sheet
from kdlab.report.settings import accuracy_on_test, assigned, combinations, keys_of

PREFERRED = ("loss.temperature", "loss.alpha")
# The rows of panels, if the arm has such results: (classes, correction).
SHOWN = (("all", "none"), ("unseen", "none"), ("all", "prior"), ("unseen", "prior"))
SHOWN_CELLS = 120


def axes_of(settings: pd.DataFrame) -> list[str]:
    """Return the keys in which an arm's settings differ, temperature and alpha first."""
    keys = [key for key in keys_of(settings) if settings[key].nunique() > 1]
    return [key for key in PREFERRED if key in keys] + [key for key in keys if key not in PREFERRED]


@in_style
def heatmap(settings: pd.DataFrame) -> Figure:
    """Draw an arm's mean test accuracy in per cent over two swept keys.

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
    means = accuracy_on_test(settings, [*rest, up, across])["mean"]
    measured = {(classes, how) for classes, how, *_ in means.index}
    rows = [place for place in SHOWN if place in measured]
    panels = combinations(settings, rest)
    columns, lines = ([value for (value,) in combinations(settings, [key])] for key in (across, up))
    figure = sheet(max(5.0, (1.2 + 0.75 * len(columns)) * len(panels) + 1), (1.3 + 0.45 * len(lines)) * len(rows) + 0.6)
    axes = figure.subplots(len(rows), len(panels), squeeze=False)
    for axes_in_row, place in zip(axes, rows, strict=True):
        cells = [(*place, *panel, y, x) for panel in panels for y in lines for x in columns]
        grids = means.reindex(cells).to_numpy().reshape(len(panels), len(lines), len(columns))
        for axis, panel, grid in zip(axes_in_row, panels, grids, strict=True):
            image = _draw(axis, grid, columns, lines, (np.nanmin(grids), np.nanmax(grids)))
            axis.set_title(
                "\n".join(filter(None, [_title(*place), ", ".join(assigned(rest, panel))])), fontsize="medium"
            )
            axis.set(xlabel=across, ylabel=up)
        figure.colorbar(image, ax=list(axes_in_row), label="test accuracy, %", shrink=0.9)
    arm = settings["arm"].iloc[0]
    figure.suptitle(f"{arm}, mean of {_counts(settings, keys)}")
    what = ", ".join(_title(*place) for place in rows)
    return described(
        figure,
        f"Heatmaps: test accuracy of {arm} over {across} and {up}, for {what}. The page's table holds the numbers.",
    )


def _draw(
    axis: Axes, grid: np.ndarray, columns: Sequence[str], lines: Sequence[str], limits: tuple[float, float]
) -> AxesImage:
    low, high = limits if limits[0] < limits[1] else (max(0.0, limits[0] - 0.5), min(100.0, limits[1] + 0.5))
    few = grid.size <= SHOWN_CELLS
    texts = [["–" if np.isnan(value) else f"{value:.1f}" for value in row] for row in grid] if few else []
    image = numbered_image(axis, grid, norm=Normalize(low, high), cmap=colormaps["viridis"], texts=texts)
    axis.invert_yaxis()
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(lines)), lines)
    return image


def _title(classes: str, correction: str) -> str:
    return f"{classes} classes" + ("" if correction == "none" else f", correction {correction}")


def _counts(settings: pd.DataFrame, keys: Sequence[str]) -> str:
    counts = settings.groupby(list(keys), observed=True)["run"].nunique()
    low, high = counts.min(), counts.max()
    return f"{low} to {high} fits" if low < high else f"{low} fit{'s' if low > 1 else ''}"
