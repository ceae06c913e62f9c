"""Logits and labels → tidy rows, by pure functions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdlab.results import Correction, Row

ECE_BINS = 15
# Told of groups of classes alone: nobody reads them class by class.
OF_GROUPS = ("brier", "kl_to_teacher")


class Answers(NamedTuple):
    """What a teacher says of N samples: first choices (N,), probabilities (N, C) at T = 1, and their entropies (N,)."""

    choice: Tensor
    p: Tensor
    entropy: Tensor


def answers_of(logits: Tensor) -> Answers:
    """Return what logits (N, C) say."""
    log_p = logits.log_softmax(dim=1)
    p = log_p.exp()
    return Answers(logits.argmax(dim=1), p, -(p * log_p).sum(dim=1))


def measure(
    arm: str,
    split: str,
    logits: Tensor,
    labels: Tensor,
    *,
    teacher: Answers,
    held_out: Sequence[int],
    correction: Correction = "none",
    log_posterior: Tensor | None = None,
) -> list[Row]:
    """Return the rows of one arm, from logits (N, C), to which the correction has been applied, and labels (N,).

    `teacher` holds what the arm's teacher answers, from `answers_of`.

    Groups of samples: all, those of seen and of unseen classes, and each class; a group without samples has no rows.

    `ece` is the expected calibration error over 15 equal bins of confidence, weighted by their size (Guo et al. 2017,
    equation 3). `agreement` is the share of samples for which student and teacher have the same first choice.
    `agreement_where_teacher_errs` is that share among the samples that the teacher gets wrong, `n` of them: a student
    that learned from labels alone has no reason to share its errors. `kl_to_teacher` is the mean KL of the teacher's
    from the student's probabilities at T = 1, in nats (Stanton et al. 2021). `brier` is the mean squared distance of
    the probabilities from the label, Σ_k (q_k − 1[k = y])². These three are told of groups of classes alone.
    `mutual_accuracy`, of several unseen classes, is how often the right one of these is the first choice among them.
    `balanced_accuracy`, of several classes of different sizes, is the mean of their accuracies.

    If the true posterior is known: `bayes_agreement` is the same share for the network and the Bayes rule.
    `excess_risk` is the expected error rate beyond that of the Bayes rule, mean_i [max_k P(k | x_i) − P(ŷ_i | x_i)]. It
    is never negative, and free of the noise in the labels drawn.
    """
    by_class = _sums_by_class(logits, labels, teacher, log_posterior)
    means = tuple(name for name in by_class if name not in ("right", "gaps", "teacher_errs", "errs_alike"))
    sizes = labels.bincount(minlength=logits.shape[1]).numpy()
    rows = []
    for classes, members in _groups(sizes, held_out).items():
        n = int(sizes[members].sum())
        errors = n - round(by_class["right"][members].sum())
        figures = {"accuracy": 1 - errors / n, "errors": errors}
        told = [name for name in means if (group := not classes.isdecimal()) or name not in OF_GROUPS]
        figures |= {name: float(by_class[name][members].sum()) / n for name in told}
        figures["ece"] = float(np.abs(by_class["gaps"][members].sum(axis=0)).sum()) / n
        if classes == "unseen":
            figures |= _mutual_accuracy(logits, labels, held_out)
        if len(set(sizes[members].tolist())) > 1:
            figures["balanced_accuracy"] = float((by_class["right"][members] / sizes[members]).mean())
        rows += [Row(arm, split, classes, correction, name, value, n) for name, value in figures.items()]
        if group and (errs := round(by_class["teacher_errs"][members].sum())):
            alike = float(by_class["errs_alike"][members].sum()) / errs
            rows.append(Row(arm, split, classes, correction, "agreement_where_teacher_errs", alike, errs))
    return rows


def _mutual_accuracy(logits: Tensor, labels: Tensor, held_out: Sequence[int]) -> dict[str, float]:
    """Return how often the right held-out class is the first choice among these; nothing for fewer than two."""
    unseen = torch.tensor(sorted(held_out), dtype=labels.dtype)
    members = torch.isin(labels, unseen)
    if len(labels[members].unique()) < 2:
        return {}
    right = unseen[logits[members][:, unseen].argmax(dim=1)] == labels[members]
    return {"mutual_accuracy": float(right.double().mean())}


def _groups(sizes: np.ndarray, held_out: Sequence[int]) -> dict[str, np.ndarray]:
    """Return for each group of samples its classes, as indices; leave out classes and groups without samples."""
    present = np.flatnonzero(sizes)
    unseen = np.isin(present, list(held_out))
    groups = {"all": present, "seen": present[~unseen], "unseen": present[unseen]}
    groups |= {str(c): np.array([c]) for c in present}
    return {name: members for name, members in groups.items() if len(members)}


def _sums_by_class(
    logits: Tensor, labels: Tensor, teacher: Answers, log_posterior: Tensor | None
) -> dict[str, np.ndarray]:
    """Return the sum of each figure over the samples of each class (C,), in float64.

    `gaps` (C, bins) is right answers minus confidence, in each bin of confidence.
    """
    count = logits.shape[1]
    choice = logits.argmax(dim=1)
    log_p = logits.t().contiguous().log_softmax(dim=0).t()  # along the samples, at many times the speed for few classes
    confidence = log_p.gather(1, choice.unsqueeze(1)).squeeze(1).exp()
    right = (choice == labels).double()
    teacher_errs = teacher.choice != labels
    of_label = log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
    figures = {
        "right": right,
        "nll": -of_label,
        "agreement": choice == teacher.choice,
        "brier": log_p.exp().square().sum(dim=1) - 2 * of_label.exp() + 1,
        "kl_to_teacher": (-teacher.entropy - (teacher.p * log_p).sum(dim=1)).clamp_min(0),
        "teacher_errs": teacher_errs,
        "errs_alike": teacher_errs & (choice == teacher.choice),
    }
    if log_posterior is not None:
        posterior = log_posterior.double().exp()
        figures["excess_risk"] = posterior.amax(dim=1) - posterior.gather(1, choice.unsqueeze(1)).squeeze(1)
        figures["bayes_agreement"] = choice == posterior.argmax(dim=1)
    sums = {name: labels.bincount(each.double(), count).numpy() for name, each in figures.items()}
    bins = torch.bucketize(confidence, torch.linspace(0, 1, ECE_BINS + 1)[1:-1], right=True)
    gaps = (labels * ECE_BINS + bins).bincount(right - confidence.double(), count * ECE_BINS)
    return sums | {"gaps": gaps.reshape(count, ECE_BINS).numpy()}


def offset_rows(
    arm: str, split: str, correction: Correction, offsets: Tensor, held_out: Sequence[int], n: int
) -> list[Row]:
    """Return a row for the offset of each held-out class; `split` and `n` say which samples it was fitted on."""
    return [Row(arm, split, str(c), correction, "offset", float(offsets[c]), n) for c in held_out]
