"""Later objectives against worked examples to ten digits, their gradients, limits and invariances."""

import math

import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

from kdlab.config.compose import CONFIGS
from kdlab.config.read import read
from kdlab.errors import ConfigError
from kdlab.losses import (
    ConfidencePenalty,
    ConfidenceWeighted,
    CorrelationLoss,
    DecoupledLoss,
    DistillationLoss,
    LossTerms,
    NormalizedLoss,
    Scheduled,
    Standardized,
    TransformedTeacherLoss,
    WeightedSoftLabels,
)

V = torch.tensor([[3.0, 1.0, 0.0, -1.0], [0.0, 2.0, 1.0, -1.0], [-1.0, 0.0, 2.0, 1.0]], dtype=torch.float64)
Z = torch.tensor([[1.0, 2.0, 0.0, -0.5], [0.5, 1.5, 0.0, -1.0], [0.0, 0.5, 1.0, 0.2]], dtype=torch.float64)
Y = torch.tensor([0, 1, 2])
OBJECTIVES = [
    DecoupledLoss(4.0, 1.0, 8.0), CorrelationLoss(4.0), NormalizedLoss(3.0, 3.5), TransformedTeacherLoss(10.0),
    TransformedTeacherLoss(2.0, by_sample=True), WeightedSoftLabels(), Standardized(DistillationLoss(2.0, 1.0)),
    ConfidenceWeighted(), Scheduled(DistillationLoss()),
]  # fmt: skip
WITH_LABELS_ONLY = [
    DecoupledLoss(4.0, 0.0, 0.0), CorrelationLoss(4.0, weight=0.0), TransformedTeacherLoss(weight=0.0),
    WeightedSoftLabels(alpha=0.0), Standardized(DistillationLoss(2.0, 1.0), weight=0.0, hard_weight=1.0),
]  # fmt: skip


def terms_of(loss: nn.Module, z: Tensor = Z, v: Tensor = V, y: Tensor = Y) -> LossTerms:
    return loss(student_logits=z, teacher_logits=v, targets=y)


def first(loss: nn.Module) -> LossTerms:
    """Return the loss of the first sample alone."""
    return terms_of(loss, Z[:1], V[:1], Y[:1])


def soft(loss: nn.Module, *arguments: Tensor) -> float:
    terms = terms_of(loss, *arguments) if arguments else first(loss)
    return float(terms.total - terms.hard)


def gradient(loss: nn.Module, z: Tensor, v: Tensor, y: Tensor) -> Tensor:
    z = z.clone().requires_grad_()
    terms = terms_of(loss, z, v, y)
    (found,) = torch.autograd.grad(terms.total - terms.hard, z)
    return found


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (DecoupledLoss(1.0, 1.0, 0.0), 0.8040963464),
        (DecoupledLoss(1.0, 0.0, 1.0), 0.0788718901),
        (DecoupledLoss(2.0, 1.0, 0.0), 0.8522208537),
        (DecoupledLoss(2.0, 0.0, 1.0), 0.0933523240),
        (TransformedTeacherLoss(2.0), 0.3847504078),
        (TransformedTeacherLoss(2.0, by_sample=True), 0.6054730153),
        (TransformedTeacherLoss(10.0), 0.3729941301),
        (TransformedTeacherLoss(10.0, by_sample=True), 1.1826181400),
        (NormalizedLoss(1.0, 1.5), 1.2138336173 + 1.3669012079),
    ],
    ids=str,
)
def test_the_soft_term_of_a_worked_example(loss, expected):
    assert soft(loss) == pytest.approx(expected, abs=5e-10)


@pytest.mark.parametrize(
    ("temperature", "inter", "intra"), [(1.0, 0.3705940524, 0.2226045174), (4.0, 0.2738279166, 0.1661487530)]
)
def test_correlations_of_a_worked_example(temperature, inter, intra):
    assert soft(CorrelationLoss(temperature, 1.0, 0.0, 1.0), Z, V, Y) == pytest.approx(inter, abs=3e-8)
    assert soft(CorrelationLoss(temperature, 0.0, 1.0, 1.0), Z, V, Y) == pytest.approx(intra, abs=3e-7)


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 0.4005437734), (2.0, 0.3576090955)])
def test_standardized_kl_of_a_worked_example(temperature, expected):
    loss = Standardized(DistillationLoss(temperature, 1.0), weight=1.0, hard_weight=0.0)
    assert float(first(loss).total) == pytest.approx(expected, abs=1e-6)  # 1e-7 beside the standard deviation


def test_confidence_weighted_labels_of_a_worked_example():
    assert float(terms_of(ConfidenceWeighted()).total) == pytest.approx(0.9983592603, abs=5e-10)
    assert float(terms_of(ConfidenceWeighted()).hard) == pytest.approx(0.9535866235, abs=5e-10)


def test_a_teacher_that_is_equally_sure_of_all_leaves_the_labels_as_they_are():
    evenly = terms_of(ConfidenceWeighted(2.0), Z, V[:1].expand(3, 4), Y)
    assert float(evenly.total) == pytest.approx(float(F.cross_entropy(Z, Y)), rel=1e-12)


