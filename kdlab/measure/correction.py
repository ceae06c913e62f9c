"""Bias correction of held-out classes: offsets added to their logits after training.

A student that never saw a class learns to keep the bias of that class low, since no sample in the transfer set has it.
Adding a constant to the logits of the held-out classes undoes this (Hinton, Vinyals and Dean 2015, section 3).
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import Tensor

# The largest difference between a wanted and a fitted mean probability.
TOLERANCE = 1e-6


class NoOffsets(ValueError):
    """Logits and a prior for which correction `prior` has no offsets."""


def class_prior(logits: Tensor) -> Tensor:
    """Return the mean predicted probability (C,) of each class over logits (N, C): a class prior without any label."""
    return logits.double().softmax(dim=1).mean(dim=0)


def prior_offsets(logits: Tensor, prior: Tensor, held_out: Sequence[int], *, shared: bool = False) -> Tensor:
    r"""Fit the offsets without labels: make the mean predicted probabilities match a class prior.

    Solves, for every held-out class c (or, `shared`, for their sum),

    .. math:: \tfrac{1}{N} \sum_i \mathrm{softmax}(z_i + b)_c = \pi_c, \qquad b_k = 0 \text{ for seen } k

    which is the stationary point of the convex function mean_i logsumexp(z_i + b) − Σ_c π_c b_c.

    Args:
        logits: (N, C), for unlabelled inputs of all classes in their natural shares.
        prior: (C,), the share of each class; those of held-out classes must lie in (0, 1), the others are unused.
        held_out: class indices, at least one.
        shared: fit one offset for all held-out classes, instead of one for each.

    Returns:
        (C,) float32, 0 for the seen classes.

    Raises:
        NoOffsets: when a held-out class's prior is not in (0, 1), or when no offsets match it.
    """
    held = list(held_out)
    z = logits.double().numpy()
    pi = prior.double().numpy()[held]
    if not (np.all(pi > 0) and pi.sum() < 1):
        raise NoOffsets(f"the prior is {pi.tolist()}, but each must be above 0, and all together below 1")
    if not np.isfinite(z).all():
        raise NoOffsets("not all logits are finite")
    # The seen classes count as one, whose logit stays; column j of `spread` says which of the others parameter j moves.
    seen = logsumexp(np.delete(z, held, axis=1), axis=1, keepdims=True)
    spread = np.vstack([np.zeros(1 if shared else len(held)), np.ones((len(held), 1)) if shared else np.eye(len(held))])
    fitted = _fitted(np.hstack([seen, z[:, held]]), spread, np.array([pi.sum()]) if shared else pi)
    offsets = torch.zeros(z.shape[1])
    offsets[held] = torch.from_numpy(spread @ fitted).float()[1:]
    return offsets


def _fitted(z: np.ndarray, spread: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the parameters b with which the mean probabilities of what they move, softmax(z + spread b), are `wanted`.

    Raises:
        NoOffsets: when there are none.
    """

    def log_probabilities(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = z + spread @ b
        most = moved.max(axis=1, keepdims=True)
        total = most + np.log(np.exp(moved - most).sum(axis=1, keepdims=True))
        return total, moved - total

    def objective(b: np.ndarray) -> tuple[float, np.ndarray]:
        total, log_p = log_probabilities(b)
        return float(total.mean() - wanted @ b), (np.exp(log_p) @ spread).mean(axis=0) - wanted

    def hessian(b: np.ndarray) -> np.ndarray:
        p = np.exp(log_probabilities(b)[1]) @ spread
        return np.diag(p.mean(axis=0)) - p.T @ p / len(p)

    # Start from the difference of the log-odds, which has the right size however far the probabilities are off.
    _, log_p = log_probabilities(np.zeros_like(wanted))
    log_odds = [logsumexp(log_p[:, moves]) - logsumexp(log_p[:, ~moves]) for moves in spread.T.astype(bool)]
    start = np.log(wanted) - np.log1p(-wanted) - np.array(log_odds)
    fitted = minimize(objective, start, jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-10}).x
    difference = np.abs(objective(fitted)[1]).max()
    if not difference < TOLERANCE:
        raise NoOffsets(f"the mean probabilities that come nearest to the prior differ from it by {difference:.2g}")
    return fitted


def oracle_offsets(logits: Tensor, labels: Tensor, held_out: Sequence[int]) -> Tensor:
    """Find, **from the labels**, the shared offset of all held-out classes with the fewest errors, exactly.

    An offset b moves a sample's prediction from its best seen class to its best held-out class once b exceeds the
    margin between the two. The error count is therefore a step function of b, and every step is tried. If several
    intervals are equally good, the middle of the one nearest to 0 is taken.

    Args:
        logits: (N, C).
        labels: (N,).
        held_out: class indices, at least one and not all.

    Returns:
        (C,) float32, 0 for the seen classes.
    """
    margins, seen_class, held_class = guesses(logits, held_out)
    margins, order = margins.sort()
    # Beyond its margin, a sample becomes right if its held-out guess is right, and wrong if its seen guess was right.
    gains = (held_class == labels).long() - (seen_class == labels).long()
    right = torch.cat([torch.zeros(1, dtype=torch.long), gains[order].cumsum(0)])

    ends = torch.cat([margins[:1] - 2, margins, margins[-1:] + 2])  # the outermost intervals are open
    middles = (ends[:-1] + ends[1:]) / 2
    distinct = ends[1:] > ends[:-1]
    best = distinct & (right == right[distinct].max())
    none_is_best = (best & (ends[:-1] < 0) & (ends[1:] > 0)).any()
    offset = 0.0 if none_is_best else min(middles[best].tolist(), key=abs)
    return torch.zeros(logits.shape[1]).index_fill(0, torch.tensor(list(held_out)), offset)


def guesses(logits: Tensor, held_out: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return each sample's margin, its best seen class and its best held-out class, (N,) each.

    An offset of the held-out logits above the margin, in float64, makes the held-out class the prediction.
    """
    z = logits.double()
    held = torch.zeros(z.shape[1], dtype=torch.bool)
    held[list(held_out)] = True
    best_seen, seen_class = z.masked_fill(held, -torch.inf).max(dim=1)
    best_held, held_class = z.masked_fill(~held, -torch.inf).max(dim=1)
    return best_seen - best_held, seen_class, held_class
