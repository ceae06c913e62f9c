"""Draw decision regions and posteriors in the plane."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from kdlab.report.figures.drawing import described, in_style, sheet
from kdlab.report.figures.palette import colours

# Contours are drawn at these probabilities of the first choice.
LEVELS = (0.75, 0.99)


@in_style
def decision_regions(
    probabilities: Mapping[str, Tensor],
    extent: tuple[float, float, float, float],
    inputs: Tensor,
    labels: Tensor,
    *,
    class_names: Sequence[str],
    held_out: Sequence[int] = (),
) -> Figure:
    """Draw a panel for each network: its predicted probabilities as a blend of the classes' colours.

    Thick lines mark where the first choice changes; thin lines are contours of its probability at 75 and 99 %.

    Args:
        probabilities: (H, W, C) for each network; the first row has the lowest y.
        extent: (left, right, bottom, top) of the part of the plane that is drawn.
        inputs: (N, 2), the samples to draw.
        labels: (N,), their classes.
        class_names: C names.
        held_out: classes that no student saw; their samples are drawn as crosses.
    """
    columns = min((4, 3), key=lambda n: -len(probabilities) % n) if len(probabilities) > 4 else len(probabilities)
    rows = math.ceil(len(probabilities) / columns)
    left, right, bottom, top = extent
    height = min(2.0, max(0.5, (top - bottom) / (right - left)))  # of a panel, as a multiple of its width
    figure = sheet(3.2 * columns + 1.2, (3.0 * height + 0.3) * rows + 0.2)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    palette = np.array(colours(len(class_names)))
    for panel, (name, p) in zip(panels, probabilities.items(), strict=False):
        _draw_regions(panel, p, palette, extent)
        for c, class_name in enumerate(class_names):
            _draw_samples(panel, inputs[labels == c], class_name, palette[c], unseen=c in held_out)
        panel.set(title=name, xlim=extent[:2], ylim=extent[2:], aspect="equal")
    for panel in panels[len(probabilities) :]:
        panel.remove()
    for panel in panels[max(0, len(probabilities) - columns) : len(probabilities)]:  # no panel below
        panel.xaxis.set_tick_params(labelbottom=True)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    said = ", ".join(f"{name} ({_shares(p, class_names)})" for name, p in probabilities.items())
    crosses = "; crosses are samples of classes that no student saw" if held_out else ""
    return described(
        figure,
        f"Decision regions and contours of the probabilities, side by side{crosses}. Shares of the plane: {said}.",
    )


def _draw_samples(panel: Any, inputs: Tensor, class_name: str, colour: np.ndarray, *, unseen: bool) -> None:
    panel.scatter(
        inputs[:, 0].numpy(),
        inputs[:, 1].numpy(),
        s=10,
        marker="x" if unseen else "o",
        linewidths=0.7 if unseen else 0,
        color=colour,
        label=f"class {class_name}{' (held out)' if unseen else ''}",
    )


def _shares(p: Tensor, class_names: Sequence[str]) -> str:
    first = p.argmax(dim=2)
    return ", ".join(f"class {name} {(first == c).float().mean():.0%}" for c, name in enumerate(class_names))


def _draw_regions(panel: Any, p: Tensor, palette: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    blend = p.numpy() @ (0.45 * palette + 0.55)
    panel.imshow(blend.clip(0, 1), origin="lower", extent=extent)
    highest = p.amax(dim=2).numpy()
    if levels := [level for level in LEVELS if highest.min() < level < highest.max()]:
        thin = panel.contour(highest, levels=levels, colors="black", linewidths=0.4, linestyles="--", extent=extent)
        panel.clabel(thin, fmt=lambda level: f"{level:.0%}", fontsize=6)
    for c in range(p.shape[2]):
        others = torch.cat([p[:, :, :c], p[:, :, c + 1 :]], dim=2).amax(dim=2)
        lead = (p[:, :, c] - others).numpy()
        if lead.min() < 0 < lead.max():
            panel.contour(lead, levels=[0], colors="black", linewidths=1.2, extent=extent)
