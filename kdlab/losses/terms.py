"""The return type of all losses, and the weighted sum of a soft and a hard term that most of them are."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# A soft term: (student's logits, teacher's logits, labels) → a scalar; logits (N, C) in float64.
Soft = Callable[[Tensor, Tensor, Tensor], Tensor]


class LossTerms(NamedTuple):
    """The loss of one batch: `total` is minimized, `soft` and `hard` are its unweighted terms (scalars, nats).

    `soft` is None for a loss without soft targets.
    """

    total: Tensor
    soft: Tensor | None
    hard: Tensor


def at_least_float32(logits: Tensor) -> Tensor:
    """Return the logits in float32; float64 ones stay float64."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def weighted(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    soft: Soft,
    *,
    soft_weight: Tensor,
    hard_weight: Tensor,
) -> LossTerms:
    """Return soft_weight · soft + hard_weight · CE(z_s, y), averaged over the batch.

    The soft term is computed in float64 (one that shrinks with T², as a KL does, would drown in float32's rounding),
    the sum in float32, in float64 for float64 logits. A term of weight 0 adds neither a gradient nor a value that is
    not finite.

    Args:
        student_logits: (N, C), any floating type.
        teacher_logits: (N, C); treated as constants.
        targets: (N,), class indices.
        soft: the soft term.
        soft_weight: its weight, a scalar.
        hard_weight: the weight of the cross-entropy with the labels, a scalar.

    Raises:
        ValueError: when the two logits differ in shape or are not (N, C).
    """
    if student_logits.shape != teacher_logits.shape or student_logits.ndim != 2:
        raise ValueError(
            f"student_logits {tuple(student_logits.shape)} and teacher_logits {tuple(teacher_logits.shape)} "
            "must both be (N, C)"
        )
    student, teacher = at_least_float32(student_logits), teacher_logits.detach()
    constant, has_soft, has_hard = student.detach(), soft_weight > 0, hard_weight > 0
    # A term of weight 0 gets a constant, and is left out of the sum, whatever its value.
    softness = soft(torch.where(has_soft, student, constant).double(), teacher.double(), targets).to(student.dtype)
    hard = F.cross_entropy(torch.where(has_hard, student, constant), targets)
    total = torch.where(has_soft, soft_weight * softness, 0) + torch.where(has_hard, hard_weight * hard, 0)
    return LossTerms(total.to(student.dtype), softness, hard)


def is_right(logits: Tensor, targets: Tensor) -> Tensor:
    """Return a mask (N, C) with the label's class of each sample."""
    classes = torch.arange(logits.shape[1], device=logits.device)
    return classes == targets.unsqueeze(1)


def number(value: float) -> Tensor:
    """Return a loss's number as what it keeps as a buffer, so that losses with different numbers can be stacked."""
    return torch.tensor(value, dtype=torch.float64)
