"""The figures of single classes: how often each is right, and what it is taken for."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from kdlab.report.figures.drawing import NUMBERED_CLASSES, described, in_style, numbered_image, sheet, tick_classes
from kdlab.report.figures.palette import SEEN, UNSEEN
from kdlab.results import Results


@in_style
def per_class_accuracy(
    results: Results, *, class_names: Sequence[str], held_out: Mapping[str, Sequence[int]]
) -> Figure:
    """Draw the accuracy of each arm on each class, a row of bars an arm; unseen classes hatched.

    A diamond is the accuracy after bias correction `prior`, where there is one.

    Args:
        results: of the run; measured on `results.shown_split`.
        class_names: of all C classes.
        held_out: of each arm, the classes that it never saw.

    Raises:
        ValueError: when the run has no rows of single classes.
    """
    split = results.shown_split
    rows = {
        (r.arm, r.classes, r.correction): r.value for r in results.rows if (r.split, r.metric) == (split, "accuracy")
    }
    arms = [fit.arm for fit in results.fits if (fit.arm, "all", "none") in rows]
    classes = [c for c in range(len(class_names)) if any((arm, str(c), "none") in rows for arm in arms)]
    if not classes:
        raise ValueError(f"the run has no rows of single classes on {split}")
    figure = sheet(min(16.0, max(6.0, 0.42 * len(classes) + 2)), 1.05 * len(arms) + 1.1)
    panels = figure.subplots(len(arms), 1, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, arm in zip(panels, arms, strict=True):
        unseen = [c in held_out.get(arm, ()) for c in classes]
        heights = [rows.get((arm, str(c), "none"), 0.0) for c in classes]
        bars = panel.bar(range(len(classes)), heights, 0.7, color=[UNSEEN if u else SEEN for u in unseen])
        for i, (bar, is_unseen) in enumerate(zip(bars, unseen, strict=True)):
            if is_unseen:
                bar.set(hatch="///", edgecolor="white", linewidth=0)
                panel.axvspan(i - 0.5, i + 0.5, color=UNSEEN, alpha=0.2, linewidth=0, zorder=0)
        corrected = [(i, rows[arm, str(c), "prior"]) for i, c in enumerate(classes) if (arm, str(c), "prior") in rows]
        panel.plot([i for i, _ in corrected], [y for _, y in corrected], linestyle="", **CORRECTED)
        panel.set(ylim=(-0.06, 1.08), yticks=(0, 0.5, 1))
        panel.set_title(arm, loc="left")
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panel.grid(axis="y")
    tick_classes(panels[-1].xaxis, [class_names[c] for c in classes])
    panels[-1].set_xlabel("class")
    figure.supylabel(f"{split} accuracy", fontsize="medium")
    marks: list[Artist] = [
        Patch(color=SEEN, label="seen"),
        Patch(facecolor=UNSEEN, hatch="///", edgecolor="white", label="unseen"),
    ]
    marks.append(Line2D([], [], linestyle="", label="after correction prior", **CORRECTED))
    if any(held_out.get(arm) for arm in arms):
        marks = marks if any(how == "prior" for *_, how in rows) else marks[:2]
        figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return described(figure, _accuracies_in_words(rows, arms, classes, class_names, held_out, split))


CORRECTED: dict[str, Any] = {"marker": "D", "markersize": 4.5, "markerfacecolor": "white", "markeredgecolor": "black"}


def _accuracies_in_words(
    rows: Mapping[Any, float],
    arms: Sequence[str],
    classes: Sequence[int],
    class_names: Sequence[str],
    held_out: Mapping[str, Sequence[int]],
    split: str,
) -> str:
    said = []
    for arm in arms:
        unseen = [c for c in classes if c in held_out.get(arm, ())]
        seen = [rows.get((arm, str(c), "none"), 0.0) for c in classes if c not in unseen]
        parts = [f"{min(seen):.1%} to {max(seen):.1%} on the classes it saw"] if seen else []
        parts += [f"{rows.get((arm, str(c), 'none'), 0.0):.1%} on the unseen {class_names[c]}" for c in unseen]
        said.append(f"{arm} {', '.join(parts)}")
    return f"Bars: accuracy on each class of the {split} samples. {'; '.join(said)}."


@in_style
def confusion_matrices(
    logits: Mapping[str, Tensor],
    labels: Tensor,
    *,
    class_names: Sequence[str],
    held_out: Mapping[str, Sequence[int]],
) -> Figure:
    """Draw which class is taken for which, a panel for each network: the share of each true class (rows sum to 1).

    Cells hold counts, where there are no more than a dozen classes. Small shares are made visible: colours follow
    the share to the power 0.4. Unseen classes are marked with a star.

    Args:
        logits: of each network, (N, C).
        labels: (N,).
        class_names: C names.
        held_out: of each network, the classes that it never saw.
    """
    columns = min(3, len(logits))
    rows = -(-len(logits) // columns)
    figure = sheet(3.6 * columns + 0.8, 3.5 * rows + 0.3)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    norm, cmap = PowerNorm(0.4, 0, 1), colormaps["Blues"]
    said = []
    for panel, (name, output) in zip(panels, logits.items(), strict=False):
        counts = confusion(output, labels)
        shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        texts = (
            [[str(n) if n else "" for n in row] for row in counts.tolist()] if len(counts) <= NUMBERED_CLASSES else []
        )
        image = numbered_image(panel, shares.numpy(), norm=norm, cmap=cmap, texts=texts)
        marked = [f"{c}*" if i in held_out.get(name, ()) else c for i, c in enumerate(class_names)]
        tick_classes(panel.xaxis, marked)
        tick_classes(panel.yaxis, marked)
        panel.set(xlabel="first choice", ylabel="true class", title=name)
        said.append(f"{name}: {_worst(counts, class_names)}")
    for panel in panels[len(logits) :]:
        panel.remove()
    figure.colorbar(image, ax=list(panels[: len(logits)]), label="share of the true class", shrink=0.7,
                    format=PercentFormatter(1, decimals=0), ticks=(0, 0.01, 0.1, 0.5, 1))  # fmt: skip
    star = " A star marks classes that the network never saw." if any(held_out.values()) else ""
    return described(figure, f"Confusion matrices, true class against first choice.{star} {' '.join(said)}")


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (C, C) counts: row i, column j has the samples of class i for which class j is the first choice."""
    classes = logits.shape[1]
    return torch.bincount(labels * classes + logits.argmax(dim=1), minlength=classes**2).reshape(classes, classes)


def _worst(counts: Tensor, class_names: Sequence[str], most: int = 3) -> str:
    wrong = counts.clone().fill_diagonal_(0)
    total = int(wrong.sum())
    found = wrong.flatten().topk(min(most, wrong.numel()))
    pairs = [(int(n), divmod(int(i), len(counts))) for n, i in zip(*found, strict=True) if n]
    shown = ", ".join(f"{class_names[true]} as {class_names[choice]} ({n})" for n, (true, choice) in pairs)
    return f"{total} error{'' if total == 1 else 's'}" + (f", most often {shown}." if shown else ".")
