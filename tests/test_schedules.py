"""Learning rates over the steps of a fit."""

import math

import pytest
import torch
from torch.optim import SGD

from kdlab.schedules import constant, cosine


def rates(make, steps: int) -> list[float]:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = make(optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_constant_stays():
    assert set(rates(constant, 10)) == {0.1}


def test_cosine_is_half_a_cosine_from_the_rate_to_zero():
    assert rates(cosine, 100) == pytest.approx([0.05 * (1 + math.cos(math.pi * i / 100)) for i in range(100)])


def test_cosine_rises_over_the_warmup_and_falls_thereafter():
    found = rates(lambda optimizer, steps: cosine(optimizer, steps, warmup=0.2), 100)
    assert found[:21] == sorted(found[:21])
    assert found[20:] == sorted(found[20:], reverse=True)
    assert max(found) == pytest.approx(0.1)
    assert min(found) > 0


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_wrong_warmup_is_refused(warmup):
    with pytest.raises(ValueError, match=f"warmup={warmup}"):
        rates(lambda optimizer, steps: cosine(optimizer, steps, warmup=warmup), 10)
