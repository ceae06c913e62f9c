"""The moving average of weights and the limit of gradients, against a plain loop."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kdlab.fits.fit import fit
from kdlab.hardware import Hardware
from kdlab.modules import Classifier
from kdlab.schedules import constant

CPU = Hardware(torch.device("cpu"), "32-true")
SGD = partial(torch.optim.SGD, lr=0.5)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))


def trained(data, board, epochs=2, **options) -> nn.Module:
    module = Classifier(network(), optimizer=SGD, schedule=constant, **options)
    fit("it", module, data, max_epochs=epochs, seed=0, hardware=CPU, board=board)
    return module.net


def by_hand(data, epochs=2, clip=None, average=None) -> nn.Module:
    net = network()
    optimizer = SGD(net.parameters())
    mean = None
    for epoch in range(epochs):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        for fetched in loader:
            for batch in fetched.cut(data.batch_size):
                optimizer.zero_grad()
                F.cross_entropy(net(data.scale(batch.inputs)), batch.labels).backward()
                if clip:
                    nn.utils.clip_grad_norm_(net.parameters(), clip)
                optimizer.step()
                if mean is None:
                    mean = copy.deepcopy(net)
                elif average:
                    with torch.no_grad():
                        for m, p in zip(mean.parameters(), net.parameters(), strict=True):
                            m.mul_(average).add_((1 - average) * p)
    return mean if average else net


@pytest.mark.parametrize("options", [{}, {"average": 0.9}, {"clip": 0.05}, {"clip": 0.05, "average": 0.9}])
def test_a_fit_ends_with_the_weights_of_a_plain_loop(stripes, tmp_path, options):
    found = trained(stripes, tmp_path / "board", **options)
    expected = by_hand(stripes, **options)
    for a, b in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_average_goes_on_where_it_was_cut_off(stripes, tmp_path):
    whole = trained(stripes, tmp_path / "a", epochs=3, average=0.9)
    module = Classifier(network(), optimizer=SGD, schedule=constant, average=0.9)
    checkpoint = tmp_path / "epoch.ckpt"
    shared = {"seed": 0, "hardware": CPU, "board": tmp_path / "b", "checkpoint": checkpoint}
    fit("it", module, stripes, max_epochs=1, **shared)
    again = Classifier(network(), optimizer=SGD, schedule=constant, average=0.9)
    fit("it", again, stripes, max_epochs=3, **shared)
    for a, b in zip(again.net.parameters(), whole.parameters(), strict=True):
        assert torch.equal(a, b)
