"""The loss against an oracle in NumPy, its limits, its gradient, and the known faults of public code."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.limits import shown
from kdlab.losses import DistillationLoss

SOFT_LOSSES = ["kl", "cross_entropy", "logit_mse"]


@pytest.fixture
def logits() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(6, 5, generator=generator) * 3
    teacher = torch.randn(6, 5, generator=generator) * 3
    return student, teacher, torch.tensor([0, 4, 2, 2, 1, 3])


def evaluate(loss: DistillationLoss, logits: tuple[Tensor, Tensor, Tensor]) -> tuple[float, Tensor]:
    """Return the total and its gradient with respect to the student's logits."""
    student, teacher, targets = logits
    student = student.clone().requires_grad_()
    total = loss(student_logits=student, teacher_logits=teacher, targets=targets).total
    (gradient,) = torch.autograd.grad(total, student)
    return total.item(), gradient


def numpy_softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def numpy_oracle(student: Tensor, teacher: Tensor, targets: Tensor, t: float, alpha: float, soft_loss: str) -> float:
    z_s, z_t = student.double().numpy(), teacher.double().numpy()
    p, q = numpy_softmax(z_t / t), numpy_softmax(z_s / t)
    centred = (z_s - z_s.mean(axis=1, keepdims=True)) - (z_t - z_t.mean(axis=1, keepdims=True))
    soft = {
        "kl": t**2 * (p * (np.log(p) - np.log(q))).sum(axis=1).mean(),
        "cross_entropy": -(t**2) * (p * np.log(q)).sum(axis=1).mean(),
        "logit_mse": (centred**2).sum(axis=1).mean() / (2 * z_s.shape[1]),
    }[soft_loss]
    hard = -np.log(numpy_softmax(z_s)[np.arange(len(z_s)), targets.numpy()]).mean()
    return float(alpha * soft + (1 - alpha) * hard)


@pytest.mark.parametrize("soft_loss", SOFT_LOSSES)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 2e-5), (torch.bfloat16, 2e-5), (torch.float16, 2e-5)],
)
def test_value_equals_the_numpy_oracle(logits, soft_loss, temperature, alpha, dtype, tolerance):
    student, teacher, targets = logits[0].to(dtype), logits[1].to(dtype), logits[2]
    loss = DistillationLoss(temperature=temperature, alpha=alpha, soft_loss=soft_loss)
    total = loss(student_logits=student, teacher_logits=teacher, targets=targets).total
    assert total.item() == pytest.approx(
        numpy_oracle(student, teacher, targets, temperature, alpha, soft_loss), rel=tolerance, abs=tolerance
    )


@pytest.mark.parametrize("soft_loss", SOFT_LOSSES)
def test_alpha_zero_is_plain_cross_entropy_with_identical_gradients(logits, soft_loss):
    value, gradient = evaluate(DistillationLoss(4.0, 0.0, soft_loss), logits)
    student = logits[0].clone().requires_grad_()
    plain = F.cross_entropy(student, logits[2])
    assert value == plain.item()
    assert torch.equal(gradient, torch.autograd.grad(plain, student)[0])


def test_alpha_zero_is_untouched_by_a_broken_teacher(logits):
    student, teacher, targets = logits
    value, gradient = evaluate(DistillationLoss(4.0, 0.0), (student, teacher * torch.nan, targets))
    assert np.isfinite(value)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("soft_loss", SOFT_LOSSES)
def test_alpha_one_ignores_the_labels(logits, soft_loss):
    student, teacher, targets = logits
    loss = DistillationLoss(4.0, 1.0, soft_loss)
    value, gradient = evaluate(loss, logits)
    other_value, other_gradient = evaluate(loss, (student, teacher, (targets + 1) % 5))
    assert value == other_value
    assert torch.equal(gradient, other_gradient)


@pytest.mark.parametrize("soft_loss", ["kl", "logit_mse"])
def test_soft_loss_and_gradient_vanish_when_the_student_equals_the_teacher(logits, soft_loss):
    student, _, targets = logits
    value, gradient = evaluate(DistillationLoss(3.0, 1.0, soft_loss), (student, student.clone(), targets))
    assert value == pytest.approx(0, abs=1e-6)
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("soft_loss", ["kl", "cross_entropy"])
def test_swapped_arguments_change_the_value(logits, soft_loss):
    student, teacher, targets = logits
    loss = DistillationLoss(2.0, 1.0, soft_loss)
    right = loss(student_logits=student, teacher_logits=teacher, targets=targets).total
    swapped = loss(student_logits=teacher, teacher_logits=student, targets=targets).total
    assert abs(right - swapped) > 0.01 * right


def test_positional_logits_are_refused(logits):
    with pytest.raises(TypeError):
        DistillationLoss()(*logits)


