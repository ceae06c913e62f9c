"""Draw a teacher's soft targets: what temperature does to them, and which classes they consider similar."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from kdlab.report.figures.drawing import (
    INK,
    NUMBERED_CLASSES,
    described,
    in_style,
    numbered_image,
    sheet,
    shortened,
    tick_classes,
)
from kdlab.report.figures.gallery import pixels
from kdlab.report.figures.palette import SEEN, TEACHER, UNSEEN

# With more classes a bar for each could not be seen.
DRAWN_BARS = 40
# The entropies of so many probabilities tell their distribution.
PROBABILITIES = 2_000_000
# From a sample's bars to the next sample's, as a multiple of the height of 100 %.
STRIDE = 1.5
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0)


def soft_targets(logits: Tensor, temperature: float) -> Tensor:
    """Return softmax(z / T) along the last axis, in float64: (…, C) → (…, C)."""
    return (logits.double() / temperature).softmax(dim=-1)


def entropies(logits: Tensor, temperature: float) -> Tensor:
    """Return the entropy of each sample's soft target at T, in nats: (N, C) → (N,), between 0 and ln C."""
    return torch.special.entr(soft_targets(logits, temperature)).sum(dim=-1)


def softness(logits: Tensor) -> str:
    """Say in a sentence how soft the teacher's targets are at T = 1, by the median of their entropies."""
    median, most = float(entropies(logits, 1.0).median()), math.log(logits.shape[1])
    share = median / most
    how = "almost one-hot" if share < 0.1 else "soft" if share < 0.5 else "so soft that it tells classes hardly apart"
    return f"At T = 1 the median target is {how}: its entropy is {median:.2g} nats, that of a uniform one {most:.2g}."


