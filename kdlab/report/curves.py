"""The figure of all fits' loss curves."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from kdlab.curves import Point
from kdlab.report.palette import line_styles


def loss_curves(curves: Mapping[str, Sequence[Point]]) -> Figure:
    """Draw the cross-entropy with the labels over the epochs, for training and validation, all fits in one figure.

    What a student minimizes may be another loss; this one can be compared between fits.

    Args:
        curves: of each fit, (epoch, figure, value) as in a run's `curves.csv`.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    students = [arm for arm in curves if arm != "teacher"]
    styles = dict(zip(students, line_styles(len(students)), strict=True)) | {"teacher": {"color": "0.45"}}
    for panel, part in zip(panels, ("training", "validation"), strict=True):
        shown = []
        for arm, points in curves.items():
            series = _series(points, part)
            panel.plot([epoch for epoch, _ in series], [value for _, value in series], label=arm, **styles[arm])
            shown += [value for _, value in series if value > 0]
        if shown and max(shown) > 30 * min(shown):
            panel.set_yscale("log")
        panel.set(title=part, xlabel="epoch", ylabel="cross-entropy with the labels (nats)")
        panel.grid(alpha=0.3)
    panels[1].yaxis.set_tick_params(labelleft=True)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure


def _series(points: Sequence[Point], part: str) -> list[tuple[int, float]]:
    wanted = "val/loss" if part == "validation" else "train/hard_loss"
    return [(epoch, value) for epoch, name, value in points if name == wanted]
