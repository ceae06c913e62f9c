"""Logits and labels → tidy rows. Pure functions: no trainer, no files."""

from collections.abc import Iterator, Sequence

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from kdlab.correction import oracle_offsets, prior_offsets
from kdlab.results import Correction, Row

ECE_BINS = 15


def class_groups(labels: Tensor, class_count: int, held_out: Sequence[int]) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, mask (N,)) for all, seen, unseen and each class; groups without samples are left out."""
    unseen = sum((labels == c for c in held_out), labels < 0)
    groups = {"all": labels >= 0, "seen": ~unseen, "unseen": unseen}
    groups |= {str(c): labels == c for c in range(class_count)}
    yield from ((name, mask) for name, mask in groups.items() if mask.any())


def metrics(logits: Tensor, labels: Tensor, *, teacher_logits: Tensor) -> dict[str, float]:
    """Compute one group's figures, from logits (N, C) and labels (N,).

    `ece` is the expected calibration error over 15 equal bins of confidence, weighted by their size
    (Guo et al. 2017, equation 3); `agreement` the share of samples on which the student's and the teacher's first
    choice are the same.
    """
    predictions = logits.argmax(dim=1)
    errors = int((predictions != labels).sum())
    return {
        "accuracy": 1 - errors / len(labels),
        "errors": errors,
        "nll": float(F.cross_entropy(logits, labels)),
        "ece": float(
            multiclass_calibration_error(
                logits.softmax(dim=1), labels, num_classes=logits.shape[1], n_bins=ECE_BINS, norm="l1"
            )
        ),
        "agreement": float((predictions == teacher_logits.argmax(dim=1)).float().mean()),
    }


def measure(
    arm: str,
    split: str,
    logits: Tensor,
    labels: Tensor,
    *,
    teacher_logits: Tensor,
    held_out: Sequence[int],
    correction: Correction = "none",
) -> list[Row]:
    """Return the rows of all groups and metrics for one arm under one correction, already applied to `logits`."""
    return [
        Row(arm, split, classes, correction, metric, value, int(mask.sum()))
        for classes, mask in class_groups(labels, logits.shape[1], held_out)
        for metric, value in metrics(logits[mask], labels[mask], teacher_logits=teacher_logits[mask]).items()
    ]


def corrections(
    logits: Tensor,
    labels: Tensor,
    *,
    unlabelled_logits: Tensor,
    unlabelled_teacher_logits: Tensor,
    held_out: Sequence[int],
    shared: bool,
) -> dict[Correction, Tensor]:
    """Return the offsets (C,) of each bias correction of a student.

    `prior` sees no label: its class prior is the teacher's mean predicted probability on the same unlabelled inputs
    on which the student's is matched to it. `oracle` is fitted to the labels it is then measured on, as the 2015 paper
    did: the best that one offset shared by all held-out classes can do, and no result one may claim.
    """
    prior = unlabelled_teacher_logits.double().softmax(dim=1).mean(dim=0)
    return {
        "prior": prior_offsets(unlabelled_logits, prior, held_out, shared=shared),
        "oracle": oracle_offsets(logits, labels, held_out),
    }


def offset_rows(
    arm: str, split: str, correction: Correction, offsets: Tensor, held_out: Sequence[int], n: int
) -> list[Row]:
    """Return the fitted offset of each held-out class; `split` and `n` say what it was fitted on."""
    return [Row(arm, split, str(c), correction, "offset", float(offsets[c]), n) for c in held_out]