def mean_soft_targets(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the mean soft target at T of each true class: (N, C), (N,) → (C, C), rows sum to 1.

    The row of a class without samples is NaN.
    """
    classes = logits.shape[1]
    members = torch.nn.functional.one_hot(labels, classes).double()
    return members.T @ soft_targets(logits, temperature) / members.sum(dim=0).unsqueeze(1)


def telling_samples(logits: Tensor, labels: Tensor, classes: Sequence[int]) -> list[int]:
    """Return, for each of these classes, the sample that the teacher gets right with the lowest confidence at T = 1.

    Classes without a right answer are left out.
    """
    probability, choice = logits.softmax(dim=1).max(dim=1)
    found = []
    for c in classes:
        right = ((labels == c) & (choice == c)).nonzero().squeeze(1)
        if len(right):
            found.append(int(right[probability[right].argmin()]))
    return found


@in_style
def softened_targets(
    logits: Tensor,
    labels: Tensor,
    *,
    class_names: Sequence[str],
    images: Tensor | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
    held_out: Sequence[int] = (),
) -> Figure:
    """Draw the teacher's soft targets softmax(z / T): a row of bars for each sample, a panel for each temperature.

    Args:
        logits: (N, C), the teacher's logits of the samples to draw.
        labels: (N,), their classes; the bar of a sample's own class has another colour.
        class_names: C names; a star marks those of `held_out`.
        images: (N, …, H, W) uint8, drawn on the left; None if the samples are not images.
        temperatures: T of each column.
        held_out: classes that no student sees.

    Raises:
        ValueError: when there is no sample.
    """
    if not len(logits):
        raise ValueError("there is no sample to draw")
    ratios = [0.8, *[1.5] * len(temperatures)]
    figure = sheet(1.65 * len(temperatures) + 1.4, 0.95 * len(logits) + 0.8)
    # One panel for each temperature, not for each sample and temperature: panels are what takes time.
    beside, *panels = figure.subplots(1, len(ratios), sharey=True, width_ratios=ratios)
    marked = [f"{name}*" if c in held_out else name for c, name in enumerate(class_names)]
    bases = [STRIDE * i for i in reversed(range(len(logits)))]
    _draw_samples(beside, images, bases, [shortened(marked, most=9)[label] for label in labels.tolist()])
    for panel, t in zip(panels, temperatures, strict=True):
        _draw_bars(panel, soft_targets(logits, t), labels, bases)
        panel.set_title(f"T = {t:g}")
        tick_classes(panel.xaxis, marked, inches=1.5)
        panel.tick_params(labelsize="small", left=panel is panels[0], labelleft=panel is panels[0])
        panel.spines[:].set_visible(False)
    panels[0].set_yticks([base + share for base in bases for share in (0, 0.5, 1)], ["0%", "50%", "100%"] * len(bases))
    panels[0].set_ylim(0, bases[0] + 1)
    said = [_in_words(z, label, class_names, temperatures) for z, label in zip(logits, labels.tolist(), strict=True)]
    figure.supxlabel("class", fontsize="medium")
    own, others = Patch(color=TEACHER, label="its own class"), Patch(color=SEEN, label="the others")
    figure.legend(handles=[own, others], loc="outside lower right", ncols=2)
    star = " A star marks a class that no student sees." if held_out else ""
    return described(figure, f"The teacher's soft targets at several temperatures.{star} {' '.join(said)}")


def _draw_samples(panel: Axes, images: Tensor | None, bases: Sequence[float], names: Sequence[str]) -> None:
    """Draw each sample's image at its base, at most 1 wide and high, and the name of its class above."""
    panel.axis("off")
    for base, name in zip(bases, names, strict=True):
        panel.text(0, base + 1.07, name, ha="center", va="bottom")
    if images is None:
        panel.set_xlim(-0.5, 0.5)
    else:
        panel.set_aspect("equal", adjustable="datalim")
        height, width = (size / max(images.shape[-2:]) for size in images.shape[-2:])
        for base, image in zip(bases, images, strict=True):
            panel.imshow(pixels(image), extent=(-width / 2, width / 2, base + 1 - height, base + 1))


def _draw_bars(panel: Axes, targets: Tensor, labels: Tensor, bases: Sequence[float]) -> None:
    """Draw the soft targets (N, C) of all samples in one panel, each in a frame of height 1 above its base."""
    samples, classes = targets.shape
    heights, left, right = targets.numpy(), -0.9, classes - 0.1
    own = np.arange(classes) == labels.numpy()[:, np.newaxis]
    if classes <= DRAWN_BARS:
        _add_bars(panel, np.indices(heights.shape)[1], np.broadcast_to(bases, (classes, samples)).T, heights, 0.8,
                  np.where(own, TEACHER, SEEN))  # fmt: skip
    else:  # the outline of all, and the own class wide enough to be seen
        edges = np.arange(classes + 1) - 0.5
        for base, p in zip(bases, heights, strict=True):
            panel.stairs(base + p, edges, baseline=base, fill=True, color=SEEN, edgecolor=SEEN, linewidth=0.8)
        _add_bars(panel, labels.numpy(), np.array(bases), heights[own], classes / DRAWN_BARS, TEACHER)
    frames = [[(left, y), (right, y), (right, y + 1), (left, y + 1)] for y in bases]
    frame = PolyCollection(frames, facecolors="none", edgecolors=INK, linewidths=0.8, clip_on=False)
    panel.add_collection(frame, autolim=False)
    panel.set_xlim(left, right)


def _add_bars(
    panel: Axes, centres: np.ndarray, bases: np.ndarray, heights: np.ndarray, width: float, colours: Any
) -> None:
    """Add bars as one artist: each artist takes its time."""
    x, low, high = (values.ravel() for values in (centres, bases, bases + heights))
    corners = [(x - width / 2, low), (x + width / 2, low), (x + width / 2, high), (x - width / 2, high)]
    bars = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)  # (bars, 4, 2)
    panel.add_collection(PolyCollection(list(bars), facecolors=np.ravel(colours), linewidths=0), autolim=False)


def _in_words(logits: Tensor, label: int, class_names: Sequence[str], temperatures: Sequence[float]) -> str:
    second = int(logits.clone().index_fill(0, torch.tensor(label), -math.inf).argmax())
    softened = {t: soft_targets(logits, t) for t in temperatures}
    said = "; ".join(f"{p[label]:.0%} and {p[second]:.1%} at T = {t:g}" for t, p in softened.items())
    return f"A {class_names[label]}, its own class and the next, {class_names[second]}: {said}."