def test_the_two_parts_of_decoupled_distillation_add_up_to_the_kl():
    for t in (1.0, 2.0, 7.0):
        of_label, of_rest = soft(DecoupledLoss(t, 1.0, 0.0)), soft(DecoupledLoss(t, 0.0, 1.0))
        kl = float(first(DistillationLoss(t, 1.0)).total)
        p = (V[0] / t).softmax(0)[0]
        assert of_label + float(1 - p) * of_rest == pytest.approx(kl, rel=1e-12)


def test_the_gradients_of_decoupled_distillation_are_the_closed_form():
    t = 3.0
    z, v, y = Z[:1], V[:1], Y[:1]
    p, q = (v / t).softmax(1)[0], (z / t).softmax(1)[0]
    rest_p, rest_q = p[1:] / (1 - p[0]), q[1:] / (1 - q[0])
    of_label = torch.cat([(t * (q[0] - p[0])).view(1), -t * (q[0] - p[0]) * rest_q])
    of_rest = torch.cat([torch.zeros(1, dtype=torch.float64), t * (rest_q - rest_p)])
    torch.testing.assert_close(gradient(DecoupledLoss(t, 1.0, 0.0), z, v, y)[0], of_label)
    torch.testing.assert_close(gradient(DecoupledLoss(t, 0.0, 1.0), z, v, y)[0], of_rest)


def test_decoupled_distillation_becomes_logit_matching_as_the_temperature_grows():
    assert soft(DecoupledLoss(1e5, 1.0, 0.0)) == pytest.approx(0.5859375, rel=1e-4)
    assert soft(DecoupledLoss(1e5, 0.0, 1.0)) == pytest.approx(0.0833333, rel=1e-4)
    assert float(first(DistillationLoss(1.0, 1.0, "logit_mse")).total) == pytest.approx(0.6484375)


def test_the_gradient_of_transformed_teacher_matching_is_the_students_minus_the_softened_teachers_probabilities():
    found = gradient(TransformedTeacherLoss(5.0), Z, V, Y)
    torch.testing.assert_close(found, (Z.softmax(1) - (V / 5).softmax(1)) / 3)


def test_transformed_teacher_matching_at_temperature_one_is_the_kl():
    for by_sample in (False, True):  # the weights of the samples are 1 there
        assert soft(TransformedTeacherLoss(1.0, by_sample=by_sample), Z, V, Y) == pytest.approx(
            float(terms_of(DistillationLoss(1.0, 1.0)).total), rel=1e-12
        )


def test_a_student_like_its_teacher_has_the_weight_one_minus_one_over_e_in_weighted_soft_labels():
    entropy = -((V / 4).softmax(1) * F.log_softmax(V / 4, 1)).sum(1).mean()
    expected = 2.25 * 16 * (1 - 1 / math.e) * float(entropy)
    assert soft(WeightedSoftLabels(), V, V, Y) == pytest.approx(expected, rel=1e-5)


def test_the_weights_of_weighted_soft_labels_have_no_gradient():
    z = Z.clone().requires_grad_()
    t = 4.0
    weights = 1 - (-F.cross_entropy(Z, Y, reduction="none") / F.cross_entropy(V, Y, reduction="none")).exp()
    expected = 2.25 * t * weights[:, None] * ((Z / t).softmax(1) - (V / t).softmax(1)) / 3
    torch.testing.assert_close(gradient(WeightedSoftLabels(), z.detach(), V, Y), expected, rtol=1e-6, atol=1e-9)


def test_correlation_is_zero_at_the_teacher_and_blind_to_a_joint_order_of_samples_and_classes():
    loss = CorrelationLoss(2.0, weight=1.0)
    assert soft(loss, V, V, Y) == pytest.approx(0, abs=1e-6)
    samples, classes = torch.tensor([2, 0, 1]), torch.tensor([3, 1, 0, 2])
    moved = soft(loss, Z[samples][:, classes], V[samples][:, classes], torch.tensor([0, 1, 2]))
    assert moved == pytest.approx(soft(loss, Z, V, Y), abs=1e-9)
    hot = soft(CorrelationLoss(100.0, 1.0, 0.0, 1.0))
    a, b = Z[0] - Z[0].mean(), V[0] - V[0].mean()
    assert hot == pytest.approx(float(1 - a @ b / (a.norm() * b.norm())), abs=1e-2)


def test_correlation_over_samples_has_no_gradient_for_a_batch_of_one():
    found = gradient(CorrelationLoss(4.0, 0.0, 1.0, 1.0), Z[:1], V[:1], Y[:1])
    assert found.abs().max() == 0


def test_standardized_logits_lose_offset_and_scale():
    loss = Standardized(DistillationLoss(2.0, 1.0), weight=1.0, hard_weight=0.0)
    moved = terms_of(loss, 7 * Z + 3, 0.5 * V - 2, Y).total
    assert float(moved) == pytest.approx(float(terms_of(loss).total), rel=1e-6)


