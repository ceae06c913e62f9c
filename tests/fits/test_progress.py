"""Progress on a terminal; the lines that appear elsewhere are checked in the main job's test."""

import io
from functools import partial

import torch
from rich.console import Console
from torch import nn
from torch.optim import SGD

from kdlab.fits import fit as fit_module
from kdlab.fits.progress import FitProgress
from kdlab.hardware import Hardware
from kdlab.modules import Classifier
from kdlab.schedules import constant


def test_a_terminal_shows_one_bar_with_epoch_loss_and_validation_accuracy(stripes, tmp_path, monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(fit_module, "FitProgress", partial(FitProgress, console=console))
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    module = Classifier(net, optimizer=partial(SGD, lr=0.5), schedule=constant)
    cpu = Hardware(torch.device("cpu"), "32-true")
    fit_module.fit("distilled", module, stripes, max_epochs=3, seed=0, hardware=cpu, board=tmp_path / "board")
    figures = dict(point[1:] for point in module.curve)
    last = [line for line in console.file.getvalue().splitlines() if "distilled" in line][-1]
    assert "distilled epoch 3/3" in last
    assert f"loss {figures['train/loss']:.3g}" in last
    assert f"val accuracy (seen) {figures['val/accuracy_seen']:.2%}" in last
    assert "…" not in last
