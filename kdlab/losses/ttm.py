"""Transformed teacher matching: the temperature on the teacher's side alone."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import boolean, not_negative, positive
from kdlab.losses.terms import LossTerms, number, weighted


class TransformedTeacherLoss(nn.Module):
    r"""The KL between the teacher softened by T and the student at T = 1 (TTM), or the same weighted by sample (WTTM).

    .. math::
        L = \mathrm{CE}(z_s, y)
            + \beta \, \mathrm{mean}_n \big[ U_n \, \mathrm{KL}(\sigma(z_t/T) \,\|\, \sigma(z_s)) \big]

    U is 1 without `by_sample`, and Σ_k σ(z_t)_k^{1/T} with it: 1 for a sure teacher, C^{1 − 1/T} for one that knows
    nothing. There is no factor T²: the gradient of the KL is σ(z_s) − σ(z_t/T) at any T. Against distillation at T on
    both sides this adds a Rényi entropy of the student, which keeps it from being too sure.
    Source: Zheng and Yang 2024 (arXiv:2402.11148).

    Args:
        temperature: T of the teacher, finite and above 0.
        weight: β, at least 0.
        by_sample: weigh each sample by U.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    temperature: Tensor
    weight: Tensor

    def __init__(self, temperature: float = 10.0, weight: float = 1.0, by_sample: bool = False) -> None:
        super().__init__()
        problems = positive("temperature", temperature) + not_negative("weight", weight)
        if problems := problems + boolean("by_sample", by_sample):
            raise ValueError("\n".join(problems))
        self.register_buffer("temperature", number(temperature))
        self.register_buffer("weight", number(weight))
        self.by_sample = by_sample

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> LossTerms:
        """Compute the loss; see `kdlab.losses.terms.weighted` for shapes, precision and errors."""
        one = torch.ones_like(self.weight)
        return weighted(student_logits, teacher_logits, targets, self._soft, soft_weight=self.weight, hard_weight=one)

    def _soft(self, z_s: Tensor, z_t: Tensor, targets: Tensor) -> Tensor:
        log_p, log_q = F.log_softmax(z_t / self.temperature, dim=1), F.log_softmax(z_s, dim=1)
        divergence = (log_p.exp() * (log_p - log_q)).sum(dim=1)
        if self.by_sample:
            divergence = divergence * (F.log_softmax(z_t, dim=1) / self.temperature).exp().sum(dim=1)
        return divergence.mean()

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        t, weight = f"{float(self.temperature):g}", f"{float(self.weight):g}"
        by_sample = f"Σ softmax(z_t)^(1/{t}) · " if self.by_sample else ""
        return f"L = CE(z_s, y) + {weight} · {by_sample}KL(softmax(z_t/{t}) ‖ softmax(z_s))"
