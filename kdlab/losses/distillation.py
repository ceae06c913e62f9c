"""The distillation loss: soft targets from a teacher, hard targets from the labels."""

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import positive, share
from kdlab.losses.terms import LossTerms, number, weighted

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
        self.register_buffer("temperature", number(temperature))
        self.register_buffer("alpha", number(alpha))
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
        return weighted(
            student_logits, teacher_logits, targets, self._soft, soft_weight=self.alpha, hard_weight=1 - self.alpha
        )

    def _soft(self, z_s: Tensor, z_t: Tensor, targets: Tensor) -> Tensor:
        if self.soft_loss == "logit_mse":
            difference = z_s - z_t
            return (difference - difference.mean(dim=1, keepdim=True)).square().mean() / 2
        t = self.temperature
        log_q, log_p = F.log_softmax(z_s / t, dim=1), F.log_softmax(z_t / t, dim=1)
        surprise = log_p - log_q if self.soft_loss == "kl" else -log_q
        return (log_p.exp() * surprise).sum(dim=1).mean() * t**2

    def extra_repr(self) -> str:
        """Return the equation in use: what `print(loss)` shows."""
        t, alpha = f"{float(self.temperature):g}", float(self.alpha)
        soft = {
            "kl": f"{t}² · KL(softmax(z_t/{t}) ‖ softmax(z_s/{t}))",
            "cross_entropy": f"{t}² · H(softmax(z_t/{t}), softmax(z_s/{t}))",
            "logit_mse": "‖z̃_s − z̃_t‖² / 2C",
        }[self.soft_loss]
        return f"L = {alpha:g} · {soft} + {1 - alpha:g} · CE(z_s, y)"
