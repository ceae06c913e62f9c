"""Label smoothing: a control that softens the labels evenly, without a teacher."""

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import share
from kdlab.losses.terms import LossTerms, at_least_float32, number


class LabelSmoothing(nn.Module):
    r"""The cross-entropy with smoothed labels, averaged over the N samples, in nats.

    .. math::
        L = \mathrm{CE}\big(z_s, (1 - \varepsilon) \, e_y + \tfrac{\varepsilon}{C}\big)
          = (1 - \varepsilon) \, \mathrm{CE}(z_s, y) - \tfrac{\varepsilon}{C} \sum_c \log \sigma(z_s)_c

    The right class has the target 1 − ε + ε/C. With ε = 0 this is the cross-entropy with the labels.
    Source: Szegedy et al. 2016 (arXiv:1512.00567), section 7.

    Args:
        epsilon: ε, in [0, 1].

    Raises:
        ValueError: when `epsilon` is out of its range.
    """

    needs_soft_targets = False
    epsilon: Tensor

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__()
        if problems := share("epsilon", epsilon, "the share of the labels that is spread evenly"):
            raise ValueError(*problems)
        self.register_buffer("epsilon", number(epsilon))

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor | None = None, targets: Tensor) -> LossTerms:
        """Compute the loss in float32 (float64 logits stay float64).

        Args:
            student_logits: (N, C), any floating type.
            teacher_logits: unused.
            targets: (N,), class indices.
        """
        logits = at_least_float32(student_logits)
        hard = F.cross_entropy(logits, targets)
        spread = -F.log_softmax(logits, dim=1).mean(dim=1).mean()  # the cross-entropy with 1/C for each class
        total = ((1 - self.epsilon) * hard + self.epsilon * spread).to(logits.dtype)
        return LossTerms(total, None, hard.detach())

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        epsilon = float(self.epsilon)
        return f"L = CE(z_s, {1 - epsilon:g} · y + {epsilon:g}/C)"
