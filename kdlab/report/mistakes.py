"""The grid of misclassified images."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

COLUMNS = 8


def misclassified(
    images: Tensor,
    labels: Tensor,
    logits: Tensor,
    teacher_logits: Tensor,
    *,
    arm: str,
    class_names: Sequence[str],
    limit: int = 40,
) -> Figure:
    """Draw the images that a network gets wrong, the most confident mistakes first.

    Above each: its class → the network's choice, and below that the teacher's choice with its probability.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,).
        logits: (N, K), the network's.
        teacher_logits: (N, K).
        arm: the network's name.
        class_names: K names.
        limit: the most images to draw.
    """
    confidence, choice = logits.softmax(dim=1).max(dim=1)
    wrong = (choice != labels).nonzero().squeeze(1)
    shown = wrong[confidence[wrong].argsort(descending=True)][:limit]
    teacher_confidence, teacher_choice = teacher_logits.softmax(dim=1).max(dim=1)
    rows = max(1, math.ceil(len(shown) / COLUMNS))
    figure = Figure(figsize=(1.5 * COLUMNS, 1.75 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, i in zip(panels, shown.tolist(), strict=False):
        pixels = images[i].permute(1, 2, 0).numpy()
        panel.imshow(pixels, cmap="gray_r" if pixels.shape[2] == 1 else None)
        panel.set_title(
            f"{class_names[int(labels[i])]} → {class_names[int(choice[i])]}\n"
            f"teacher: {class_names[int(teacher_choice[i])]} {teacher_confidence[i]:.0%}",
            fontsize=7,
        )
    which = f", the {len(shown)} most confident ones" if len(shown) < len(wrong) else ""
    figure.suptitle(f"{arm}: {len(wrong):,} of {len(labels):,} test images misclassified{which}", fontsize=10)
    return figure
