"""Draw accuracy by class and confusion matrices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from kdlab.report.figures.drawing import NUMBERED_CLASSES, described, in_style, numbered_image, sheet, tick_classes
from kdlab.report.figures.palette import SEEN, UNSEEN
from kdlab.report.rows import only, rows_of
from kdlab.results import Results


@in_style
def per_class_accuracy(
    results: Results, *, class_names: Sequence[str], held_out: Mapping[str, Sequence[int]]
) -> Figure:
    """Draw each arm's accuracy on each class, with a panel for each arm; bars of unseen classes are hatched.

    A diamond marks the accuracy after bias correction `prior`.

    Args:
        results: the run's results, of which `results.shown_split` is drawn.
        class_names: C names.
        held_out: for each arm, the classes that it never saw.

    Raises:
        ValueError: when the run has no rows of single classes.
    """
    split = results.shown_split
    rows = only(rows_of([results]), split=split, metric="accuracy").astype({"value": float})
    shares = rows.groupby(["arm", "classes", "correction"], observed=True)["value"].first().unstack("correction")
    arms = [fit.arm for fit in results.fits if (fit.arm, "all") in shares.index]
    classes = [c for c in range(len(class_names)) if any((arm, str(c)) in shares.index for arm in arms)]
    if not classes:
        raise ValueError(f"the run has no rows of single classes on {split}")
    shares = shares.reindex([(arm, str(c)) for arm in arms for c in classes], columns=["none", "prior"])
    shares["none"] = shares["none"].fillna(0.0)
    shares["name"] = [class_names[c] for _ in arms for c in classes]
    shares["unseen"] = [c in held_out.get(arm, ()) for arm in arms for c in classes]
    figure = sheet(min(16.0, max(6.0, 0.42 * len(classes) + 2)), 1.05 * len(arms) + 1.1)
    panels = figure.subplots(len(arms), 1, sharex=True, sharey=True, squeeze=False).ravel()
    said = []
    for panel, (arm, own) in zip(panels, shares.groupby(level="arm", sort=False, observed=True), strict=True):
        _bars(panel, own)
        panel.set_title(str(arm), loc="left")
        said.append(f"{arm} {_in_words(own)}")
    tick_classes(panels[-1].xaxis, [class_names[c] for c in classes], inches=figure.get_figwidth() - 1)
    panels[-1].set_xlabel("class")
    figure.supylabel(f"{split} accuracy", fontsize="medium")
    if any(held_out.get(arm) for arm in arms):
        marks: list[Artist] = [Patch(color=SEEN, label="seen")]
        marks.append(Patch(facecolor=UNSEEN, hatch="///", edgecolor="white", label="unseen"))
        if (rows["correction"] == "prior").any():
            marks.append(Line2D([], [], linestyle="", label="after correction prior", **CORRECTED))
        figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return described(figure, f"Bars: accuracy on each class of the {split} samples. {'; '.join(said)}.")


CORRECTED: dict[str, Any] = {"marker": "D", "markersize": 4.5, "markerfacecolor": "white", "markeredgecolor": "black"}


def _bars(panel: Axes, shares: pd.DataFrame) -> None:
    """Draw one arm's panel: a bar of height `none` for each line of `shares`, and a diamond at `prior` if not NaN."""
    bars = panel.bar(range(len(shares)), shares["none"], 0.7, color=[UNSEEN if u else SEEN for u in shares["unseen"]])
    for i in np.flatnonzero(shares["unseen"]):
        bars[i].set(hatch="///", edgecolor="white", linewidth=0)
        panel.axvspan(i - 0.5, i + 0.5, color=UNSEEN, alpha=0.2, linewidth=0, zorder=0)
    corrected = np.flatnonzero(shares["prior"].notna())
    panel.plot(corrected, shares["prior"].iloc[corrected], linestyle="", **CORRECTED)
    panel.set(xlim=(-0.9, len(shares) - 0.1), ylim=(-0.06, 1.08), yticks=(0, 0.5, 1))
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.grid(axis="y")


def _in_words(shares: pd.DataFrame) -> str:
    seen, unseen = (shares[shares["unseen"] == which] for which in (False, True))
    parts = [f"{seen['none'].min():.1%} to {seen['none'].max():.1%} on the classes it saw"] if len(seen) else []
    parts += [f"{share:.1%} on the unseen {name}" for name, share in zip(unseen["name"], unseen["none"], strict=True)]
    return ", ".join(parts)


@in_style
def confusion_matrices(
    logits: Mapping[str, Tensor],
    labels: Tensor,
    *,
    class_names: Sequence[str],
    held_out: Mapping[str, Sequence[int]],
) -> Figure:
    """Draw each network's confusion matrix as shares of the true class (rows sum to 1).

    Cells show counts if there are at most 12 classes. Colours follow the share to the power 0.4, so that small shares
    can be seen. A star marks unseen classes.

    Args:
        logits: (N, C) for each network.
        labels: (N,).
        class_names: C names.
        held_out: for each network, the classes that it never saw.
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
        for axis in (panel.xaxis, panel.yaxis):
            tick_classes(axis, marked, inches=2.2)
        panel.set(xlabel="first choice", ylabel="true class", title=name)
        said.append(f"{name}: {_worst(counts, class_names)}")
    for panel in panels[len(logits) :]:
        panel.remove()
    figure.colorbar(image, ax=list(panels[: len(logits)]), label="share of the true class", shrink=0.7,
                    format=PercentFormatter(1, decimals=0), ticks=(0, 0.01, 0.1, 0.5, 1))  # fmt: skip
    star = " A star marks classes that the network never saw." if any(held_out.values()) else ""
    return described(figure, f"Confusion matrices, true class against first choice.{star} {' '.join(said)}")


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (C, C) counts: samples of class i whose first choice is class j, in row i and column j."""
    classes = logits.shape[1]
    return torch.bincount(labels * classes + logits.argmax(dim=1), minlength=classes**2).reshape(classes, classes)


def _worst(counts: Tensor, class_names: Sequence[str], most: int = 3) -> str:
    wrong = counts.clone().fill_diagonal_(0)
    total = int(wrong.sum())
    found = wrong.flatten().topk(min(most, wrong.numel()))
    pairs = [(int(n), divmod(int(i), len(counts))) for n, i in zip(*found, strict=True) if n]
    shown = ", ".join(f"{class_names[true]} as {class_names[choice]} ({n})" for n, (true, choice) in pairs)
    return f"{total} error{'' if total == 1 else 's'}" + (f", most often {shown}." if shown else ".")
