"""Decoupled knowledge distillation: the label's probability and the shape of the rest, weighted apart."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import not_negative, positive
from kdlab.losses.terms import LossTerms, is_right, number, weighted


class DecoupledLoss(nn.Module):
    r"""The KL of distillation, split by the label into two terms with weights of their own (DKD).

    .. math::
        L = \mathrm{CE}(z_s, y) + T^2 \, \mathrm{mean}_n \big[ \alpha \, \mathrm{TCKD} + \beta \, \mathrm{NCKD} \big]

    With p = σ(z_t/T) and q = σ(z_s/T): TCKD is the KL between the two Bernoullis (p_y, 1 − p_y) and (q_y, 1 − q_y),
    NCKD that between p and q restricted to the classes k ≠ y and renormalized. The KL itself is TCKD + (1 − p_y) NCKD:
    where the teacher is sure, distillation hardly sees the rest, and β lifts it.
    Source: Zhao et al. 2022 (arXiv:2203.08679); the authors' code also warms the term up, from 0 to all of it.

    Args:
        temperature: T, finite and above 0.
        alpha: the weight of TCKD, at least 0.
        beta: the weight of NCKD, at least 0.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    temperature: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(self, temperature: float = 4.0, alpha: float = 1.0, beta: float = 8.0) -> None:
        super().__init__()
        problems = [
            *positive("temperature", temperature), *not_negative("alpha", alpha), *not_negative("beta", beta),
        ]  # fmt: skip
        if problems:
            raise ValueError("\n".join(problems))
        for name, value in (("temperature", temperature), ("alpha", alpha), ("beta", beta)):
            self.register_buffer(name, number(value))

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> LossTerms:
        """Compute the loss; see `kdlab.losses.terms.weighted` for shapes and precision.

        Raises:
            ValueError: for two classes, where NCKD is 0 whatever the student says, and for logits of other shapes.
        """
        if student_logits.shape[-1] < 3:
            raise ValueError("with two classes there is no rest beside the label: DKD needs three or more")
        one = torch.ones_like(self.alpha)
        return weighted(
            student_logits, teacher_logits, targets, self._soft, soft_weight=self.alpha + self.beta, hard_weight=one
        )

    def _soft(self, z_s: Tensor, z_t: Tensor, targets: Tensor) -> Tensor:
        """Return the soft term for weights that sum to 1."""
        t, right = self.temperature, is_right(z_s, targets)
        log_p, log_q = F.log_softmax(z_t / t, dim=1), F.log_softmax(z_s / t, dim=1)
        rest_p, rest_q = (x.masked_fill(right, -torch.inf).logsumexp(dim=1, keepdim=True) for x in (log_p, log_q))
        at_p, at_q = ((x * right).sum(dim=1, keepdim=True) for x in (log_p, log_q))
        of_label = at_p.exp() * (at_p - at_q) + rest_p.exp() * (rest_p - rest_q)
        log_rest_p, log_rest_q = (F.log_softmax((z / t).masked_fill(right, -torch.inf), dim=1) for z in (z_t, z_s))
        of_rest = (log_rest_p.exp() * (log_rest_p - log_rest_q).masked_fill(right, 0)).sum(dim=1)
        whole = self.alpha + self.beta
        both = (self.alpha * of_label.squeeze(1) + self.beta * of_rest) / torch.where(whole > 0, whole, 1)
        return t**2 * both.mean()

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        t, alpha, beta = (f"{float(it):g}" for it in (self.temperature, self.alpha, self.beta))
        return f"L = CE(z_s, y) + {t}² · ({alpha} · TCKD + {beta} · NCKD), at T = {t}"
