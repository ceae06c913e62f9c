"""Normalized distillation: the teacher's probability of the label, and the renormalized rest, as cross-entropies."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import not_negative, positive
from kdlab.losses.terms import LossTerms, is_right, number, weighted


class NormalizedLoss(nn.Module):
    r"""Cross-entropies of the label's probability and of the renormalized rest, weighted apart (NKD).

    .. math::
        L = \mathrm{CE}(z_s, y) + \mathrm{mean}_n \big[ -\sigma(z_t)_y \log \sigma(z_s)_y
            - \gamma \, T^2 \sum_{k \ne y} \hat p_k \log \hat q_k \big]

    p̂ and q̂ are σ(z_t/T) and σ(z_s/T) on the classes k ≠ y, renormalized; the first two terms are at T = 1.
    Its optimum is σ(z_s)_y → 1 whatever the teacher says of y: the KL to the teacher is no measure of it.
    Source: Yang et al. 2023 (arXiv:2303.13005).

    Args:
        temperature: T of the rest, finite and above 0.
        gamma: γ, the weight of the rest, at least 0.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    temperature: Tensor
    gamma: Tensor

    def __init__(self, temperature: float = 3.0, gamma: float = 3.5) -> None:
        super().__init__()
        if problems := positive("temperature", temperature) + not_negative("gamma", gamma):
            raise ValueError("\n".join(problems))
        self.register_buffer("temperature", number(temperature))
        self.register_buffer("gamma", number(gamma))

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> LossTerms:
        """Compute the loss; see `kdlab.losses.terms.weighted` for shapes, precision and errors."""
        one = torch.ones_like(self.gamma)
        return weighted(student_logits, teacher_logits, targets, self._soft, soft_weight=one, hard_weight=one)

    def _soft(self, z_s: Tensor, z_t: Tensor, targets: Tensor) -> Tensor:
        t, right = self.temperature, is_right(z_s, targets)
        of_label = -(z_t.softmax(dim=1) * F.log_softmax(z_s, dim=1) * right).sum(dim=1)
        log_p, log_q = (F.log_softmax((z / t).masked_fill(right, -torch.inf), dim=1) for z in (z_t, z_s))
        of_rest = -(log_p.exp() * log_q.masked_fill(right, 0)).sum(dim=1)
        return (of_label + self.gamma * t**2 * of_rest).mean()

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        t, gamma = f"{float(self.temperature):g}", f"{float(self.gamma):g}"
        return f"L = CE(z_s, y) − p_y · log q_y + {gamma} · {t}² · H(p̂, q̂), rest at T = {t}"
