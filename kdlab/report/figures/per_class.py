"""Draw accuracy by class."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from kdlab.report.averages import Averages, Mean, Several, averaged
from kdlab.report.figures.drawing import described, in_style, sheet, tick_classes
from kdlab.report.figures.error_bars import add_intervals, in_words, what_whiskers_are
from kdlab.report.figures.palette import SEEN, UNSEEN

CORRECTED: dict[str, Any] = {"marker": "D", "markersize": 4.5, "markerfacecolor": "white", "markeredgecolor": "black"}
NOTHING = Mean(0.0, 0.0, 1, 0)


class _Bar(NamedTuple):
    """A class of one arm: its name, whether the arm never saw it, its accuracy, and that after correction `prior`."""

    name: str
    unseen: bool
    share: Mean
    prior: Mean | None


@in_style
def per_class_accuracy(
    results: Several, *, class_names: Sequence[str], held_out: Mapping[str, Sequence[int]]
) -> Figure:
    """Draw each arm's accuracy on each class, with a panel for each arm; bars of unseen classes are hatched.

    A diamond marks the accuracy after bias correction `prior`. Of several runs that differ in their seeds alone, means,
    those of the bars with 95 % intervals.

    Args:
        results: of a run or several, of which `shown_split` is drawn.
        class_names: C names.
        held_out: for each arm, the classes that it never saw.

    Raises:
        ValueError: when the runs have no rows of single classes.
    """
    found = averaged(results)
    arms = [arm for arm in found.arms if found.find(arm, "all", "accuracy")]
    classes = [c for c in range(len(class_names)) if any(found.find(arm, str(c), "accuracy") for arm in arms)]
    if not classes:
        raise ValueError(f"the run has no rows of single classes on {found.split}")
    figure = sheet(min(16.0, max(6.0, 0.42 * len(classes) + 2)), 1.05 * len(arms) + 1.1)
    panels = figure.subplots(len(arms), 1, sharex=True, sharey=True, squeeze=False).ravel()
    said = []
    for panel, arm in zip(panels, arms, strict=True):
        bars = [_bar(found, arm, c, class_names[c], unseen=c in held_out.get(arm, ())) for c in classes]
        _draw(panel, bars)
        panel.set_title(found.named(arm, max(bar.share.fits for bar in bars)), loc="left")
        said.append(f"{arm} {_in_words(bars)}")
    tick_classes(panels[-1].xaxis, [class_names[c] for c in classes], inches=figure.get_figwidth() - 1)
    panels[-1].set_xlabel("class")
    figure.supylabel(f"{found.split} accuracy", fontsize="medium")
    marks = _marks(found) if any(held_out.get(arm) for arm in arms) else []
    whiskers = what_whiskers_are(mean.fits for mean in found.means.values())
    if marks or whiskers:
        figure.legend(handles=marks, loc="outside lower center", ncols=3, title=whiskers)
    over = f", mean over {found.called} ± half of its 95 % interval" if found.runs > 1 else ""
    return described(figure, f"Bars: accuracy on each class of the {found.split} samples{over}. {'; '.join(said)}.")


def _bar(found: Averages, arm: str, c: int, name: str, *, unseen: bool) -> _Bar:
    share = found.find(arm, str(c), "accuracy") or NOTHING
    return _Bar(name, unseen, share, found.find(arm, str(c), "accuracy", "prior"))


def _draw(panel: Axes, shown: Sequence[_Bar]) -> None:
    """Draw one arm's panel: a bar for each class, and a diamond where there is a correction `prior`."""
    colours = [UNSEEN if it.unseen else SEEN for it in shown]
    bars = panel.bar(range(len(shown)), [it.share.value for it in shown], 0.7, color=colours)
    for i, it in enumerate(shown):
        if it.unseen:
            bars[i].set(hatch="///", edgecolor="white", linewidth=0)
            panel.axvspan(i - 0.5, i + 0.5, color=UNSEEN, alpha=0.2, linewidth=0, zorder=0)
    add_intervals(panel, {i: it.share for i, it in enumerate(shown)})
    corrected = {i: it.prior.value for i, it in enumerate(shown) if it.prior}
    panel.plot(list(corrected), list(corrected.values()), linestyle="", **CORRECTED)
    panel.set(xlim=(-0.9, len(shown) - 0.1), ylim=(-0.06, 1.08), yticks=(0, 0.5, 1))
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.grid(axis="y")


def _marks(found: Averages) -> list[Artist]:
    """Return what the legend explains where arms have unseen classes."""
    marks: list[Artist] = [Patch(color=SEEN, label="seen")]
    marks.append(Patch(facecolor=UNSEEN, hatch="///", edgecolor="white", label="unseen"))
    if any(correction == "prior" and metric == "accuracy" for *_, correction, metric in found.means):
        marks.append(Line2D([], [], linestyle="", label="after correction prior", **CORRECTED))
    return marks


def _in_words(bars: Sequence[_Bar]) -> str:
    seen = [bar.share.value for bar in bars if not bar.unseen]
    parts = [f"{min(seen):.1%} to {max(seen):.1%} on the classes it saw"] if seen else []
    parts += [f"{in_words(bar.share)} on the unseen {bar.name}" for bar in bars if bar.unseen]
    return ", ".join(parts)
