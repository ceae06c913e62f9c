"""A loss whose weight changes in the course of a fit: it rises at the start, or ends before the fit does."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import share
from kdlab.losses.terms import LossTerms, at_least_float32, number


class Scheduled(nn.Module):
    r"""A loss of soft targets that takes over from the labels, and may hand back to them.

    .. math::
        L(s) = w(s) \, L_{\mathrm{loss}} + (1 - w(s)) \, \mathrm{CE}(z_s, y), \quad
        w(s) = \min(1, s / \mathrm{warmup}) \text{ for } s < \mathrm{until}, \text{ else } 0

    s is the share of the fit's steps that have been taken, from 0 to below 1. With `loss` = CE + soft this is
    CE + w(s) · soft; with a `DistillationLoss`, alpha is multiplied by w(s).
    Sources: Zhao et al. 2022 (arXiv:2203.08679), whose code raises the soft term linearly in the first epochs; Cho and
    Hariharan 2019 (arXiv:1910.01348), who end it early.

    Args:
        loss: any loss that needs soft targets.
        warmup: the share of the steps in which the weight rises, in [0, 1]; 0 starts with the whole weight.
        until: the share of the steps after which the labels alone count, in [0, 1]; 1 never ends.

    Raises:
        ValueError: when a share is out of its range, `warmup` is above `until`, or `loss` needs no soft targets.
    """

    warmup: Tensor
    until: Tensor
    progress: Tensor

    def __init__(self, loss: Any, warmup: float = 0.0, until: float = 1.0) -> None:
        super().__init__()
        problems = share("warmup", warmup, "the share of the steps in which the weight rises")
        problems += share("until", until, "the share of the steps after which the labels alone count")
        if not problems and warmup > until:
            problems.append(f"warmup={warmup:g}: must be at most until={until:g}")
        if not getattr(loss, "needs_soft_targets", True):
            problems.append(f"loss={type(loss).__name__}: needs no soft targets, so there is nothing to schedule")
        if problems:
            raise ValueError("\n".join(problems))
        self.loss = loss
        self.register_buffer("warmup", number(warmup))
        self.register_buffer("until", number(until))
        self.register_buffer("progress", number(0.0))

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> LossTerms:
        """Compute the loss at `progress`, the s of the equation; for shapes and errors see the wrapped loss.

        A part without weight adds neither a gradient nor a value that is not finite.
        """
        student = at_least_float32(student_logits)
        constant, weight = student.detach(), self._weight()
        has_loss, has_labels = weight > 0, weight < 1
        terms: LossTerms = self.loss(
            student_logits=torch.where(has_loss, student, constant), teacher_logits=teacher_logits, targets=targets
        )
        hard = F.cross_entropy(torch.where(has_labels, student, constant), targets)
        total = torch.where(has_loss, weight * terms.total, 0) + torch.where(has_labels, (1 - weight) * hard, 0)
        return LossTerms(total.to(student.dtype), terms.soft, hard)

    def _weight(self) -> Tensor:
        rising = torch.where(self.progress < self.warmup, self.progress / self.warmup, 1)
        return torch.where(self.progress < self.until, rising, 0)

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        inner, warmup, until = self.loss.extra_repr() or type(self.loss).__name__, float(self.warmup), float(self.until)
        w = [f"w rises from 0 to 1 in the first {100 * warmup:g} % of the steps"] if warmup else []
        w += [f"w is 0 after {100 * until:g} % of the steps"] if until < 1 else []
        return f"L = w · [{inner}] + (1 − w) · CE(z_s, y), {', '.join(w) or 'w is 1'}"


def is_scheduled(buffers: Iterable[str]) -> bool:
    """Tell whether a loss with buffers of these names wants to be told how far its fit has come."""
    return any(map(_is_progress, buffers))


def tell(buffers: Iterable[tuple[str, Tensor]], progress: float) -> None:
    """Tell a loss with these buffers, of its own and of its parts, which share of the fit's steps has been taken."""
    for name, value in buffers:
        if _is_progress(name):
            value.fill_(progress)


def _is_progress(name: str) -> bool:
    return name.rpartition(".")[2] == "progress"
