"""Logit standardization: any soft loss, on logits without their offset and scale."""

from typing import Any

import torch
from torch import Tensor, nn

from kdlab.limits import not_negative
from kdlab.losses.terms import LossTerms, number, weighted

TINY = 1e-7


class Standardized(nn.Module):
    r"""A loss of soft targets on standardized logits, beside the cross-entropy with the labels on those as they are.

    .. math::
        L = w_h \, \mathrm{CE}(z_s, y) + w \, L_{\mathrm{soft}}(Z(z_s), Z(z_t)), \quad
        Z(x) = \frac{x - \mathrm{mean}_c \, x}{10^{-7} + \mathrm{sd}_c \, x}

    sd is the unbiased one, over C − 1. Offset and scale of the student's logits, and so its confidence, are left to the
    labels alone. No target is larger than e^{√C/T} / (e^{√C/T} + C − 1).
    Source: Sun et al. 2024 (arXiv:2403.01427), with CE weighted by 0.1, KL · T² at T = 2 by 9.

    Args:
        loss: the soft loss, one whose hard term has no weight, such as a `DistillationLoss` with alpha = 1.
        weight: w, at least 0.
        hard_weight: w_h, at least 0.

    Raises:
        ValueError: one line for each weight out of its range.
    """

    weight: Tensor
    hard_weight: Tensor

    def __init__(self, loss: Any, weight: float = 9.0, hard_weight: float = 0.1) -> None:
        super().__init__()
        if problems := not_negative("weight", weight) + not_negative("hard_weight", hard_weight):
            raise ValueError("\n".join(problems))
        self.loss = loss
        self.register_buffer("weight", number(weight))
        self.register_buffer("hard_weight", number(hard_weight))

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> LossTerms:
        """Compute the loss; see `kdlab.losses.terms.weighted` for shapes and precision.

        Raises:
            ValueError: for two classes, whose standardized logits are the same for all samples but for the sign, and
                for logits of other shapes.
        """
        if student_logits.shape[-1] < 3:
            raise ValueError("with two classes all standardized logits are alike: three or more are needed")
        return weighted(
            student_logits, teacher_logits, targets, self._soft, soft_weight=self.weight, hard_weight=self.hard_weight
        )

    def _soft(self, z_s: Tensor, z_t: Tensor, targets: Tensor) -> Tensor:
        terms: LossTerms = self.loss(student_logits=_standard(z_s), teacher_logits=_standard(z_t), targets=targets)
        return terms.total

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        inner = self.loss.extra_repr() or type(self.loss).__name__
        return (
            f"L = {float(self.hard_weight):g} · CE(z_s, y) + {float(self.weight):g} · [{inner}], "
            "z in brackets: (z − mean) / sd"
        )


def _standard(logits: Tensor) -> Tensor:
    """Return each row without its mean, over its standard deviation."""
    centred = logits - logits.mean(dim=1, keepdim=True)
    spread = torch.linalg.vector_norm(centred, dim=1, keepdim=True) / (logits.shape[1] - 1) ** 0.5
    return centred / (TINY + spread)
