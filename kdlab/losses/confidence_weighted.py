"""Confidence-weighted labels: a control that takes from the teacher nothing but how sure it is of each sample."""

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import positive
from kdlab.losses.terms import LossTerms, number, weighted


class ConfidenceWeighted(nn.Module):
    r"""The cross-entropy with the labels, each sample weighted by the teacher's confidence (CWTM).

    .. math::
        L = \sum_n w_n \, \mathrm{CE}(z_{s,n}, y_n), \quad
        w_n = \frac{\max_c \sigma(z_{t,n}/T)_c}{\sum_m \max_c \sigma(z_{t,m}/T)_c}

    The sums run over the N samples of the batch. A teacher that is equally sure of all gives the cross-entropy with the
    labels.
    Source: Furlanello et al. 2018 (arXiv:1805.04770), section 4.1, with T = 1.

    Args:
        temperature: T, finite and above 0.

    Raises:
        ValueError: when `temperature` is out of its range.
    """

    temperature: Tensor

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if problems := positive("temperature", temperature):
            raise ValueError(*problems)
        self.register_buffer("temperature", number(temperature))

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> LossTerms:
        """Compute the loss, its soft term; see `kdlab.losses.terms.weighted` for shapes, precision and errors."""
        one = number(1.0).to(self.temperature.device)
        return weighted(student_logits, teacher_logits, targets, self._soft, soft_weight=one, hard_weight=1 - one)

    def _soft(self, z_s: Tensor, z_t: Tensor, targets: Tensor) -> Tensor:
        confidence = (z_t / self.temperature).softmax(dim=1).amax(dim=1)
        return (confidence / confidence.sum() * F.cross_entropy(z_s, targets, reduction="none")).sum()

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        t = f"{float(self.temperature):g}"
        return f"L = Σ_n w_n · CE(z_s, y), w_n = max softmax(z_t/{t}) / Σ max softmax(z_t/{t})"
