"""Inference: a network's logits for many inputs, on every device."""

import pytest
import torch
from torch import nn

from kdlab.fits.logits import logits_of


@pytest.mark.parametrize("batch_size", [3, 100])
def test_logits_are_those_of_float64_on_every_device_and_the_network_comes_back_as_it_was(
    stripes, arithmetic, batch_size
):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 4))
    net.train()
    inputs = stripes.test.inputs
    found = logits_of(net, inputs, stripes.scale, arithmetic.device, batch_size)
    assert (found.dtype, found.device.type, net.training) == (torch.float32, "cpu", True)
    assert {p.device.type for p in net.parameters()} == {"cpu"}
    expected = net.double().eval()(inputs.double() / 255)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
