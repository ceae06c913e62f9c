"""All losses, on every device and for every type of logits, against themselves in float64 on the CPU."""

import pytest
import torch
from torch import Tensor, nn

from kdlab.losses import (
    ConfidencePenalty,
    ConfidenceWeighted,
    CorrelationLoss,
    DecoupledLoss,
    DistillationLoss,
    HardLoss,
    LabelSmoothing,
    NormalizedLoss,
    Scheduled,
    Standardized,
    TransformedTeacherLoss,
    WeightedSoftLabels,
)

LOSSES = [
    *(DistillationLoss(4.0, 0.7, soft_loss) for soft_loss in ("kl", "cross_entropy", "logit_mse")),
    DistillationLoss(1000.0, 0.7),
    HardLoss(),
    LabelSmoothing(0.1),
    ConfidencePenalty(0.3),
    DecoupledLoss(4.0, 1.0, 8.0),
    CorrelationLoss(4.0),
    NormalizedLoss(3.0, 3.5),
    TransformedTeacherLoss(10.0),
    TransformedTeacherLoss(2.0, by_sample=True),
    WeightedSoftLabels(),
    Standardized(DistillationLoss(2.0, 1.0)),
    ConfidenceWeighted(),
    Scheduled(DistillationLoss()),
]


def evaluate(loss: nn.Module, student: Tensor, teacher: Tensor, targets: Tensor) -> tuple[list[Tensor], Tensor]:
    student = student.clone().requires_grad_()
    terms = loss(student_logits=student, teacher_logits=teacher, targets=targets)
    (gradient,) = torch.autograd.grad(terms.total, student)
    return [term.detach() for term in terms if term is not None], gradient


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_loss_is_right_to_float32_whatever_the_device_autocast_and_the_type_of_its_logits(arithmetic, loss, dtype):
    generator = torch.Generator().manual_seed(0)
    student, teacher = (5 * torch.randn(64, 10, generator=generator).to(dtype) for _ in range(2))
    targets = torch.arange(64) % 10
    exact, exact_gradient = evaluate(loss, student.double(), teacher.double(), targets)
    with arithmetic.autocast():
        terms, gradient = evaluate(loss, *(it.to(arithmetic.device) for it in (student, teacher, targets)))
    for term, expected in zip(terms, exact, strict=True):
        assert term.dtype == torch.promote_types(dtype, torch.float32)
        assert term.item() == pytest.approx(expected.item(), rel=2e-6)
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient.cpu().double(), exact_gradient, rtol=torch.finfo(dtype).eps, atol=1e-6)
