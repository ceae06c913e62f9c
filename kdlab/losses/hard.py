"""The loss for hard targets alone."""

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.losses.terms import LossTerms, at_least_float32


class HardLoss(nn.Module):
    """The cross-entropy with hard targets, CE(z_s, y), averaged over the N samples, in nats, in float32."""

    needs_soft_targets = False

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor | None = None, targets: Tensor) -> LossTerms:
        """Compute the loss.

        Args:
            student_logits: (N, C).
            teacher_logits: unused.
            targets: (N,), class indices.
        """
        loss = F.cross_entropy(at_least_float32(student_logits), targets)
        return LossTerms(loss, None, loss)

    def extra_repr(self) -> str:
        """Return the equation: what `print(loss)` shows."""
        return "L = CE(z_s, y)"
