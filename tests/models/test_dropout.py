"""Dropout: its distribution, its gradient, its randomness, in every precision."""

import pytest
import torch
from torch import nn

from kdlab.models.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("p", [0.2, 0.5, 0.85])
def test_each_input_is_dropped_with_probability_p_and_the_others_are_divided_by_what_is_kept(p, dtype):
    torch.manual_seed(0)
    inputs = torch.ones(1001, 997, dtype=dtype)
    found = Dropout(p)(inputs)
    assert found.dtype == dtype
    dropped = (found == 0).double()
    error = 5 * (p * (1 - p) / inputs.numel()) ** 0.5  # five standard errors
    assert abs(float(dropped.mean()) - p) < error + 1e-5
    rows, columns = dropped.mean(dim=1), dropped.mean(dim=0)
    assert float((rows - p).abs().max()) < 5 * (p * (1 - p) / 997) ** 0.5
    assert float((columns - p).abs().max()) < 5 * (p * (1 - p) / 1001) ** 0.5
    kept = found[found != 0]
    torch.testing.assert_close(
        kept, torch.full_like(kept, 1 / (1 - p)), rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=0
    )


def test_inputs_are_dropped_independently_of_their_neighbours():
    """Four neighbours share one draw of the generator: the bits of each must not know those of the others."""
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(400_000, 4)) == 0).double()
    assert float((torch.corrcoef(dropped.T) - torch.eye(4)).abs().max()) < 0.01


def test_the_gradient_passes_where_the_input_does():
    torch.manual_seed(0)
    inputs = torch.ones(50, 30, requires_grad=True)
    found = Dropout(0.3)(inputs)
    found.sum().backward()
    assert torch.equal(inputs.grad, found.detach())


def test_it_is_a_function_of_the_seed_and_does_nothing_in_evaluation_or_with_p_of_zero():
    inputs, drop = torch.rand(7, 5), Dropout(0.5)
    torch.manual_seed(3)
    first = drop(inputs)
    torch.manual_seed(3)
    assert torch.equal(drop(inputs), first)
    assert not torch.equal(drop(inputs), first)
    assert drop.eval()(inputs) is inputs
    assert Dropout(0.0)(inputs) is inputs


def test_a_network_that_drops_is_torchs_kind_of_dropout():
    assert isinstance(Dropout(0.1), nn.Dropout)
