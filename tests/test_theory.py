"""The equations of docs/theory.md, with numbers."""

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.losses import DistillationLoss
from kdlab.measure.correction import prior_offsets
from kdlab.models.bayes import GaussianBayesRule, draw

TEXT = (Path(__file__).parent.parent / "docs" / "theory.md").read_text()
TEMPERATURES = [0.5, 1.0, 4.0, 20.0]


def logits(n: int = 6, c: int = 5, seed: int = 0, scale: float = 3.0) -> Tensor:
    return torch.randn(n, c, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


def gradient(function, z: Tensor) -> Tensor:
    z = z.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(function(z), z)
    return found


def soft_loss(v: Tensor, temperature: float):
    loss = DistillationLoss(temperature, alpha=1.0)
    labels = torch.zeros(len(v), dtype=torch.long)
    return lambda z: loss(student_logits=z, teacher_logits=v, targets=labels).total


def centred(z: Tensor) -> Tensor:
    return z - z.mean(dim=1, keepdim=True)


def test_every_test_that_the_text_names_is_here_and_every_one_here_is_named():
    named = set(re.findall(r"test_\d+_\w+", TEXT))
    here = {name for name in globals() if re.match(r"test_\d+_", name)}
    assert named == here
    tagged = set(map(int, re.findall(r"\\tag\{(\d+)\}", TEXT)))
    assert tagged == set(range(1, 13))
    assert {int(name.split("_")[1]) for name in here} == tagged - {1}  # (1) is a definition


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_2_gradient_of_cross_entropy(temperature):
    z, q = logits(), logits(seed=1).softmax(dim=1)
    found = gradient(lambda z: -(q * (z / temperature).log_softmax(dim=1)).sum(), z)
    assert torch.allclose(found, ((z / temperature).softmax(dim=1) - q) / temperature)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_3_gradient_of_the_soft_loss(temperature):
    z, v = logits(), logits(seed=1)
    expected = ((z / temperature).softmax(dim=1) - (v / temperature).softmax(dim=1)) / temperature
    # The loss has the factor T² and averages over the batch.
    assert torch.allclose(gradient(soft_loss(v, temperature), z), expected * temperature**2 / len(z))


def test_4_gradient_of_the_scaled_loss_and_its_limit():
    z, v = logits(), logits(seed=1)
    limit = (centred(z) - centred(v)) / z.shape[1] / len(z)
    errors = [float((gradient(soft_loss(v, t), z) - limit).abs().max()) for t in (10, 100, 1000)]
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert errors[2] < 0.01 * float(limit.abs().max())


def test_5_the_limit_is_logit_matching():
    z, v = logits(), logits(seed=1)
    limit = (centred(z) - centred(v)).square().sum() / (2 * z.shape[1]) / len(z)
    assert soft_loss(v, 1e4)(z).item() == pytest.approx(limit.item(), rel=1e-3)
    matching = DistillationLoss(alpha=1.0, soft_loss="logit_mse")
    terms = matching(student_logits=z, teacher_logits=v, targets=torch.zeros(len(z), dtype=torch.long))
    assert terms.total.item() == pytest.approx(limit.item())


@pytest.mark.parametrize("confidence", [0.0, 5.0, 20.0])
def test_6_curvature_does_not_fade_at_high_temperature(confidence):
    z = torch.zeros(1, 5, dtype=torch.float64)
    z[0, 0] = confidence
    traces = {}
    for temperature in (1.0, 20.0):
        hessian = torch.autograd.functional.hessian(soft_loss(z, temperature), z).reshape(5, 5)
        traces[temperature] = float(hessian.trace())
        assert traces[temperature] == pytest.approx(1 - float((z / temperature).softmax(1).square().sum()))
    assert traces[20.0] > 0.6
    if confidence == 20.0:
        assert traces[1.0] < 1e-6


def test_7_labels_push_the_bias_of_a_missing_class_down_only():
    z, labels = logits(n=50), torch.arange(50) % 4  # class 4 is missing
    bias = torch.zeros(5, dtype=torch.float64)
    found = gradient(lambda b: F.cross_entropy(z + b, labels), bias)
    assert found[4].item() == pytest.approx(z.softmax(dim=1)[:, 4].mean().item())
    assert found[4] > 0
    for _ in range(2000):
        bias -= gradient(lambda b: F.cross_entropy(z + b, labels), bias)
    assert bias[4] < -6
    assert bias[4] < bias[:4].min()


@pytest.mark.parametrize("alpha", [0.5, 0.9, 1.0])
def test_8_balance_of_soft_and_hard_term(alpha):
    v, labels, temperature = logits(n=50), torch.arange(50) % 4, 4.0
    z = v + logits(n=50, seed=2, scale=0.3)
    loss = DistillationLoss(temperature, alpha)
    bias = torch.zeros(5, dtype=torch.float64)
    for _ in range(1500):
        bias -= gradient(lambda b: loss(student_logits=z + b, teacher_logits=v, targets=labels).total, bias)
    z = z + bias
    missing = (v / temperature).softmax(1)[:, 4].mean() - (z / temperature).softmax(1)[:, 4].mean()
    pressed = z.softmax(1)[:, 4].mean()
    assert float(alpha * temperature * missing) == pytest.approx(float((1 - alpha) * pressed), abs=1e-6)
    assert (missing > 1e-4) == (alpha < 1)


def test_9_a_change_of_priors_is_an_offset_of_the_logits():
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    before, after = torch.tensor([0.6, 0.39, 0.01]), torch.tensor([0.3, 0.3, 0.4])
    inputs, _ = draw(means, 1.0, after, 500, seed=0)
    trained = GaussianBayesRule(means, 1.0, before).log_posterior(inputs)
    wanted = GaussianBayesRule(means, 1.0, after).log_posterior(inputs)
    corrected = (trained + (after / before).double().log()).log_softmax(dim=1)
    assert torch.allclose(corrected, wanted, atol=1e-5)


def test_10_the_prior_correction_undoes_a_drift_exactly():
    right = logits(n=400)
    drift = torch.tensor([0.0, -7.0, 0.0, 2.5, 0.0], dtype=torch.float64)
    found = prior_offsets(right + drift, right.softmax(dim=1).mean(dim=0), [1, 3])
    assert torch.allclose(found.double(), -drift, atol=1e-4)
    corrected = (right + drift + found).softmax(dim=1).mean(dim=0)
    assert torch.allclose(corrected, right.softmax(dim=1).mean(dim=0), atol=1e-6)


def test_11_soft_targets_take_the_labels_noise_out_of_the_gradient():
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.5]])
    priors = torch.full((3,), 1 / 3)
    inputs, labels = draw(means, 1.0, priors, 400_000, seed=0)
    q = GaussianBayesRule(means, 1.0, priors).log_posterior(inputs).exp()
    p = (inputs.double() @ logits(2, 3, scale=0.5)).softmax(dim=1)
    with_labels, with_posterior = p - F.one_hot(labels, 3), p - q
    noise = torch.diag(q.mean(dim=0)) - q.T @ q / len(q)
    assert torch.allclose(with_labels.mean(dim=0), with_posterior.mean(dim=0), atol=5e-3)
    assert torch.allclose(with_labels.T.cov(), with_posterior.T.cov() + noise, atol=5e-3)
    assert float(noise.trace()) == pytest.approx(float(1 - q.square().sum(dim=1).mean()))
    assert noise.trace() > 0.3


def test_12_noiseless_hard_targets_ask_for_ever_steeper_logits():
    half = torch.arange(1, 51, dtype=torch.float64) / 25
    x = torch.cat([-half, half])
    losses = [float(F.binary_cross_entropy_with_logits(w * x, (x > 0).double())) for w in (1, 10, 100, 1000)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-3
    # The posterior as target has its minimum at the posterior's own slope.
    q = torch.sigmoid(4 * x)
    soft = {w: float(F.binary_cross_entropy_with_logits(w * x, q)) for w in (1, 3, 4, 5, 100)}
    assert min(soft, key=soft.get) == 4
