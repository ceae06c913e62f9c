"""Gaussian blobs: their posterior, their Bayes error, their draws."""

import math

import pytest
import torch
from scipy.stats import multivariate_normal, norm

from kdlab.data import BlobsData
from kdlab.models import bayes

UNEVEN = {"means": [[0.0, 0.0, 1.0], [2.0, 1.0, 0.0], [-1.0, 2.0, 2.0]], "variance": 1.7, "priors": [0.5, 0.3, 0.2]}


def loaded(**kwargs: object) -> BlobsData:
    data = BlobsData(**kwargs)
    data.setup()
    return data


def test_the_default_is_the_founding_problem_with_posterior_sigmoid_of_4_x1_and_bayes_error_phi_of_minus_2():
    data = loaded(val_size=0.2)
    assert torch.allclose(data.means, torch.tensor([[-2.0, 0.0], [2.0, 0.0]]).double(), atol=1e-12)
    x = data.test.inputs
    assert torch.allclose(data.posterior(x)[:, 1], torch.sigmoid(4 * x[:, 0].double()), atol=1e-12)
    assert data.bayes_error() == (pytest.approx(norm.cdf(-2)), 0.0, 0)
    assert len(data.train_ids) == 4 * len(data.val_ids) == 800


def test_the_posterior_is_bayes_formula_over_scipys_densities():
    data = loaded(**UNEVEN)
    x = data.test.inputs[:200]
    joint = [
        prior * multivariate_normal(mean, UNEVEN["variance"]).pdf(x.numpy())
        for mean, prior in zip(UNEVEN["means"], UNEVEN["priors"], strict=True)
    ]
    expected = torch.stack([torch.as_tensor(p / sum(joint)) for p in joint], dim=1)
    assert torch.allclose(data.posterior(x), expected, atol=1e-10)


def test_the_posterior_stays_finite_far_from_every_blob():
    data = loaded(classes=3)
    far = torch.tensor([[1e4, -1e4], [-1e6, 3.0]])
    assert data.posterior(far).isfinite().all()
    assert data.bayes_rule(far).isfinite().all()


@pytest.mark.parametrize("priors", [[0.5, 0.5], [0.9, 0.1], [0.002, 0.998]])
def test_the_two_class_bayes_error_is_the_error_rate_of_the_bayes_rule_on_a_million_draws(priors):
    data = loaded(
        means=[[-1.0, 0.5], [0.3, 1.0]], variance=0.8, priors=priors, train_samples=5000, test_samples=1_000_000
    )
    assert data.bayes_error().samples == 0
    errs = (data.bayes_rule(data.test.inputs).argmax(1) != data.test.labels).double()
    assert data.bayes_error().value == pytest.approx(errs.mean().item(), abs=5 * errs.std().item() / 1000)


def test_classes_that_coincide_cost_the_smaller_prior():
    assert BlobsData(means=[[1.0, 1.0], [1.0, 1.0]], priors=[0.7, 0.3]).bayes_error().value == pytest.approx(0.3)


def test_with_more_classes_the_bayes_error_is_an_estimate_with_its_standard_error():
    # Only the first two of three collinear classes overlap: their error counts two thirds.
    data = BlobsData(means=[[-1.0, 0.0], [1.0, 0.0], [100.0, 0.0]])
    error = data.bayes_error()
    assert error.samples == 1_000_000
    assert 0 < error.standard_error < 1e-3
    assert error.value == pytest.approx(norm.cdf(-1) * 2 / 3, abs=4 * error.standard_error)


@pytest.mark.parametrize("count", [1000, 1003, 4096])
def test_a_draw_in_parts_is_the_same_draw(monkeypatch, count):
    data = BlobsData(**UNEVEN)
    whole = bayes.draw(data.means, data.variance, data.priors, count, seed=1)
    monkeypatch.setattr(bayes, "DRAWN_AT_ONCE", 500)
    parts = list(bayes.draws(data.means, data.variance, data.priors, count, seed=1))
    assert len(parts) > 5
    assert all(inputs.numel() <= 500 + 16 for inputs, _ in parts)
    for found, wanted in zip(map(torch.cat, zip(*parts, strict=True)), whole, strict=True):
        assert torch.equal(found, wanted)


def test_the_estimate_takes_as_little_memory_in_many_dimensions_and_is_the_same(monkeypatch):
    monkeypatch.setattr(bayes, "MONTE_CARLO_SAMPLES", 2000)
    error = BlobsData(**UNEVEN).bayes_error()
    monkeypatch.setattr(bayes, "DRAWN_AT_ONCE", 500)
    assert BlobsData(**UNEVEN).bayes_error() == pytest.approx(error, rel=1e-12)


def test_draws_follow_means_variance_and_priors():
    data = loaded(**UNEVEN, train_samples=200_000)
    for c in range(3):
        mine = data.train.inputs[data.train.labels == c]
        assert len(mine) / 200_000 == pytest.approx(UNEVEN["priors"][c], abs=0.005)
        assert torch.allclose(mine.mean(0), torch.tensor(UNEVEN["means"][c]), atol=0.03)
        assert torch.allclose(mine.var(0), torch.tensor(1.7), atol=0.05)


def test_the_draw_is_a_function_of_its_seed_and_the_test_set_is_another_draw():
    first, again, other = loaded(), loaded(), loaded(sample_seed=1)
    assert torch.equal(first.train.inputs, again.train.inputs)
    assert not torch.equal(first.train.inputs, other.train.inputs)
    assert not (first.test.inputs[:1000] == first.train.inputs).all(dim=1).any()


def test_blobs_lie_on_a_circle_and_classes_are_held_out_like_any_others():
    data = loaded(classes=5, radius=3, held_out_classes=[1, 4], val_size=0.1)
    assert torch.allclose(data.means.norm(dim=1), torch.tensor(3.0).double())
    distances = (data.means - data.means.roll(1, 0)).norm(dim=1)
    assert torch.allclose(distances, torch.tensor(6 * math.sin(math.pi / 5)).double())
    assert set(data.train.labels[data.train_ids].tolist()) == {0, 2, 3}
    assert set(data.test.labels.tolist()) == set(range(5))


def test_the_distribution_is_part_of_the_identity_that_keys_hash():
    assert loaded().identity() == loaded().identity()
    assert loaded().identity() != loaded(variance=2).identity()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classes": 1}, "classes=1: must be an integer of at least 2"),
        ({"dimension": 1}, "dimension=1: must be"),
        ({"variance": 0}, "variance=0: must be a finite number above 0"),
        ({"radius": float("nan")}, "radius=nan: must be"),
        ({"means": [[0, 0], [1]]}, "means=.*lists of finite numbers, all equally long"),
        ({"means": [[0, 0]]}, "means=.*at least two lists"),
        ({"priors": [0.5, 0.4]}, "priors=.*2 numbers above 0 that sum to 1"),
        ({"priors": [1.0, 0.0]}, "priors="),
        ({"train_samples": 0}, "train_samples=0"),
        ({"sample_seed": -1}, "sample_seed=-1"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        BlobsData(**wrong)
