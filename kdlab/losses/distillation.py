"""The distillation loss: soft targets from a teacher, hard targets from the labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import positive, share
from kdlab.losses.terms import LossTerms, at_least_float32

SOFT_LOSSES = ("kl", "cross_entropy", "logit_mse")


class DistillationLoss(nn.Module):
    r"""The weighted sum of a soft-target and a hard-target loss.

    .. math::
        L = \alpha \, T^2 \, \mathrm{KL}\big(\sigma(z_t / T) \,\|\, \sigma(z_s / T)\big)
            + (1 - \alpha) \, \mathrm{CE}(z_s, y)

    summed over the C classes and averaged over the N samples. The factor T² keeps the size of the soft gradient when T
    changes: dL_soft/dz_s = T (σ(z_s/T) − σ(z_t/T)) / N.
    Source: Hinton, Vinyals and Dean 2015 (arXiv:1503.02531), section 2.

    `soft_loss` picks the soft term:

    - `kl`: as above; zero if the student equals the teacher.
    - `cross_entropy`: T² · H(σ(z_t/T), σ(z_s/T)), which is the KL plus the teacher's entropy; its gradient is the same.
    - `logit_mse`: (1 / 2C) Σ_c (z̃_s − z̃_t)², where z̃ are the logits minus their mean: the limit of `kl` for T → ∞
      (section 2.1 of the paper, which assumes zero-mean logits). It does not depend on T.

    Args:
        temperature: T, finite and above 0.
        alpha: the weight of the **soft** term, in [0, 1]; the hard term has 1 − alpha. 0 ignores the teacher, 1 ignores
            the labels: a term of weight 0 adds neither a gradient nor a non-finite value.
        soft_loss: `kl`, `cross_entropy` or `logit_mse`.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    temperature: Tensor
    alpha: Tensor

    def __init__(self, temperature: float = 4.0, alpha: float = 0.9, soft_loss: str = "kl") -> None:
        super().__init__()
        problems = positive("temperature", temperature) + share("alpha", alpha, "the weight of the soft term")
        if soft_loss not in SOFT_LOSSES:
            problems.append(f"soft_loss={soft_loss}: must be one of {', '.join(SOFT_LOSSES)}")
        if problems:
            raise ValueError("\n".join(problems))
        # Buffers, so that losses with different numbers can be stacked.
        self.register_buffer("temperature", torch.tensor(temperature, dtype=torch.float64))
        self.register_buffer("alpha", torch.tensor(alpha, dtype=torch.float64))
        self.soft_loss = soft_loss

    def forward(self, *, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> LossTerms:
        """Compute the loss: the soft term in float64, the sum in float32 (float64 logits stay float64).

        Args:
            student_logits: (N, C), any floating type.
            teacher_logits: (N, C); treated as constants.
            targets: (N,), class indices.

        Raises:
            ValueError: when the two logits differ in shape or are not (N, C).
        """
        if student_logits.shape != teacher_logits.shape or student_logits.ndim != 2:
            raise ValueError(
                f"student_logits {tuple(student_logits.shape)} and teacher_logits {tuple(teacher_logits.shape)} "
                "must both be (N, C)"
            )
        student, teacher = at_least_float32(student_logits), teacher_logits.detach()
        constant, has_soft, has_hard = student.detach(), self.alpha > 0, self.alpha < 1
        # A term of weight 0 gets a constant, and is left out of the sum, whatever its value.
        soft = self._soft(torch.where(has_soft, student, constant), teacher)
        hard = F.cross_entropy(torch.where(has_hard, student, constant), targets)
        total = torch.where(has_soft, self.alpha * soft, 0) + torch.where(has_hard, (1 - self.alpha) * hard, 0)
        return LossTerms(total.to(student.dtype), soft, hard)

    def _soft(self, student: Tensor, teacher: Tensor) -> Tensor:
        # In float64, as the KL shrinks with T²: in float32, rounding would add about 1e-7 T², 0.1 at T = 1000.
        z_s, z_t = student.double(), teacher.double()
        if self.soft_loss == "logit_mse":
            difference = z_s - z_t
            soft = (difference - difference.mean(dim=1, keepdim=True)).square().mean() / 2
            return soft.to(student.dtype)
        t = self.temperature
        log_q, log_p = F.log_softmax(z_s / t, dim=1), F.log_softmax(z_t / t, dim=1)
        surprise = log_p - log_q if self.soft_loss == "kl" else -log_q
        return ((log_p.exp() * surprise).sum(dim=1).mean() * t**2).to(student.dtype)

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        t, alpha = f"{float(self.temperature):g}", float(self.alpha)
        soft = {
            "kl": f"{t}² · KL(softmax(z_t/{t}) ‖ softmax(z_s/{t}))",
            "cross_entropy": f"{t}² · H(softmax(z_t/{t}), softmax(z_s/{t}))",
            "logit_mse": "‖z̃_s − z̃_t‖² / 2C",
        }[self.soft_loss]
        return f"L = {alpha:g} · {soft} + {1 - alpha:g} · CE(z_s, y)"
