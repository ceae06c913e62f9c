"""Weighted soft labels: distillation that is weaker for samples on which the student does well already."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import not_negative, positive
from kdlab.losses.terms import LossTerms, number, weighted

# Keeps the quotient finite where the teacher is certain, as the authors' code does.
TINY = 1e-7


class WeightedSoftLabels(nn.Module):
    r"""Soft targets weighted for each sample by how much worse the student knows its label than the teacher (WSLD).

    .. math::
        L = \mathrm{CE}(z_s, y) + \alpha \, T^2 \, \mathrm{mean}_n \big[ w_n \, H(\sigma(z_t/T), \sigma(z_s/T)) \big],
        \quad w_n = 1 - \exp\big(-\mathrm{CE}(z_s, y) / \mathrm{CE}(z_t, y)\big)

    The weights are those of each sample at T = 1, and have no gradient.
    Source: Zhou et al. 2021 (arXiv:2102.00650).

    Args:
        temperature: T, finite and above 0.
        alpha: α, the weight of the soft term, at least 0.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    temperature: Tensor
    alpha: Tensor

    def __init__(self, temperature: float = 4.0, alpha: float = 2.25) -> None:
        super().__init__()
        if problems := positive("temperature", temperature) + not_negative("alpha", alpha):
            raise ValueError("\n".join(problems))
        self.register_buffer("temperature", number(temperature))
        self.register_buffer("alpha", number(alpha))

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> LossTerms:
        """Compute the loss; see `kdlab.losses.terms.weighted` for shapes, precision and errors."""
        one = torch.ones_like(self.alpha)
        return weighted(student_logits, teacher_logits, targets, self._soft, soft_weight=self.alpha, hard_weight=one)

    def _soft(self, z_s: Tensor, z_t: Tensor, targets: Tensor) -> Tensor:
        t = self.temperature
        of_student, of_teacher = (F.cross_entropy(z.detach(), targets, reduction="none") for z in (z_s, z_t))
        weights = 1 - (-of_student / (of_teacher + TINY)).exp()
        crossed = -((z_t / t).softmax(dim=1) * F.log_softmax(z_s / t, dim=1)).sum(dim=1)
        return t**2 * (weights * crossed).mean()

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        t, alpha = f"{float(self.temperature):g}", f"{float(self.alpha):g}"
        return (
            f"L = CE(z_s, y) + {alpha} · {t}² · (1 − exp(−CE(z_s, y) / CE(z_t, y))) "
            f"· H(softmax(z_t/{t}), softmax(z_s/{t}))"
        )
