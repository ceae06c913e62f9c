"""The pictures and the page of a run. And, as a command, those of a finished run again, without training.

python -m kdlab.illustrate RUN_DIR
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from torch import Tensor

from kdlab.bench import Bench
from kdlab.curves import Point, read_curves
from kdlab.errors import KdlabError
from kdlab.evaluate import Evaluation, Judged, measure_again, reopen
from kdlab.recipes import arm_recipe
from kdlab.report import (
    accuracy_curves,
    class_similarity,
    confusion_matrices,
    decision_regions,
    error_counts,
    examples,
    gallery,
    loss_curves,
    per_class_accuracy,
    softened_targets,
    target_entropy,
    unseen_accuracy,
)
from kdlab.report.drawing import png
from kdlab.report.findings import targets_of
from kdlab.report.images import Example
from kdlab.report.page import Gallery, as_yaml, picture, run_page
from kdlab.report.temperature import telling_samples
from kdlab.results import Results
from kdlab.tensorboard import code, log_overview
from kdlab.whole_files import write_text

GRID = 160
MARGIN = 0.5
POINTS = 400
# The most classes that soft targets are shown of, networks with a confusion matrix, and examples on a page and in one
# of its galleries.
TOLD_CLASSES, CONFUSED, EXAMPLES, EXAMPLES_EACH = 6, 12, 96, 24
# Of the similarity of classes, where no student is matched to the teacher at one.
DEFAULT_TEMPERATURE = 4.0

Curves = Mapping[str, Sequence[Point]]
Named = tuple[str, str, Figure]


def illustrate(
    bench: Bench, nets: Mapping[str, Judged], curves: Curves, evaluation: Evaluation, results: Results
) -> Path:
    """Draw the run's figures into `figures/`, write its page, `report.html`, and put both into TensorBoard.

    Args:
        bench: the data and the run's folder.
        nets: the teacher and each arm.
        curves: of each fit.
        evaluation: of the networks.
        results: what the tables hold.

    Returns:
        the page's path.
    """
    names = bench.data.class_names
    pictures = [picture(*named) for named in figures_of(bench, nets, curves, evaluation, results)]
    galleries = dict(galleries_of(bench, nets, evaluation, results))
    files = {it.name: it.png for it in pictures} | {
        name: png(gallery(it.examples, title=it.title, class_names=names))
        for name, it in galleries.items()
        if it.examples
    }
    _replace(bench.folder / "figures", files)
    page = run_page(
        results,
        class_names=names,
        held_out={name: net.held_out for name, net in nets.items()},
        pictures=pictures,
        galleries=[it for name, it in galleries.items() if it.on_page],
    )
    write_text(page, bench.folder / "report.html")
    texts = {"config": code(as_yaml(results.config)), "command": code(results.environment.get("command", ""))}
    log_overview(bench.folder / "tensorboard", texts, files)
    return bench.folder / "report.html"


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for name, content in files.items():
        (folder / f"{name}.png").write_bytes(content)


def figures_of(
    bench: Bench, nets: Mapping[str, Judged], curves: Curves, evaluation: Evaluation, results: Results
) -> Iterator[Named]:
    """Yield (name, title, figure) for each figure that applies to the run, galleries apart."""
    split = results.shown_split
    held_out = {name: net.held_out for name, net in nets.items()}
    names = bench.data.class_names
    unseen = any(held_out.values())
    yield "error_counts", f"Errors{', before and after bias correction' if unseen else ''}", error_counts(results)
    if unseen:
        yield "unseen_accuracy", "What students know of classes that they never saw", unseen_accuracy(results)
    per_class = per_class_accuracy(results, class_names=names, held_out=held_out)
    yield "per_class_accuracy", f"Accuracy on each class of the {split} samples", per_class
    shown = dict(list(nets.items())[:CONFUSED])
    confused = confusion_matrices(
        {name: evaluation.logits[name] for name in shown},
        bench.data.split(split).labels,
        class_names=names,
        held_out=held_out,
    )
    which = "" if len(shown) == len(nets) else f", the first {len(shown)} of {len(nets)} networks"
    star = "; * marks classes that the network never saw" if unseen else ""
    yield "confusion_matrices", f"What is taken for what{which}{star}", confused
    drawn = {arm: points for arm, points in curves.items() if points}
    measured = {figure for points in drawn.values() for _, figure, _ in points}
    if "train/hard_loss" in measured:
        yield "loss_curves", "Loss with the labels over the epochs", loss_curves(drawn)
    if "train/accuracy" in measured:
        yield "accuracy_curves", "Accuracy over the epochs", accuracy_curves(drawn)
    yield from _soft_targets(bench, nets, evaluation, results)
    if bench.data.input_shape == (2,):
        yield "decision_regions", "Decision regions and contours of the posterior", _regions(bench, nets, evaluation)


def _soft_targets(
    bench: Bench, nets: Mapping[str, Judged], evaluation: Evaluation, results: Results
) -> Iterator[Named]:
    split = results.shown_split
    logits, (inputs, labels) = evaluation.logits["teacher"], bench.data.split(split)
    names = bench.data.class_names
    held_out = sorted({c for net in nets.values() for c in net.held_out})
    # The stars say which classes are unknown to all students alike.
    unseen = bench.data.held_out
    told = telling_samples(logits, labels, [*held_out, *(c for c in range(len(names)) if c not in held_out)])
    if told := sorted(told[:TOLD_CLASSES], key=lambda i: int(labels[i])):
        softened = softened_targets(
            logits[told],
            labels[told],
            class_names=names,
            images=inputs[told] if _are_images(bench) else None,
            held_out=unseen,
        )
        yield "softened_targets", f"The teacher's softened answers to {split} samples that it is not sure of", softened
    used = temperatures(results)
    entropy = target_entropy(logits, used=used)
    yield "target_entropy", f"Entropy of the soft targets over temperature, on the {split} samples", entropy
    temperature = used[0] if used else DEFAULT_TEMPERATURE
    similarity = class_similarity(logits, labels, temperature=temperature, class_names=names, held_out=unseen)
    yield "class_similarity", f"Which classes the soft targets take for alike, on the {split} samples", similarity


def temperatures(results: Results) -> list[float]:
    """Return the temperatures at which students are matched to the teacher, the one that arms share first."""
    config = OmegaConf.create(results.config)
    losses = [recipe["loss"] for arm in config.arms if (recipe := arm_recipe(config, arm))["targets"] == "teacher_soft"]
    found = {loss["temperature"] for loss in losses if "temperature" in loss and loss.get("soft_loss") != "logit_mse"}
    return sorted(found, key=lambda t: (t != config.student.loss.get("temperature"), t))


def galleries_of(
    bench: Bench, nets: Mapping[str, Judged], evaluation: Evaluation, results: Results
) -> Iterator[tuple[str, Gallery]]:
    """Yield (name, gallery) for each student that knows images of unseen classes, and for all that any network misses.

    On the page are those of the students of soft targets or, without such, of all students.
    """
    if not _are_images(bench):
        return
    images, labels = bench.data.split(results.shown_split)
    students = [name for name in nets if name != "teacher"]
    on_page = [name for name in students if targets_of(results, name).endswith("_soft")] or students
    limit = max(6, min(EXAMPLES_EACH, EXAMPLES // (2 * len(on_page))))

    def found(name: str, among: Tensor, *, surest: bool) -> list[Example]:
        return examples(
            images,
            labels,
            student_logits=evaluation.logits[name],
            teacher_logits=evaluation.logits["teacher"],
            among=among,
            surest=surest,
            limit=limit,
        )

    for name, (_, held_out) in nets.items():
        right = evaluation.logits[name].argmax(dim=1) == labels
        unseen = torch.isin(labels, torch.tensor(held_out, dtype=labels.dtype))
        if held_out and name in on_page:
            known = right & unseen
            which = f", {limit} from surest to least sure" if known.sum() > limit else ""
            title = f"{name}: right, though it never saw the class ({known.sum():,} of {unseen.sum():,}{which})"
            yield f"dark_knowledge_{name}", Gallery(title, found(name, known, surest=False), on_page=True)
        which = f", the {limit} that it is surest of" if (~right).sum() > limit else ""
        title = f"{name}: wrong ({(~right).sum():,} of {len(labels):,}{which})"
        yield f"misclassified_{name}", Gallery(title, found(name, ~right, surest=True), on_page=name in on_page)


def _are_images(bench: Bench) -> bool:
    """Return whether the samples can be shown: grey or red, green and blue, in bytes."""
    shape = bench.data.input_shape
    return len(shape) == 3 and shape[0] in (1, 3) and bench.data.test.inputs.dtype == torch.uint8


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


def main() -> None:
    """Measure a finished run's networks again, and draw its figures and its page anew."""
    parser = argparse.ArgumentParser(
        prog="python -m kdlab.illustrate",
        description="Draw the figures and the page of a finished run again, or of a sweep's point, without training.",
    )
    parser.add_argument("run_dir", type=Path, help="the run's folder, which holds results.json and checkpoints/")
    try:
        folder = parser.parse_args().run_dir
        results, bench, nets = reopen(folder)
        evaluation = measure_again(results, bench, nets)
        written = folder / "curves.csv"
        curves = read_curves(written) if written.exists() else {}
        print(f"page: {illustrate(bench, nets, curves, evaluation, results)}")
    except KdlabError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
