"""Logits and labels → tidy rows, by pure functions."""

from collections.abc import Iterator, Sequence

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from kdlab.results import Correction, Row

ECE_BINS = 15


def class_groups(labels: Tensor, class_count: int, held_out: Sequence[int]) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, mask (N,)) for all, seen and unseen samples and each class; skip groups without samples."""
    unseen = sum((labels == c for c in held_out), labels < 0)
    groups = {"all": labels >= 0, "seen": ~unseen, "unseen": unseen}
    groups |= {str(c): labels == c for c in range(class_count)}
    yield from ((name, mask) for name, mask in groups.items() if mask.any())


def metrics(
    logits: Tensor, labels: Tensor, *, teacher_logits: Tensor, log_posterior: Tensor | None = None
) -> dict[str, float]:
    """Compute one group's figures, from logits (N, C) and labels (N,).

    `ece` is the expected calibration error over 15 equal bins of confidence, weighted by their size (Guo et al. 2017,
    equation 3). `agreement` is the share of samples for which student and teacher have the same first choice.

    If the true posterior is known: `bayes_agreement` is the same share for the network and the Bayes rule.
    `excess_risk` is the expected error rate beyond that of the Bayes rule, mean_i [max_k P(k | x_i) − P(ŷ_i | x_i)]. It
    is never negative, and free of the noise in the labels drawn.
    """
    predictions = logits.argmax(dim=1)
    errors = int((predictions != labels).sum())
    figures = {
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
    if log_posterior is not None:
        posterior = log_posterior.double().exp()
        chosen = posterior.gather(1, predictions.unsqueeze(1)).squeeze(1)
        figures["excess_risk"] = float((posterior.amax(dim=1) - chosen).mean())
        figures["bayes_agreement"] = float((predictions == posterior.argmax(dim=1)).float().mean())
    return figures


def measure(
    arm: str,
    split: str,
    logits: Tensor,
    labels: Tensor,
    *,
    teacher_logits: Tensor,
    held_out: Sequence[int],
    correction: Correction = "none",
    log_posterior: Tensor | None = None,
) -> list[Row]:
    """Return the rows of all groups and metrics of one arm; `logits` have the correction applied already."""
    rows = []
    for classes, mask in class_groups(labels, logits.shape[1], held_out):
        figures = metrics(
            logits[mask],
            labels[mask],
            teacher_logits=teacher_logits[mask],
            log_posterior=None if log_posterior is None else log_posterior[mask],
        )
        rows += [Row(arm, split, classes, correction, name, value, int(mask.sum())) for name, value in figures.items()]
    return rows


def offset_rows(
    arm: str, split: str, correction: Correction, offsets: Tensor, held_out: Sequence[int], n: int
) -> list[Row]:
    """Return a row for the offset of each held-out class; `split` and `n` say which samples it was fitted on."""
    return [Row(arm, split, str(c), correction, "offset", float(offsets[c]), n) for c in held_out]
