"""Trained networks → rows, before and after bias correction."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from kdlab.config.experiment import TEACHER, EvaluationSettings
from kdlab.data import ClassificationData
from kdlab.fits.context import Context
from kdlab.fits.trained import Trained
from kdlab.measure.correction import NoOffsets, class_prior, oracle_offsets, prior_offsets
from kdlab.measure.metrics import measure, offset_rows
from kdlab.results import Correction, Row


class Measured(NamedTuple):
    """The rows, what a reader must know of them, and the tensors that figures need.

    `logits` holds each network's logits (N, C) on `Results.shown_split`, `prior_offsets` the offsets (C,) of correction
    `prior`.
    """

    rows: list[Row]
    notes: list[str]
    logits: dict[str, Tensor]
    prior_offsets: dict[str, Tensor]


class _Subject(NamedTuple):
    net: nn.Module
    held_out: list[int]
    teacher: str


def measure_networks(context: Context, fits: Mapping[str, Trained], settings: EvaluationSettings) -> Measured:
    """Measure the teachers and each arm, before and after bias correction; each student beside its own teacher.

    `prior` sees no label: its class prior is the mean probability that the student's teacher predicts on the same
    unlabelled inputs on which the student's is matched to it. `oracle` is fitted to the labels that it is then measured
    on, as the 2015 paper did: the best that one offset shared by all held-out classes can do, and no result one may
    claim. A student for which `prior` has no offsets lacks these rows, and a note says why. The Bayes rule, where the
    data know it, is measured as `bayes`.
    """
    data = context.data
    rows = [*_bayes_error_rows(data)]
    priors, notes = _fit_prior_offsets(context, fits, rows, shared=settings.prior_offsets == "shared")
    subjects = {name: _Subject(it.net, it.held_out, teacher_of(it)) for name, it in fits.items()}
    if data.bayes_rule:
        subjects["bayes"] = _Subject(data.bayes_rule, [], TEACHER)
    shown: dict[str, Tensor] = {}
    for split in settings.splits:
        inputs, labels = data.split(split)
        logits = {name: context.logits(it.net, inputs) for name, it in subjects.items()}
        if split == "test" or "test" not in settings.splits:
            shown = logits
        for name, it in subjects.items():
            offsets: dict[Correction, Tensor | float] = {"none": 0.0}
            if name in priors:
                offsets["prior"] = priors[name]
            if it.held_out:
                offsets["oracle"] = oracle = oracle_offsets(logits[name], labels, it.held_out)
                rows += offset_rows(name, split, "oracle", oracle, it.held_out, len(labels))
            for correction, offset in offsets.items():
                rows += measure(
                    name,
                    split,
                    logits[name] + offset,
                    labels,
                    teacher_logits=logits[it.teacher],
                    # A network that has seen all classes is measured on the run's held-out ones for comparison.
                    held_out=it.held_out or data.held_out,
                    correction=correction,
                    log_posterior=logits.get("bayes"),
                )
    return Measured(rows, notes, shown, priors)


def teacher_of(fit: Trained) -> str:
    """Return the name of the fit that this one is compared with: a student's own teacher, or else the first teacher."""
    return fit.recipe.teacher[0] if fit.recipe.teacher else TEACHER


def _fit_prior_offsets(
    context: Context, fits: Mapping[str, Trained], rows: list[Row], *, shared: bool
) -> tuple[dict[str, Tensor], list[str]]:
    """Fit correction `prior` of each student with unseen classes; add its offsets to `rows`.

    Return the offsets (C,), and a note for each student without.
    """
    students = {name: fit for name, fit in fits.items() if fit.held_out}
    if not students:
        return {}, []
    split, inputs = context.data.unlabelled()
    priors: dict[str, Tensor] = {}
    offsets: dict[str, Tensor] = {}
    notes = []
    for name, fit in students.items():
        source = _knows_all(fit, fits)
        if source not in priors:
            priors[source] = class_prior(context.logits(fits[source].net, inputs))
        try:
            offsets[name] = prior_offsets(context.logits(fit.net, inputs), priors[source], fit.held_out, shared=shared)
            rows += offset_rows(name, split, "prior", offsets[name], fit.held_out, len(inputs))
        except NoOffsets as error:
            classes = ", ".join(context.data.class_names[c] for c in fit.held_out)
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
