"""Trained networks → rows, before and after bias correction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from kdlab.config.claims import Claim
from kdlab.config.experiment import TEACHER, EvaluationSettings, Recipe
from kdlab.data import ClassificationData
from kdlab.fits.context import Context
from kdlab.fits.measured import are_kept
from kdlab.fits.trained import Trained
from kdlab.measure.confusion import Counts, confusion
from kdlab.measure.correction import NoOffsets, class_prior, oracle_offsets, prior_offsets
from kdlab.measure.disagreements import disagreements
from kdlab.measure.metrics import answers_of, measure, offset_rows
from kdlab.results import Correction, Disagreement, Row


class Measured(NamedTuple):
    """The rows, what a reader must know of them, and the tensors that figures need.

    `logits` holds each network's logits (N, C) on `Results.shown_split`, `prior_offsets` the offsets (C,) of correction
    `prior`, `confusion` which class each network takes for which, on the same split and uncorrected. `disagreements`
    are those that claims ask for.
    """

    rows: list[Row]
    notes: list[str]
    logits: dict[str, Tensor]
    prior_offsets: dict[str, Tensor]
    disagreements: list[Disagreement]
    confusion: dict[str, Counts]


def measure_networks(
    context: Context, fits: Mapping[str, Trained], settings: EvaluationSettings, claims: Sequence[Claim] = ()
) -> Measured:
    """Measure teachers and arms, before and after bias correction, beside their own teacher or `settings.reference`.

    `prior` sees no label: its class prior is the mean probability that the student's teacher predicts on the same
    unlabelled inputs on which the student's is matched to it. `oracle` is fitted to the labels that it is then measured
    on, as the 2015 paper did: the best that one offset shared by all held-out classes can do, and no result one may
    claim. A student for which `prior` has no offsets lacks these rows, and a note says why. The Bayes rule, where the
    data know it, is measured as `bayes`.
    """
    data, rows = context.data, [*_bayes_error_rows(context.data)]
    unlabelled: dict[str, Tensor] = {}
    if any(fit.held_out for fit in fits.values()):
        unlabelled = _logits(context, fits, data.unlabelled_split)
    priors, notes = _fit_prior_offsets(data, fits, unlabelled, rows, shared=settings.prior_offsets == "shared")
    reference = _reference(settings, fits, notes)
    # A network that has seen all classes is measured on the run's held-out ones for comparison.
    unseen = {"bayes": data.held_out} | {name: fit.held_out or data.held_out for name, fit in fits.items()}
    measured = Measured(rows, notes, {}, priors, [], {})
    for split in settings.splits:
        logits = (split == data.unlabelled_split and unlabelled) or _logits(context, fits, split)
        labels = data.split(split).labels
        if split == "test" or "test" not in settings.splits:
            measured.logits.update(logits)
            measured.confusion.update({name: confusion(logits[name], labels) for name in fits})
        compared = {name: reference or teacher_of(fits[name]) if name in fits else TEACHER for name in logits}
        answers = {name: answers_of(logits[name]) for name in set(compared.values())}
        right: dict[tuple[str, Correction], Tensor] = {}
        for name in logits:
            held_out = fits[name].held_out if name in fits else []
            offsets = _offsets(logits[name], labels, held_out, priors.get(name))
            if isinstance(oracle := offsets.get("oracle"), Tensor):
                rows += offset_rows(name, split, "oracle", oracle, held_out, len(labels))
            for correction, offset in offsets.items():
                corrected = logits[name] + offset
                right[name, correction] = corrected.argmax(dim=1) == labels
                rows += measure(
                    name,
                    split,
                    corrected,
                    labels,
                    teacher=answers[compared[name]],
                    held_out=unseen[name],
                    correction=correction,
                    log_posterior=logits.get("bayes"),
                )
        measured.disagreements.extend(disagreements(claims, split, labels, right=right, held_out=unseen))
    return measured


def _reference(settings: EvaluationSettings, fits: Mapping[str, Trained], notes: list[str]) -> str | None:
    """Return the network that all are compared with; None for each with its own teacher."""
    if settings.reference is None or settings.reference in fits:
        return settings.reference
    notes.append(f"{settings.reference} failed, so that each student is compared with its own teacher instead")
    return None


def _offsets(
    logits: Tensor, labels: Tensor, held_out: Sequence[int], prior: Tensor | None
) -> dict[Correction, Tensor | float]:
    """Return the offsets of each correction that a network has."""
    found: dict[Correction, Tensor | float] = {"none": 0.0}
    if prior is not None:
        found["prior"] = prior
    if held_out:
        found["oracle"] = oracle_offsets(logits, labels, held_out)
    return found


def splits_of(settings: EvaluationSettings, recipes: Iterable[Recipe], data: ClassificationData) -> tuple[str, ...]:
    """Return the splits for which these fits' logits are needed: the measured ones, and that of correction `prior`."""
    unlabelled = [data.unlabelled_split] if any(recipe.held_out_classes for recipe in recipes) else []
    return tuple(dict.fromkeys([*settings.splits, *unlabelled]))


def _logits(context: Context, fits: Mapping[str, Trained], split: str) -> dict[str, Tensor]:
    """Return the logits of each network, and of the Bayes rule; teachers' and stacked students' are kept for others."""
    teachers = {teacher for fit in fits.values() for teacher in fit.recipe.teacher}
    found = {
        name: context.logits_on(fit, split, keep=name in teachers or are_kept(fit, split, context))
        for name, fit in fits.items()
    }
    if rule := context.data.bayes_rule:
        found["bayes"] = context.logits(rule, context.data.split(split).inputs)
    return found


def teacher_of(fit: Trained) -> str:
    """Return the name of the fit that this one is compared with: a student's own teacher, or else the first teacher."""
    return fit.recipe.teacher[0] if fit.recipe.teacher else TEACHER


def _fit_prior_offsets(
    data: ClassificationData,
    fits: Mapping[str, Trained],
    logits: Mapping[str, Tensor],
    rows: list[Row],
    *,
    shared: bool,
) -> tuple[dict[str, Tensor], list[str]]:
    """Fit correction `prior` of each student with unseen classes, by all logits on the unlabelled split.

    Add its offsets to `rows`. Return the offsets (C,), and a note for each student without.
    """
    students = {name: fit for name, fit in fits.items() if fit.held_out}
    priors: dict[str, Tensor] = {}
    offsets: dict[str, Tensor] = {}
    notes = []
    for name, fit in students.items():
        source = _knows_all(fit, fits)
        if source not in priors:
            priors[source] = class_prior(logits[source])
        try:
            offsets[name] = prior_offsets(logits[name], priors[source], fit.held_out, shared=shared)
            rows += offset_rows(name, data.unlabelled_split, "prior", offsets[name], fit.held_out, len(logits[name]))
        except NoOffsets as error:
            classes = ", ".join(data.class_names[c] for c in fit.held_out)
            notes.append(f"{name} has no correction `prior` to {source}'s mean probability of {classes}: {error}")
    return offsets, notes


def _knows_all(fit: Trained, fits: Mapping[str, Trained]) -> str:
    """Return the nearest teacher of a student, or its teacher's and so on, that has seen all classes."""
    name = teacher_of(fit)
    while fits[name].held_out:
        name = teacher_of(fits[name])
    return name


def _bayes_error_rows(data: ClassificationData) -> Iterator[Row]:
    if data.bayes_rule:
        error = data.bayes_rule.error()
        for name, value in {"bayes_error": error.value, "standard_error": error.standard_error}.items():
            yield Row("bayes", "distribution", "all", "none", name, value, error.samples)
