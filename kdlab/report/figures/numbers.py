"""The figures that need no network: errors, classes, confusion, curves; of one run, or over the seeds of several."""

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from kdlab.report.averages import Averages, averaged, different_fits
from kdlab.report.figures.accuracy_over_cost import accuracy_over_cost
from kdlab.report.figures.confusion import confusion_matrices
from kdlab.report.figures.error_bars import error_counts, unseen_accuracy
from kdlab.report.figures.learning_curves import accuracy_curves, loss_curves
from kdlab.report.figures.per_class import per_class_accuracy
from kdlab.report.findings import has_unseen_samples
from kdlab.report.numbers import Numbers

# The most networks with a confusion matrix.
CONFUSED = 12

log = logging.getLogger(__name__)
Named = tuple[str, str, Figure]


def figures_of_numbers(
    runs: Sequence[Numbers], *, class_names: Sequence[str], held_out: Mapping[str, Sequence[int]]
) -> Iterator[Named]:
    """Yield (name, title, figure) for each figure that the numbers of the runs can be drawn as.

    Args:
        runs: one, or several that differ in their seeds alone: then figures show means. A fit that several runs share
            counts once.
        class_names: C names.
        held_out: for each arm, the classes that it never saw.
    """
    results = [it.results for it in runs]
    found = averaged(results)
    over = f", means over {found.called}" if len(runs) > 1 else ""
    unseen = any(held_out.values())
    if any(found.find(arm, "all", "errors") for arm in found.arms):
        yield (
            "error_counts",
            f"Errors{', before and after bias correction' if unseen else ''}{over}",
            error_counts(results),
        )
    if unseen and not has_unseen_samples(results):
        log.warning("no %s sample is of a class that a student never saw: unseen_accuracy is left out", found.split)
    elif unseen:
        yield "unseen_accuracy", f"Accuracy on classes that the students never saw{over}", unseen_accuracy(results)
    if len(results) == 1 and any(row.split == "cost" for row in results[0].rows):
        yield "accuracy_over_cost", "What each network gets right over what it costs", accuracy_over_cost(results[0])
    if any(classes.isdecimal() and metric == "accuracy" for _, classes, _, metric in found.means):
        per_class = per_class_accuracy(results, class_names=class_names, held_out=held_out)
        yield "per_class_accuracy", f"Accuracy on each class of the {found.split} samples{over}", per_class
    yield from _confusion(runs, found, class_names=class_names, held_out=held_out)
    different = different_fits(results)
    curves = [
        {arm: curve for arm, curve in it.curves.items() if curve and number in different.get(arm, ())}
        for number, it in enumerate(runs)
    ]
    logged = {figure for own in curves for points in own.values() for _, figure, _ in points}
    if "train/hard_loss" in logged:
        yield "loss_curves", f"Loss with the labels over the epochs{over}", loss_curves(curves)
    if "train/accuracy" in logged:
        yield "accuracy_curves", f"Accuracy over the epochs{over}", accuracy_curves(curves)


def _confusion(
    runs: Sequence[Numbers],
    found: Averages,
    *,
    class_names: Sequence[str],
    held_out: Mapping[str, Sequence[int]],
) -> Iterator[Named]:
    different = different_fits([it.results for it in runs])
    counted = {arm: [runs[i].confusion[arm] for i in different[arm] if arm in runs[i].confusion] for arm in found.arms}
    counted = {arm: counts for arm, counts in counted.items() if counts}
    if not counted:
        return
    shown = dict(list(counted.items())[:CONFUSED])
    names = {arm: found.named(arm, len(counts)) for arm, counts in shown.items()}
    figure = confusion_matrices(
        {names[arm]: np.mean(counts, axis=0) for arm, counts in shown.items()},
        class_names=class_names,
        held_out={names[arm]: held_out.get(arm, ()) for arm in shown},
    )
    which = "" if len(shown) == len(counted) else f", the first {len(shown)} of {len(counted)} networks"
    counted_over = f", mean counts over {found.called}" if len(runs) > 1 else ""
    star = "; * marks classes that the network never saw" if any(held_out.values()) else ""
    yield "confusion_matrices", f"Confusion matrices{counted_over}{which}{star}", figure
