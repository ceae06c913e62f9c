"""Draw confusion matrices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kdlab.report.figures.drawing import NUMBERED_CLASSES, described, in_style, numbered_image, sheet, tick_classes


@in_style
def confusion_matrices(
    counts: Mapping[str, Any], *, class_names: Sequence[str], held_out: Mapping[str, Sequence[int]]
) -> Figure:
    """Draw each network's confusion matrix as shares of the true class (rows sum to 1).

    Cells show counts if there are at most 12 classes. Colours follow the share to the power 0.4, so that small shares
    can be seen. A star marks unseen classes.

    Args:
        counts: (C, C) for each network, as in a run's `confusion.csv`: in row i and column j, the samples of class i
            whose first choice is class j; or their mean over several runs.
        class_names: C names.
        held_out: for each network, the classes that it never saw.
    """
    columns = min(3, len(counts))
    rows = -(-len(counts) // columns)
    figure = sheet(3.6 * columns + 0.8, 3.5 * rows + 0.3)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    norm, cmap = PowerNorm(0.4, 0, 1), colormaps["Blues"]
    said = []
    for panel, (name, own) in zip(panels, counts.items(), strict=False):
        shares = own / np.maximum(own.sum(axis=1, keepdims=True), 1)
        texts = [list(map(_number, row)) for row in own.tolist()] if len(own) <= NUMBERED_CLASSES else []
        image = numbered_image(panel, shares, norm=norm, cmap=cmap, texts=texts)
        marked = [f"{c}*" if i in held_out.get(name, ()) else c for i, c in enumerate(class_names)]
        for axis in (panel.xaxis, panel.yaxis):
            tick_classes(axis, marked, inches=2.2)
        panel.set(xlabel="first choice", ylabel="true class", title=name)
        said.append(f"{name}: {_worst(own, class_names)}")
    for panel in panels[len(counts) :]:
        panel.remove()
    figure.colorbar(image, ax=list(panels[: len(counts)]), label="share of the true class", shrink=0.7,
                    format=PercentFormatter(1, decimals=0), ticks=(0, 0.01, 0.1, 0.5, 1))  # fmt: skip
    star = " A star marks classes that the network never saw." if any(held_out.values()) else ""
    return described(figure, f"Confusion matrices, true class against first choice.{star} {' '.join(said)}")


def _number(count: float) -> str:
    """Return a count, or a mean of counts, in a few letters; blank for 0."""
    if not count:
        return ""
    return f"{count:.1f}" if count < 10 and not float(count).is_integer() else f"{count:.0f}"


def _worst(counts: Any, class_names: Sequence[str], most: int = 3) -> str:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    places = np.argsort(-wrong, axis=None, kind="stable")[:most].tolist()
    pairs = [(wrong.flat[place], divmod(place, len(wrong))) for place in places if wrong.flat[place]]
    shown = ", ".join(f"{class_names[true]} as {class_names[choice]} ({_number(n)})" for n, (true, choice) in pairs)
    total = _number(wrong.sum()) or "0"
    return f"{total} error{'' if total == '1' else 's'}" + (f", most often {shown}." if shown else ".")