@pytest.mark.parametrize("soft_loss", ["kl", "cross_entropy"])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("alpha", [0.4, 1.0])
def test_gradient_is_the_closed_form(logits, soft_loss, temperature, alpha):
    student, teacher, targets = (logits[0].double(), logits[1].double(), logits[2])
    _, gradient = evaluate(DistillationLoss(temperature, alpha, soft_loss), (student, teacher, targets))
    n, t = len(student), temperature
    soft = t * (F.softmax(student / t, 1) - F.softmax(teacher / t, 1))
    hard = F.softmax(student, 1) - F.one_hot(targets, 5)
    torch.testing.assert_close(gradient, (alpha * soft + (1 - alpha) * hard) / n)


def test_gradient_approaches_logit_matching_as_the_temperature_grows(logits):
    student, teacher, targets = (logits[0].double(), logits[1].double(), logits[2])
    limit_value, limit = evaluate(DistillationLoss(1.0, 1.0, "logit_mse"), (student, teacher, targets))
    distances = []
    for temperature in (10.0, 100.0, 1000.0):
        value, gradient = evaluate(DistillationLoss(temperature, 1.0, "kl"), (student, teacher, targets))
        distances.append((gradient - limit).norm().item())
    assert distances[0] > 5 * distances[1] > 25 * distances[2]
    assert value == pytest.approx(limit_value, rel=0.01)


@pytest.mark.parametrize("soft_loss", SOFT_LOSSES)
@pytest.mark.parametrize("temperature", [0.01, 100.0, 1e3, 1e5])
def test_value_and_gradient_are_right_to_float32_at_any_temperature(logits, soft_loss, temperature):
    student, teacher, targets = logits
    loss = DistillationLoss(temperature, 1.0, soft_loss)
    value, gradient = evaluate(loss, logits)
    expected, exact = evaluate(loss, (student.double(), teacher.double(), targets))
    assert value == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(gradient.double(), exact, rtol=1e-5, atol=1e-7)
    if temperature > 100 and soft_loss == "kl":
        assert value == pytest.approx(evaluate(DistillationLoss(1.0, 1.0, "logit_mse"), logits)[0], rel=0.01)


@pytest.mark.parametrize("soft_loss", SOFT_LOSSES)
def test_many_students_are_one_batched_loss_by_vmap(logits, soft_loss):
    student, teacher, targets = logits
    loss = DistillationLoss(1000.0, 0.5, soft_loss)

    def total(z: Tensor) -> Tensor:
        return loss(student_logits=z, teacher_logits=teacher, targets=targets).total

    stacked = torch.stack([student, 2 * student, teacher])
    gradients, values = torch.vmap(torch.func.grad_and_value(total))(stacked)
    for z, value, gradient in zip(stacked, values, gradients, strict=True):
        alone, expected = evaluate(loss, (z, teacher, targets))
        assert value.item() == pytest.approx(alone, rel=1e-6, abs=1e-7)
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("soft_loss", SOFT_LOSSES)
@pytest.mark.parametrize("temperature", [1.0, 20.0])
def test_finite_at_extreme_logits(soft_loss, temperature):
    student = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    teacher = torch.tensor([[-1e4, 1e4, 0.0], [1e4, -1e4, -1e4]])
    value, gradient = evaluate(DistillationLoss(temperature, 0.5, soft_loss), (student, teacher, torch.tensor([1, 0])))
    assert np.isfinite(value)
    assert gradient.isfinite().all()


def test_no_gradient_reaches_the_teacher(logits):
    student, teacher, targets = logits
    teacher = teacher.clone().requires_grad_()
    DistillationLoss()(
        student_logits=student.requires_grad_(), teacher_logits=teacher, targets=targets
    ).total.backward()
    assert teacher.grad is None


def test_batch_is_averaged_not_summed(logits):
    twice = tuple(torch.cat([part, part]) for part in logits)
    assert evaluate(DistillationLoss(), twice)[0] == pytest.approx(evaluate(DistillationLoss(), logits)[0], rel=1e-6)


def test_shapes_that_do_not_match_are_refused(logits):
    with pytest.raises(ValueError, match=r"\(6, 5\).*\(6, 4\)"):
        DistillationLoss()(student_logits=logits[0], teacher_logits=logits[1][:, :4], targets=logits[2])


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf"), "4", True, None])
def test_a_wrong_temperature_is_refused_by_name(temperature):
    with pytest.raises(
        ValueError,
        match=f"temperature={shown(temperature)}: must be a finite number above 0",
    ):
        DistillationLoss(temperature=temperature)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan"), "half"])
def test_a_wrong_alpha_is_refused_by_name(alpha):
    with pytest.raises(ValueError, match=rf"alpha={alpha}: the weight of the soft term must lie in \[0, 1\]"):
        DistillationLoss(alpha=alpha)


def test_all_wrong_arguments_are_reported_at_once():
    with pytest.raises(ValueError, match=r"temperature=0(.|\n)*alpha=2(.|\n)*soft_loss=hinge"):
        DistillationLoss(temperature=0, alpha=2, soft_loss="hinge")


def test_printed_loss_says_what_is_minimized():
    assert str(DistillationLoss(4, 0.9)) == (
        "DistillationLoss(L = 0.9 · 4² · KL(softmax(z_t/4) ‖ softmax(z_s/4)) + 0.1 · CE(z_s, y))"
    )
