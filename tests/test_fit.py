"""One fit: which epoch's weights it returns, and what it records."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD

from kdlab.fit import fit
from kdlab.hardware import Hardware
from kdlab.models import MLP
from kdlab.modules import Classifier
from kdlab.schedules import constant

CPU = Hardware(torch.device("cpu"), "32-true")


class Spoiled(Classifier):
    """Learns for some epochs, then climbs its loss."""

    def losses(self, logits, batch):
        losses = super().losses(logits, batch)
        return losses if self.current_epoch < 4 else {"loss": -losses["loss"]}


def run(data, folder, *, epochs, patience=None, kind=Spoiled):
    torch.manual_seed(0)
    module = kind(
        MLP(inputs=16, widths=[12], outputs=4), optimizer=partial(SGD, lr=0.1, momentum=0.9), schedule=constant
    )
    view = data.for_fit(held_out=[], augment=nn.Identity(), order_seed=0)
    return fit(
        "arm", module, view, max_epochs=epochs, patience=patience, seed=0, hardware=CPU, folder=folder
    )  # fmt: skip


def weights(fitted):
    return torch.cat([p.detach().flatten() for p in fitted.net.parameters()])


def accuracies(fitted):
    return [value for _, figure, value in fitted.curves if figure == "val/accuracy"]


def test_without_patience_the_last_epochs_weights_are_the_result(stripes, tmp_path):
    fitted = run(stripes, tmp_path, epochs=7)
    assert fitted.epochs == 7
    assert accuracies(fitted)[-1] < max(accuracies(fitted))


def test_with_patience_a_fit_stops_and_returns_to_the_epoch_with_the_best_validation(stripes, tmp_path):
    fitted = run(stripes, tmp_path, epochs=30, patience=3)
    curve = accuracies(fitted)
    best = curve.index(max(curve))
    assert fitted.epochs == len(curve) == best + 1 + 3
    until_then = run(stripes, tmp_path, epochs=best + 1)
    assert torch.equal(weights(fitted), weights(until_then))
    assert not torch.equal(weights(fitted), weights(run(stripes, tmp_path, epochs=len(curve))))


def test_patience_that_is_never_exhausted_still_returns_the_best_epoch(stripes, tmp_path):
    fitted = run(stripes, tmp_path, epochs=6, patience=50)
    curve = accuracies(fitted)
    assert fitted.epochs == 6
    assert torch.equal(weights(fitted), weights(run(stripes, tmp_path, epochs=curve.index(max(curve)) + 1)))


@pytest.mark.parametrize("patience", [None, 2])
def test_curves_hold_every_figure_of_every_epoch(stripes, tmp_path, patience):
    fitted = run(stripes, tmp_path, epochs=3, patience=patience, kind=Classifier)
    for figure in ("train/loss", "val/loss", "val/accuracy"):
        assert [epoch for epoch, name, _ in fitted.curves if name == figure] == [1, 2, 3]
    assert all(isinstance(value, float) for _, _, value in fitted.curves)
