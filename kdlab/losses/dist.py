"""Distillation by correlation: the relations among a sample's classes, and among a class's samples."""

import torch
from torch import Tensor, nn

from kdlab.limits import not_negative, positive
from kdlab.losses.terms import LossTerms, number, weighted

# Keeps the correlation of a row without variance at 0, as the authors' code does.
TINY = 1e-8


class CorrelationLoss(nn.Module):
    r"""One minus Pearson's correlation ρ of the teacher's and the student's probabilities (DIST).

    .. math::
        L = \mathrm{CE}(z_s, y) + w \big[ \beta (1 - \mathrm{mean}_n \, \rho(p_{n\cdot}, q_{n\cdot}))
            + \gamma (1 - \mathrm{mean}_c \, \rho(p_{\cdot c}, q_{\cdot c})) \big]

    With p = σ(z_t/T) and q = σ(z_s/T): the first term is over the classes of each sample, the second over the samples
    of the batch for each class, so that it depends on the batch; a batch of one sample gives it no gradient. Neither
    changes when a row (or column) of probabilities is scaled or shifted.
    Source: Huang et al. 2022 (arXiv:2205.10536). The authors' code multiplies by 2 · T², which is no part of the
    paper's equation: `weight` holds all of it, so that a sweep over T does not change the strength.

    Args:
        temperature: T, finite and above 0.
        beta: the weight of the relation among classes, at least 0.
        gamma: the weight of the relation among samples, at least 0.
        weight: w, the weight of both, at least 0.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    temperature: Tensor
    beta: Tensor
    gamma: Tensor
    weight: Tensor

    def __init__(self, temperature: float = 4.0, beta: float = 1.0, gamma: float = 1.0, weight: float = 32.0) -> None:
        super().__init__()
        problems = positive("temperature", temperature)
        for name, value in (("beta", beta), ("gamma", gamma), ("weight", weight)):
            problems += not_negative(name, value)
        if problems:
            raise ValueError("\n".join(problems))
        for name, value in (("temperature", temperature), ("beta", beta), ("gamma", gamma), ("weight", weight)):
            self.register_buffer(name, number(value))

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> LossTerms:
        """Compute the loss; see `kdlab.losses.terms.weighted` for shapes, precision and errors."""
        one = torch.ones_like(self.weight)
        return weighted(student_logits, teacher_logits, targets, self._soft, soft_weight=self.weight, hard_weight=one)

    def _soft(self, z_s: Tensor, z_t: Tensor, targets: Tensor) -> Tensor:
        p, q = ((z / self.temperature).softmax(dim=1) for z in (z_t, z_s))
        return self.beta * _apart(p, q) + self.gamma * _apart(p.T, q.T)

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        t, beta, gamma, weight = (f"{float(it):g}" for it in (self.temperature, self.beta, self.gamma, self.weight))
        return (
            f"L = CE(z_s, y) + {weight} · ({beta} · (1 − ρ over classes) + {gamma} · (1 − ρ over samples)), "
            f"of softmax(z/{t})"
        )


def _apart(p: Tensor, q: Tensor) -> Tensor:
    """Return 1 − the mean correlation of the rows of two matrices."""
    a, b = (x - x.mean(dim=1, keepdim=True) for x in (p, q))
    return 1 - ((a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1) + TINY)).mean()