@pytest.mark.parametrize(("temperature", "largest"), [(1.0, 0.7241), (2.0, 0.3507)])
def test_no_standardized_target_is_larger_than_its_bound(temperature, largest):
    certain = torch.zeros(1, 10, dtype=torch.float64)
    certain[0, 3] = 50.0
    standard = (certain - certain.mean()) / certain.std()
    assert float((standard / temperature).softmax(1).max()) == pytest.approx(largest, abs=3e-3)


def test_the_confidence_penalty_is_the_kl_to_even_answers_up_to_a_constant_and_nothing_at_zero():
    beta = 0.3
    terms = ConfidencePenalty(beta)(student_logits=Z, targets=Y)
    q = Z.softmax(1)
    expected = F.cross_entropy(Z, Y) + beta * (q * (q * 4).log()).sum(1).mean() - beta * math.log(4)
    assert float(terms.total) == pytest.approx(float(expected), rel=1e-12)
    assert float(ConfidencePenalty(0.0)(student_logits=Z, targets=Y).total) == float(F.cross_entropy(Z, Y))


@pytest.mark.parametrize("loss", OBJECTIVES, ids=str)
def test_value_and_gradient_are_finite_at_extreme_logits_whatever_the_label(loss):
    z = torch.tensor([[500.0, 0, 0, 0], [0, 0, 0, -1e4], [1e4, -1e4, 0, 0]])
    v = torch.tensor([[0, 500.0, 0, 0], [1e4, 0, 0, 0], [-1e4, 1e4, 1e4, 0]])
    for label in range(4):
        targets = torch.full((3,), label)
        student = z.clone().requires_grad_()
        total = terms_of(loss, student, v, targets).total
        assert total.isfinite()
        assert torch.autograd.grad(total, student)[0].isfinite().all()


@pytest.mark.parametrize("loss", WITH_LABELS_ONLY, ids=str)
def test_without_weight_the_soft_term_adds_no_gradient_and_no_value_that_is_not_finite(loss):
    z = Z.clone().requires_grad_()
    total = terms_of(loss, z, V * torch.nan, Y).total
    (found,) = torch.autograd.grad(total, z)
    plain = F.cross_entropy(Z, Y)
    assert float(total.detach()) == float(plain)
    torch.testing.assert_close(found, (Z.softmax(1) - F.one_hot(Y, 4)) / 3)


@pytest.mark.parametrize("loss", OBJECTIVES, ids=str)
def test_many_students_are_one_batched_loss_by_vmap(loss):
    def total(z: Tensor) -> Tensor:
        return terms_of(loss, z).total

    stacked = torch.stack([Z, 2 * Z, V])
    gradients, values = torch.vmap(torch.func.grad_and_value(total))(stacked)
    for z, value, found in zip(stacked, values, gradients, strict=True):
        alone = z.clone().requires_grad_()
        expected = terms_of(loss, alone).total
        assert float(value) == pytest.approx(float(expected.detach()), rel=1e-9, abs=1e-9)
        torch.testing.assert_close(found, torch.autograd.grad(expected, alone)[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", [DecoupledLoss(), Standardized(DistillationLoss(2.0, 1.0))], ids=str)
def test_two_classes_are_refused_where_the_objective_says_nothing_of_them(loss):
    with pytest.raises(ValueError, match="three or more"):
        terms_of(loss, Z[:, :2], V[:, :2], Y % 2)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: DecoupledLoss(0, -1), "temperature=0.*\nalpha=-1: must be a finite number of at least 0"),
        (lambda: DecoupledLoss(beta=float("nan")), "beta=nan: must be a finite number of at least 0"),
        (lambda: CorrelationLoss(weight=-1), "weight=-1: must be a finite number of at least 0"),
        (lambda: NormalizedLoss(gamma="x"), "gamma=x: must be"),
        (lambda: TransformedTeacherLoss(by_sample=1), "by_sample=1: must be true or false"),
        (lambda: WeightedSoftLabels(alpha=-0.1), "alpha=-0.1: must be"),
        (lambda: Standardized(DistillationLoss(), weight=-1), "weight=-1: must be"),
        (lambda: ConfidencePenalty(float("inf")), "beta=inf: must be"),
        (lambda: ConfidenceWeighted(0), "temperature=0: must be"),
    ],
)
def test_wrong_numbers_are_refused_by_name(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


OPTIONS = ("dkd", "dist", "nkd", "ttm", "wttm", "wsld", "standardized", "confidence_weighted", "scheduled")


def composed(*overrides: str):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", list(overrides))


@pytest.mark.parametrize("option", OPTIONS)
def test_each_is_an_option_of_the_config_that_prints_what_it_minimizes(option):
    loss = instantiate(composed(f"loss={option}", "+arms.distilled={}").loss)
    assert loss.extra_repr().startswith("L = ")
    assert "CE(z_s, y)" in loss.extra_repr()
    assert terms_of(loss).total.isfinite()


@pytest.mark.parametrize("option", ["dkd", "standardized"])
def test_two_classes_are_refused_before_any_training(option):
    with pytest.raises(ConfigError) as caught:
        read(composed("data=blobs", "model@student.net=mlp_4", f"loss={option}", "+arms.x={}"))
    assert any("three or more" in line and line.startswith("loss") for line in caught.value.problems)
