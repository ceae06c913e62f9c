"""Draw a run's figures and write its page, from its networks and rows."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from kdlab.config.compose import as_yaml
from kdlab.config.experiment import Recipe, StudentRecipe, Targets
from kdlab.files import write_text
from kdlab.fits.boards import as_code
from kdlab.fits.context import Context
from kdlab.fits.trained import Trained
from kdlab.measure.networks import Measured, teacher_of
from kdlab.report import class_similarity, decision_regions, examples, gallery, softened_targets, target_entropy
from kdlab.report.claims import claims_table, judged_run, write_claims
from kdlab.report.figures.drawing import png, settled
from kdlab.report.figures.gallery import Example
from kdlab.report.figures.numbers import Named, figures_of_numbers
from kdlab.report.figures.temperature import softness, telling_samples
from kdlab.report.numbers import Numbers
from kdlab.report.overview import log_overview
from kdlab.report.page import picture
from kdlab.report.play import play_data
from kdlab.report.run_page import Gallery, run_page, thumbnail
from kdlab.report.sweep_table import markdown
from kdlab.results import Results

# Decision regions: points along each side of the grid, margin around the samples, and the most samples drawn.
GRID, MARGIN, POINTS = 160, 0.5, 400
# The most classes whose soft targets are drawn.
TOLD_CLASSES = 6
# The most examples on a page, and in one of its galleries.
EXAMPLES, EXAMPLES_EACH = 96, 24
# For the similarity of classes, if no student learns from soft targets at a temperature.
DEFAULT_TEMPERATURE = 4.0

Fits = Mapping[str, Trained]


def illustrate(context: Context, fits: Fits, measured: Measured, results: Results) -> Path:
    """Write the run's figures to `figures/`, its page to `report.html`, and figures and config to TensorBoard.

    Args:
        context: the data and the run's folder.
        fits: the teachers and the arms.
        measured: the networks' logits and offsets.
        results: the run's results.

    Returns:
        The page's path.
    """
    names = context.data.class_names
    galleries = dict(galleries_of(context, fits, measured, results))
    with settled():
        pictures = [picture(*named) for named in figures_of(context, fits, measured, results)]
        files = {it.name: it.png for it in pictures} | {
            name: png(gallery(it.examples, title=it.title, class_names=names), title=it.title)
            for name, it in galleries.items()
            if it.examples
        }
    _replace(context.folder / "figures", files)
    page = run_page(
        results,
        class_names=names,
        held_out={name: fit.held_out for name, fit in fits.items()},
        softness=softness(measured.logits["teacher"]),
        pictures=pictures,
        galleries=[it for name, it in galleries.items() if it.on_page],
        play=_play(context, fits, measured, results),
    )
    write_text(page, context.folder / "report.html")
    texts = {"config": as_code(as_yaml(results.config)), "command": as_code(results.environment.get("command", ""))}
    if claims := claims_table(judged := judged_run(results)):
        write_claims(judged, context.folder / "claims.csv")
        texts["claims"] = markdown(claims)
    log_overview(context.folder / "tensorboard", texts, files)
    return context.folder / "report.html"


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for name, content in files.items():
        (folder / f"{name}.png").write_bytes(content)


def figures_of(context: Context, fits: Fits, measured: Measured, results: Results) -> Iterator[Named]:
    """Yield (name, title, figure) for each figure that applies to the run, without the galleries."""
    yield from figures_of_numbers(
        [Numbers(results, measured.confusion, {name: fit.curve for name, fit in fits.items()})],
        class_names=context.data.class_names,
        held_out={name: fit.held_out for name, fit in fits.items()},
    )
    yield from _soft_targets(context, fits, measured, results)
    if context.data.input_shape == (2,):
        yield "decision_regions", "Decision regions and contours of the posterior", _regions(context, fits, measured)


def _soft_targets(context: Context, fits: Fits, measured: Measured, results: Results) -> Iterator[Named]:
    split = results.shown_split
    logits, (inputs, labels) = measured.logits["teacher"], context.data.split(split)
    names = context.data.class_names
    unseen = context.data.held_out  # by all students, so that a star means the same in each panel
    if told := _told_samples(context, fits, measured, results):
        softened = softened_targets(
            logits[told],
            labels[told],
            class_names=names,
            images=inputs[told] if _are_images(context) else None,
            held_out=unseen,
        )
        yield "softened_targets", f"The teacher's soft targets for {split} samples that it is unsure about", softened
    used = temperatures({name: fit.recipe for name, fit in fits.items()}, results)
    entropy = target_entropy(logits, used=used)
    yield "target_entropy", f"Entropy of the soft targets over the temperature, on the {split} samples", entropy
    temperature = used[0] if used else DEFAULT_TEMPERATURE
    similarity = class_similarity(logits, labels, temperature=temperature, class_names=names, held_out=unseen)
    yield "class_similarity", f"Classes that the soft targets consider similar, on the {split} samples", similarity


def _told_samples(context: Context, fits: Fits, measured: Measured, results: Results) -> list[int]:
    """Return the samples whose soft targets are shown, by class; held-out classes come first where there are many."""
    labels = context.data.split(results.shown_split).labels
    held_out = sorted({c for fit in fits.values() for c in fit.held_out})
    others = (c for c in range(len(context.data.class_names)) if c not in held_out)
    told = telling_samples(measured.logits["teacher"], labels, [*held_out, *others])
    return sorted(told[:TOLD_CLASSES], key=lambda i: int(labels[i]))


def _play(context: Context, fits: Fits, measured: Measured, results: Results) -> dict[str, Any] | None:
    """Return the numbers behind the page's sliders, of students of soft targets."""
    told = _told_samples(context, fits, measured, results)
    inputs, labels = context.data.split(results.shown_split)
    recipes = {name: fit.recipe for name, fit in fits.items()}
    soft = [name for name, it in recipes.items() if isinstance(it, StudentRecipe) and it.learns_from.soft]
    used = temperatures(recipes, results)
    offsets: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in results.rows:
        if row.metric == "offset" and (row.correction == "prior" or row.split == results.shown_split):
            offsets[row.arm][row.correction].append(row.value)
    return play_data(
        told,
        {name: measured.logits[name] for name in ("teacher", *soft)},
        labels,
        class_names=context.data.class_names,
        held_out={name: fit.held_out for name, fit in fits.items()},
        offsets={arm: {of: fmean(values) for of, values in found.items()} for arm, found in offsets.items()},
        temperature=used[0] if used else DEFAULT_TEMPERATURE,
        images=[thumbnail(inputs[i]) for i in told] if _are_images(context) else (),
    )


