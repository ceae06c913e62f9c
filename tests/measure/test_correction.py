"""Bias corrections, on cases whose answer is known."""

import inspect

import pytest
import torch

from kdlab.measure.correction import NoOffsets, oracle_offsets, prior_offsets


@pytest.fixture
def calibrated() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose softmax is the true posterior, and labels drawn from it."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20000, 5, generator=generator) * 3
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
    return logits, labels


@pytest.mark.parametrize("held_out", [[2], [0, 3]])
def test_prior_finds_the_bias_that_was_taken_away(calibrated, held_out):
    logits, _ = calibrated
    prior = logits.double().softmax(1).mean(0)
    biased = logits.clone()
    lost = torch.tensor([4.0, 7.5])[: len(held_out)]
    biased[:, held_out] -= lost
    offsets = prior_offsets(biased, prior, held_out)
    torch.testing.assert_close(offsets[held_out], lost, atol=1e-4, rtol=0)
    assert offsets[[c for c in range(5) if c not in held_out]].abs().max() == 0


def test_prior_with_one_shared_offset_matches_the_sum_of_the_priors(calibrated):
    logits, _ = calibrated
    prior = logits.double().softmax(1).mean(0)
    biased = logits.clone()
    biased[:, [0, 3]] -= 5.0
    offsets = prior_offsets(biased, prior, [0, 3], shared=True)
    torch.testing.assert_close(offsets, torch.tensor([5.0, 0, 0, 5.0, 0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("bias", [0.0, 30.0, 500.0, -200.0])
def test_prior_matches_the_mean_probability_however_far_off_it_starts(calibrated, bias):
    logits, _ = calibrated
    logits = logits.clone()
    logits[:, [1, 4]] -= bias
    prior = torch.tensor([0.2, 0.1, 0.3, 0.3, 0.1])
    moved = (logits.double() + prior_offsets(logits, prior, [1, 4]).double()).softmax(1).mean(0)
    torch.testing.assert_close(moved[[1, 4]], prior[[1, 4]].double(), atol=1e-5, rtol=0)


def test_prior_matches_when_all_but_one_class_are_held_out(calibrated):
    prior = torch.full((5,), 0.2)
    offsets = prior_offsets(calibrated[0], prior, [0, 1, 2, 3])
    torch.testing.assert_close((calibrated[0] + offsets).softmax(1).mean(0), prior, atol=1e-4, rtol=0)


def test_prior_can_see_no_label():
    assert list(inspect.signature(prior_offsets).parameters) == ["logits", "prior", "held_out", "shared"]


@pytest.mark.parametrize("prior", [[0.0, 1.0], [1.0, 0.0], [float("nan"), 0.5]])
def test_an_impossible_prior_is_refused(prior):
    with pytest.raises(NoOffsets, match="must be above 0"):
        prior_offsets(torch.zeros(4, 2), torch.tensor(prior), [0])


@pytest.mark.parametrize(
    ("logits", "why"), [(1e30, r"differ from it by 0\.2"), (float("nan"), "not all logits are finite")]
)
def test_a_prior_that_no_offset_can_match_is_refused_rather_than_missed(logits, why):
    # At 1e30 the mean probability is 0, 1/2 or 1, whatever the offset.
    z = torch.tensor([[logits, 0.0], [-logits, 0.0]])
    with pytest.raises(NoOffsets, match=why):
        prior_offsets(z, torch.tensor([0.3, 0.7]), [0])


def errors(logits: torch.Tensor, labels: torch.Tensor, offset: float, held_out: list[int]) -> int:
    moved = logits.double().clone()
    moved[:, held_out] += offset
    return int((moved.argmax(1) != labels).sum())


@pytest.mark.parametrize("held_out", [[2], [0, 3], [0, 1, 2, 4]])
@pytest.mark.parametrize("seed", range(5))
def test_oracle_is_as_good_as_the_best_of_a_fine_grid(held_out, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(300, 5, generator=generator) * 2
    labels = (logits + torch.randn(300, 5, generator=generator)).argmax(1)
    logits[:, held_out] -= 3
    offset = oracle_offsets(logits, labels, held_out)[held_out[0]].item()
    best = min(errors(logits, labels, b / 100, held_out) for b in range(-1000, 1500))
    assert errors(logits, labels, offset, held_out) <= best


def test_oracle_finds_the_known_answer():
    # Raising class 1 by more than 2 gains the first sample, by more than 5 loses the second.
    logits = torch.tensor([[2.0, 0.0], [5.0, 0.0]])
    offsets = oracle_offsets(logits, torch.tensor([1, 0]), [1])
    assert offsets.tolist() == [0.0, 3.5]


def test_oracle_leaves_alone_what_it_cannot_better():
    logits = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert oracle_offsets(logits, torch.tensor([0, 1]), [1]).tolist() == [0.0, 0.0]


def test_oracle_survives_ties():
    logits = torch.zeros(6, 3)
    offsets = oracle_offsets(logits, torch.tensor([2, 2, 2, 2, 0, 1]), [2])
    assert errors(logits, torch.tensor([2, 2, 2, 2, 0, 1]), offsets[2].item(), [2]) == 2
