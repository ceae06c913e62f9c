"""The pictures of a run: what its networks answer, handed to the figures of `kdlab.report`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from kdlab.bench import Bench
from kdlab.evaluate import Evaluation, Judged
from kdlab.report import decision_regions, loss_curves, misclassified, unseen_accuracy
from kdlab.results import Results

GRID = 160
MARGIN = 0.5
POINTS = 400


def save_figures(figures: Iterable[tuple[str, Figure]], folder: Path) -> None:
    """Save each (name, figure) as PNG in `folder`, which is made."""
    folder.mkdir(exist_ok=True)
    for name, figure in figures:
        figure.savefig(folder / f"{name}.png", dpi=110)


def figures_of(
    bench: Bench,
    nets: Mapping[str, Judged],
    curves: Mapping[str, Sequence[tuple[int, str, float]]],
    evaluation: Evaluation,
    results: Results,
) -> Iterator[tuple[str, Figure]]:
    """Yield (name, figure) for each figure that applies to the run."""
    yield "loss_curves", loss_curves({arm: points for arm, points in curves.items() if points})
    if any(row.classes == "unseen" and row.correction == "prior" and row.split == "test" for row in results.rows):
        yield "unseen_accuracy", unseen_accuracy(results)
    if len(bench.data.input_shape) == 3:
        for arm, logits in evaluation.test_logits.items():
            yield (
                f"misclassified_{arm}",
                misclassified(
                    bench.data.test.inputs,
                    bench.data.test.labels,
                    logits,
                    evaluation.test_logits["teacher"],
                    arm=arm,
                    class_names=bench.data.class_names,
                ),
            )
    if bench.data.input_shape == (2,):
        yield "decision_regions", _regions(bench, nets, evaluation)


def _regions(bench: Bench, nets: Mapping[str, Judged], evaluation: Evaluation) -> Figure:
    samples = bench.data.split("train")
    low, high = samples.inputs.amin(dim=0) - MARGIN, samples.inputs.amax(dim=0) + MARGIN
    x, y = (torch.linspace(float(low[i]), float(high[i]), GRID) for i in range(2))
    plane = torch.cartesian_prod(y, x).flip(1)  # (GRID², 2), row by row from below
    probabilities: dict[str, Tensor] = {}
    if bench.data.bayes_rule:
        probabilities["Bayes rule"] = _probabilities(bench.logits(bench.data.bayes_rule, plane))
    for name, (net, _) in nets.items():
        logits = bench.logits(net, plane)
        probabilities[name] = _probabilities(logits)
        if name in evaluation.prior_offsets:
            probabilities[f"{name} + correction"] = _probabilities(logits + evaluation.prior_offsets[name])
    return decision_regions(
        probabilities,
        (float(low[0]), float(high[0]), float(low[1]), float(high[1])),
        samples.inputs[:POINTS],
        samples.labels[:POINTS],
        class_names=bench.data.class_names,
        held_out=bench.data.held_out,
    )


def _probabilities(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1).reshape(GRID, GRID, -1)
