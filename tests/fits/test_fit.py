"""One fit: which epoch's weights it returns, and what it records."""

import random
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from kdlab.data.augment import Jitter
from kdlab.fits.fit import fit
from kdlab.hardware import Hardware
from kdlab.models import MLP
from kdlab.modules import Classifier
from kdlab.schedules import constant, cosine

CPU = Hardware(torch.device("cpu"), "32-true")


class Fitted(NamedTuple):
    net: nn.Module
    curve: list
    epochs: int


def fitted(module, view, **settings) -> Fitted:
    epochs = fit("arm", module, view, seed=0, hardware=CPU, **settings).epochs
    return Fitted(module.net, module.curve, epochs)


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
    return fitted(module, view, max_epochs=epochs, patience=patience, board=folder / "board")


def weights(done: Fitted):
    return torch.cat([p.detach().flatten() for p in done.net.parameters()])


def accuracies(done: Fitted):
    return [value for _, figure, value in done.curve if figure == "val/accuracy_seen"]


def computed(done: Fitted):
    """Return the curve without its speed."""
    return [point for point in done.curve if point[1] != "train/samples_per_second"]


def test_without_patience_the_last_epochs_weights_are_the_result(stripes, tmp_path):
    done = run(stripes, tmp_path, epochs=7)
    assert done.epochs == 7
    assert accuracies(done)[-1] < max(accuracies(done))


def test_with_patience_a_fit_stops_and_returns_to_the_epoch_with_the_best_validation(stripes, tmp_path):
    done = run(stripes, tmp_path, epochs=30, patience=3)
    curve = accuracies(done)
    best = curve.index(max(curve))
    assert done.epochs == len(curve) == best + 1 + 3
    until_then = run(stripes, tmp_path, epochs=best + 1)
    assert torch.equal(weights(done), weights(until_then))
    assert not torch.equal(weights(done), weights(run(stripes, tmp_path, epochs=len(curve))))


def test_patience_that_is_never_exhausted_still_returns_the_best_epoch(stripes, tmp_path):
    done = run(stripes, tmp_path, epochs=6, patience=50)
    curve = accuracies(done)
    assert done.epochs == 6
    assert torch.equal(weights(done), weights(run(stripes, tmp_path, epochs=curve.index(max(curve)) + 1)))


def test_unseen_validation_samples_have_no_part_in_the_choice_of_the_epoch(stripes, tmp_path):
    def chosen() -> tuple[torch.Tensor, list[tuple[int, str, float]]]:
        torch.manual_seed(0)
        module = Spoiled(MLP(inputs=16, widths=[12], outputs=4), optimizer=partial(SGD, lr=0.1), schedule=constant)
        view = stripes.for_fit(held_out=[3], augment=nn.Identity(), order_seed=0)
        done = fitted(module, view, max_epochs=9, patience=2, board=tmp_path / "board")
        return weights(done), [point for point in computed(done) if point[1] != "val/accuracy_unseen"]

    first, curve = chosen()
    stripes.train.inputs[stripes.train.labels == 3] = 0
    again, same_curve = chosen()
    assert torch.equal(first, again)
    assert curve == same_curve


@pytest.mark.parametrize("patience", [None, 2])
def test_curves_hold_every_figure_of_every_epoch(stripes, tmp_path, patience):
    done = run(stripes, tmp_path, epochs=3, patience=patience, kind=Classifier)
    for figure in ("train/loss", "val/loss", "val/accuracy_seen"):
        assert [epoch for epoch, name, _ in done.curve if name == figure] == [1, 2, 3]
    assert all(isinstance(value, float) for _, _, value in done.curve)


# Going on after an interruption.


class Noisy(Classifier):
    """Uses Python's, NumPy's and torch's random numbers in its loss, as a user's own might."""

    stop_in: int | None = None

    def losses(self, logits, batch):
        if self.current_epoch == self.stop_in and random.random() < 0.5:
            raise KeyboardInterrupt
        noise = 1 + 0.1 * random.random() + 0.1 * float(np.random.rand()) + 0.1 * torch.rand(())
        return {"loss": super().losses(logits, batch)["loss"] * noise}


def noisy_fit(data, folder, *, patience=None, stop_in=None, epochs=6):
    torch.manual_seed(0)
    module = Noisy(
        MLP(inputs=16, widths=[12], outputs=4, hidden_dropout=0.3),
        optimizer=partial(SGD, lr=0.1, momentum=0.9),
        schedule=cosine,
    )
    module.stop_in = stop_in
    view = data.for_fit(held_out=[], augment=Jitter(pixels=1), order_seed=0)
    return fitted(
        module, view, max_epochs=epochs, patience=patience, board=folder / "board", checkpoint=folder / "epoch.ckpt"
    )


@pytest.mark.parametrize("patience", [None, 2])
@pytest.mark.parametrize("stops", [[0], [1], [3], [1, 2, 5]])
def test_a_fit_that_was_cut_off_ends_as_if_it_had_not_been(stripes, tmp_path, caplog, patience, stops):
    caplog.set_level("INFO")
    whole = noisy_fit(stripes, tmp_path / "whole", patience=patience)
    for stop_in in stops:
        if stop_in < whole.epochs:
            with pytest.raises(KeyboardInterrupt):
                noisy_fit(stripes, tmp_path / "cut", patience=patience, stop_in=stop_in)
    resumed = noisy_fit(stripes, tmp_path / "cut", patience=patience)
    assert torch.equal(weights(resumed), weights(whole))
    assert computed(resumed) == computed(whole)
    assert resumed.epochs == whole.epochs
    assert "cannot be read" not in caplog.text
    cut = [stop for stop in stops if 0 < stop < whole.epochs]
    assert caplog.text.count("goes on after epoch") == len(cut)


@pytest.mark.parametrize("patience", [None, 2])
def test_a_fit_cut_off_after_its_last_epoch_trains_no_further(stripes, tmp_path, caplog, patience):
    caplog.set_level("INFO")
    whole = noisy_fit(stripes, tmp_path, patience=patience, epochs=30 if patience else 4)
    again = noisy_fit(stripes, tmp_path, patience=patience, epochs=30 if patience else 4)
    assert torch.equal(weights(again), weights(whole))
    assert (again.epochs, computed(again)) == (whole.epochs, computed(whole))
    assert f"goes on after epoch {whole.epochs}" in caplog.text


def test_a_checkpoint_that_cannot_be_read_is_reported_and_the_fit_starts_anew(stripes, tmp_path, caplog):
    whole = noisy_fit(stripes, tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "epoch.ckpt").write_bytes(b"half a file")
    again = noisy_fit(stripes, tmp_path / "cut")
    assert "epoch.ckpt cannot be read" in caplog.text
    assert torch.equal(weights(again), weights(whole))
