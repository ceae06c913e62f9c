"""The confidence penalty: a control that rewards unsure answers, without a teacher."""

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import not_negative
from kdlab.losses.terms import LossTerms, at_least_float32, number


class ConfidencePenalty(nn.Module):
    r"""The cross-entropy with the labels minus β times the entropy of the student's own answers, in nats.

    .. math::
        L = \mathrm{CE}(z_s, y) - \beta \, H(\sigma(z_s))
          = \mathrm{CE}(z_s, y) + \beta \, \mathrm{KL}(\sigma(z_s) \,\|\, u) - \beta \log C

    averaged over the N samples; u is 1/C for each class. With β = 0 this is the cross-entropy with the labels.
    Source: Pereyra et al. 2017 (arXiv:1701.06548), section 3.

    Args:
        beta: β, finite and at least 0.

    Raises:
        ValueError: when `beta` is out of its range.
    """

    needs_soft_targets = False
    beta: Tensor

    def __init__(self, beta: float = 0.1) -> None:
        super().__init__()
        if problems := not_negative("beta", beta):
            raise ValueError(*problems)
        self.register_buffer("beta", number(beta))

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor | None = None, targets: Tensor) -> LossTerms:
        """Compute the loss in float32 (float64 logits stay float64).

        Args:
            student_logits: (N, C), any floating type.
            teacher_logits: unused.
            targets: (N,), class indices.
        """
        logits = at_least_float32(student_logits)
        hard = F.cross_entropy(logits, targets)
        log_q = F.log_softmax(logits, dim=1)
        entropy = -(log_q.exp() * log_q).sum(dim=1).mean()
        return LossTerms((hard - self.beta * entropy).to(logits.dtype), None, hard.detach())

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        return f"L = CE(z_s, y) − {float(self.beta):g} · H(softmax(z_s))"
