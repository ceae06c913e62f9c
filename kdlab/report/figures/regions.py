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

# The most classes that are named, and whose regions have a smooth outline each.
NAMED_CLASSES = 30
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
        _draw_samples(panel, inputs, labels, palette, class_names, held_out)
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


def _draw_samples(
    panel: Any, inputs: Tensor, labels: Tensor, palette: np.ndarray, class_names: Sequence[str], held_out: Sequence[int]
) -> None:
    """Draw samples in the colours of their classes; a legend names each class, or if they are many, both kinds."""
    unseen = torch.isin(labels, torch.tensor(held_out, dtype=labels.dtype))
    if len(class_names) > NAMED_CLASSES:
        groups = [("classes", ~unseen), ("held-out classes", unseen)]
    else:
        names = [f"class {name}{' (held out)' if c in held_out else ''}" for c, name in enumerate(class_names)]
        groups = [(name, labels == c) for c, name in enumerate(names)]
    for name, members in groups:
        crosses = "held" in name
        panel.scatter(
            *inputs[members].T.numpy(),
            s=10,
            marker="x" if crosses else "o",
            linewidths=0.7 if crosses else 0,
            color=palette[labels[members].numpy()],
            label=name,
        )


def _shares(p: Tensor, class_names: Sequence[str]) -> str:
    counts = torch.bincount(p.argmax(dim=2).flatten(), minlength=len(class_names))
    largest = sorted(counts.argsort(descending=True, stable=True)[:NAMED_CLASSES].tolist())
    return ", ".join(f"class {class_names[c]} {counts[c] / counts.sum():.0%}" for c in largest)


def _draw_regions(panel: Any, p: Tensor, palette: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    blend = p.numpy() @ (0.45 * palette + 0.55)
    panel.imshow(blend.clip(0, 1), origin="lower", extent=extent)
    highest = p.amax(dim=2).numpy()
    if levels := [level for level in LEVELS if highest.min() < level < highest.max()]:
        thin = panel.contour(highest, levels=levels, colors="black", linewidths=0.4, linestyles="--", extent=extent)
        panel.clabel(thin, fmt=lambda level: f"{level:.0%}", fontsize=6)
    (first, second), (choice, _) = (it.unbind(dim=2) for it in p.topk(2, dim=2))
    if p.shape[2] > NAMED_CLASSES:
        return _draw_edges(panel, choice, extent)
    for c in choice.unique().tolist():
        lead = (p[:, :, c] - torch.where(choice == c, second, first)).numpy()
        if lead.min() < 0 < lead.max():
            panel.contour(lead, levels=[0], colors="black", linewidths=1.2, extent=extent)


def _draw_edges(panel: Any, choice: Tensor, extent: tuple[float, float, float, float]) -> None:
    """Draw where the first choice changes from one point of the grid to the next, for all classes at once."""
    edges = torch.zeros(*choice.shape, 4)
    edges[:, 1:, 3] = (choice[:, 1:] != choice[:, :-1]).float()
    edges[1:, :, 3] = edges[1:, :, 3].maximum((choice[1:] != choice[:-1]).float())
    panel.imshow(edges.numpy(), origin="lower", extent=extent)
