"""Draw single images with their classes and the probabilities of teacher and student."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from kdlab.report.figures.drawing import INK, described, in_style, shortened
from kdlab.report.figures.palette import STUDENT, TEACHER

COLUMNS = 6
SHOWN_CLASSES = 3
# In inches: a cell's height, an image's side, the width of one letter of a class name, and the length of a full bar.
HEIGHT, IMAGE, LETTER, BAR = 1.3, 0.8, 0.065, 0.5
# In inches: what title and legend take, above and below the images.
MARGIN = 0.35


class Example(NamedTuple):
    """One image: `pixels` (C, H, W) uint8, its class, and the probabilities (K,) of teacher and student."""

    pixels: Tensor
    label: int
    teacher: Tensor
    student: Tensor

    @property
    def choice(self) -> int:
        """The student's first choice."""
        return int(self.student.argmax())

    def shown(self) -> list[int]:
        """Return at most three classes: the image's own, the student's first choice, then the teacher's likeliest."""
        likeliest = [self.choice, *self.teacher.argsort(descending=True).tolist()]
        return list(dict.fromkeys([self.label, *likeliest]))[:SHOWN_CLASSES]

    def caption(self, class_names: Sequence[str]) -> str:
        """Return `class`, or `class → choice` if the student is wrong."""
        right = self.choice == self.label
        return class_names[self.label] if right else f"{class_names[self.label]} → {class_names[self.choice]}"


def examples(
    images: Tensor,
    labels: Tensor,
    *,
    student_logits: Tensor,
    teacher_logits: Tensor,
    among: Tensor,
    surest: bool = False,
    limit: int = 24,
) -> list[Example]:
    """Return at most `limit` of the images `among`, sorted by the student's confidence, highest first.

    If there are more, they are spread evenly over this order; with `surest`, they are its first.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,).
        student_logits: (N, K), with or without bias correction.
        teacher_logits: (N, K).
        among: (N,) bool, the images to choose from.
        surest: take the images with the highest confidence.
        limit: the most images to return.
    """
    student, teacher = student_logits.softmax(dim=1), teacher_logits.softmax(dim=1)
    candidates = among.nonzero().squeeze(1)
    order = candidates[student[candidates].amax(dim=1).argsort(descending=True, stable=True)]
    if not surest and len(order) > limit:
        order = order[torch.linspace(0, len(order) - 1, limit).round().long()]
    return [Example(images[i], int(labels[i]), teacher[i], student[i]) for i in order[:limit].tolist()]


@in_style
def gallery(found: Sequence[Example], *, title: str, class_names: Sequence[str]) -> Figure:
    """Draw each image with its class, the student's choice if it is wrong, and both networks' probabilities.

    Args:
        found: the examples to draw, see `examples`.
        title: the figure's title.
        class_names: K names.
    """
    short = shortened(class_names)
    columns = min(COLUMNS, max(3, len(found)))
    rows = max(1, math.ceil(len(found) / columns))
    bars = IMAGE + 0.2 + LETTER * max(map(len, short))  # from a cell's left edge
    cell = bars + BAR + 0.15
    width, height = cell * columns, HEIGHT * rows + 2 * MARGIN
    # Its layout is known: a unit of the panel is an inch.
    figure = Figure(figsize=(width, height))
    panel = figure.add_axes((0, MARGIN / height, 1, HEIGHT * rows / height))
    panel.set(xlim=(0, width), ylim=(HEIGHT * rows, 0))
    panel.axis("off")
    places = [(cell * (i % columns), HEIGHT * (i // columns)) for i in range(len(found))]
    for example, (x, y) in zip(found, places, strict=True):
        _draw(panel, example, x, y, bars, short)
    shown = [(x + bars, y + 0.37 + 0.28 * i, example, c) for example, (x, y) in zip(found, places, strict=True)
             for i, c in enumerate(example.shown())]  # fmt: skip
    _draw_bars(panel, shown)
    figure.suptitle(title, y=1 - 0.3 * MARGIN / height)
    patches = [Rectangle((0, 0), 1, 1, color=colour) for colour in (TEACHER, STUDENT)]
    figure.legend(patches, ["teacher's probability", "student's"], loc="lower center", ncols=2)
    listed = "; ".join(alternative(example, class_names) for example in found) or "none"
    return described(figure, f"{title}. {listed}.")


def alternative(example: Example, class_names: Sequence[str]) -> str:
    """Return the alt text of an example."""
    shares = ", ".join(
        f"{class_names[c]}: teacher {example.teacher[c]:.0%}, student {example.student[c]:.0%}" for c in example.shown()
    )
    return f"class {example.caption(class_names)} ({shares})"


def _draw(panel: Axes, example: Example, x: float, y: float, bars: float, names: Sequence[str]) -> None:
    """Draw an example's image, and two bars for each class, into the cell whose upper left corner is (x, y)."""
    panel.imshow(pixels(example.pixels), extent=(x + 0.05, x + 0.05 + IMAGE, y + 0.35 + IMAGE, y + 0.35), zorder=2)
    weight = "bold" if example.choice != example.label else "normal"
    panel.text(x + 0.05, y + 0.28, example.caption(names), fontsize=8, weight=weight)
    for i, c in enumerate(example.shown()):
        top = y + 0.37 + 0.28 * i
        panel.text(x + bars - 0.04, top + 0.1, names[c], fontsize=6.5, va="center", ha="right")


def _draw_bars(panel: Axes, shown: Sequence[tuple[float, float, Example, int]]) -> None:
    """Draw the pairs of bars of all examples, each at its (left, top), as few artists: each takes its time."""
    pairs = [((it.teacher[c], TEACHER), (it.student[c], STUDENT)) for *_, it, c in shown]
    bars = [
        Rectangle((x, top + 0.1 * j), BAR * float(p), 0.09, color=colour, linewidth=0)
        for (x, top, *_), pair in zip(shown, pairs, strict=True)
        for j, (p, colour) in enumerate(pair)
    ]
    panel.add_collection(PatchCollection(bars, match_original=True), autolim=False)
    axes = [[(x, top - 0.02), (x, top + 0.21)] for x, top, *_ in shown]
    panel.add_collection(LineCollection(axes, colors=INK, linewidths=0.6), autolim=False)


def pixels(image: Tensor) -> np.ndarray:
    """Return an image (C, H, W) uint8 as (H, W, 3); a single channel becomes black on white."""
    array = image.permute(1, 2, 0).numpy()
    return np.repeat(255 - array, 3, axis=2) if array.shape[2] == 1 else array