def temperatures(recipes: Mapping[str, Recipe], results: Results) -> list[float]:
    """Return the temperatures at which students match a teacher's soft targets, the shared one first."""
    losses = [
        recipe.loss
        for recipe in recipes.values()
        if isinstance(recipe, StudentRecipe) and recipe.learns_from == Targets("teacher", soft=True)
    ]
    found = {loss["temperature"] for loss in losses if "temperature" in loss and loss.get("soft_loss") != "logit_mse"}
    shared = results.config["student"]["loss"].get("temperature")
    return sorted(found, key=lambda t: (t != shared, t))


def galleries_of(context: Context, fits: Fits, measured: Measured, results: Results) -> Iterator[tuple[str, Gallery]]:
    """Yield (name, gallery): each student's right answers on unseen classes, and each network's wrong answers.

    The page shows the galleries of students of soft targets; those of all students if there is none.
    """
    if not _are_images(context):
        return
    images, labels = context.data.split(results.shown_split)
    students = {name: fit.recipe for name, fit in fits.items() if isinstance(fit.recipe, StudentRecipe)}
    on_page = [name for name, recipe in students.items() if recipe.learns_from.soft] or list(students)
    limit = max(6, min(EXAMPLES_EACH, EXAMPLES // (2 * len(on_page))))

    def found(name: str, among: Tensor, *, surest: bool) -> list[Example]:
        return examples(
            images,
            labels,
            student_logits=measured.logits[name],
            teacher_logits=measured.logits[teacher_of(fits[name])],
            among=among,
            surest=surest,
            limit=limit,
        )

    for name, fit in fits.items():
        right = measured.logits[name].argmax(dim=1) == labels
        unseen = torch.isin(labels, torch.tensor(fit.held_out, dtype=labels.dtype))
        if unseen.any() and name in on_page:
            known = right & unseen
            which = f", {limit} from most to least confident" if known.sum() > limit else ""
            title = f"{name}: right, although it never saw the class ({known.sum():,} of {unseen.sum():,}{which})"
            yield f"dark_knowledge_{name}", Gallery(title, found(name, known, surest=False), on_page=True)
        which = f", the {limit} most confident" if (~right).sum() > limit else ""
        title = f"{name}: wrong ({(~right).sum():,} of {len(labels):,}{which})"
        yield f"misclassified_{name}", Gallery(title, found(name, ~right, surest=True), on_page=name in on_page)


def _are_images(context: Context) -> bool:
    """Return whether the samples are uint8 images with one channel or three."""
    shape = context.data.input_shape
    return len(shape) == 3 and shape[0] in (1, 3) and context.data.test.inputs.dtype == torch.uint8


def _regions(context: Context, fits: Fits, measured: Measured) -> Figure:
    samples = context.data.split("train")
    low, high = samples.inputs.amin(dim=0) - MARGIN, samples.inputs.amax(dim=0) + MARGIN
    x, y = (torch.linspace(float(low[i]), float(high[i]), GRID) for i in range(2))
    plane = torch.cartesian_prod(y, x).flip(1)  # (GRID², 2), the lowest row first
    probabilities: dict[str, Tensor] = {}
    if context.data.bayes_rule:
        probabilities["Bayes rule"] = _probabilities(context.logits(context.data.bayes_rule, plane))
    for name, fit in fits.items():
        logits = context.logits(fit.net, plane)
        probabilities[name] = _probabilities(logits)
        if name in measured.prior_offsets:
            probabilities[f"{name} + correction"] = _probabilities(logits + measured.prior_offsets[name])
    return decision_regions(
        probabilities,
        (float(low[0]), float(high[0]), float(low[1]), float(high[1])),
        samples.inputs[:POINTS],
        samples.labels[:POINTS],
        class_names=context.data.class_names,
        held_out=context.data.held_out,
    )


def _probabilities(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1).reshape(GRID, GRID, -1)