@in_style
def target_entropy(logits: Tensor, *, used: Sequence[float] = ()) -> Figure:
    """Draw the entropy of the soft targets over the temperature: median, and ranges of 50 and 90 % of the samples.

    Args:
        logits: (N, C), the teacher's; where there are many, evenly spaced samples are drawn.
        used: the temperatures of the run's soft targets; they are marked.
    """
    logits = logits[:: max(1, logits.numel() // PROBABILITIES)]
    temperatures = torch.logspace(math.log10(0.5), math.log10(50), 41).tolist()
    levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
    lines = torch.stack([torch.quantile(entropies(logits, t), levels) for t in temperatures]).T
    figure = sheet(6.5, 3.6)
    panel = figure.subplots()
    for i, opacity, share in ((0, 0.25, "90 % of the samples"), (1, 0.45, "50 %")):
        panel.fill_between(temperatures, lines[i], lines[4 - i], color=SEEN, alpha=opacity, linewidth=0, label=share)
    panel.plot(temperatures, lines[2], color=SEEN, label="median")
    most = math.log(logits.shape[1])
    panel.axhline(most, color="0.5", linestyle="--", label=f"uniform: ln {logits.shape[1]}")
    for i, t in enumerate(used):
        label = f"used: T = {', '.join(f'{t:g}' for t in sorted(used))}" if i == 0 else None
        panel.axvline(t, color=UNSEEN, linestyle=":", label=label)
    panel.set_xscale("log")
    panel.set_xticks((0.5, 1, 2, 4, 8, 20, 50), ("0.5", "1", "2", "4", "8", "20", "50"))
    panel.minorticks_off()
    panel.set(xlabel="temperature", ylabel="entropy of the soft targets (nats)", ylim=(0, 1.05 * most))
    panel.grid()
    figure.legend(loc="outside right upper")
    said = ", ".join(f"{float(entropies(logits, t).median()):.2g} at T = {t:g}" for t in TEMPERATURES)
    what = "Line: entropy of the teacher's soft targets over the temperature"
    return described(figure, f"{what}. Its median is {said} nats; that of a uniform target is {most:.2f}.")


@in_style
def class_similarity(
    logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    class_names: Sequence[str],
    held_out: Sequence[int] = (),
) -> Figure:
    """Draw which classes the soft targets consider similar: the mean soft target of each true class, in per cent.

    The diagonal has no colour: its large values would hide the differences between the others.

    Args:
        logits: (N, C), the teacher's.
        labels: (N,).
        temperature: T of the soft targets.
        class_names: C names; a star marks those of `held_out`.
        held_out: classes that no student sees.
    """
    means = mean_soft_targets(logits, labels, temperature)
    others = means.clone().fill_diagonal_(math.nan)
    names = [f"{name}*" if c in held_out else name for c, name in enumerate(class_names)]
    size = min(8.0, 0.42 * len(names) + 2.2)
    figure = sheet(size + 1.2, size)
    panel = figure.subplots()
    few = len(names) <= NUMBERED_CLASSES
    texts = [[_per_cent(p) for p in row] for row in means.tolist()] if few else []
    norm = Normalize(0, float(others.nan_to_num(0).max()) or 1.0)
    image = numbered_image(panel, others.numpy(), norm=norm, cmap=colormaps["Blues"], texts=texts)
    for axis in (panel.xaxis, panel.yaxis):
        tick_classes(axis, names, inches=size - 1.8)
    panel.set(xlabel="class in the soft target", ylabel="true class", title=f"mean soft target at T = {temperature:g}")
    figure.colorbar(image, ax=panel, label="mean probability", format=PercentFormatter(1), shrink=0.8)
    most = others.nan_to_num(0).flatten().topk(min(5, others.numel() - len(others)))
    pairs = (divmod(int(i), len(means)) for i in most.indices)
    said = ", ".join(f"samples of {class_names[a]} get {means[a, b]:.1%} for {class_names[b]}" for a, b in pairs)
    return described(figure, f"Mean soft target of each true class at T = {temperature:g}. The most similar: {said}.")


def _per_cent(p: float) -> str:
    return "" if math.isnan(p) else f"{100 * p:.1f}"
