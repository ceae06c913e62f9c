"""A loss whose weight changes in the course of a fit: what it weighs when, and that a fit tells it where it is."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.optim import SGD

from kdlab.config.compose import CONFIGS
from kdlab.data import ClassificationData
from kdlab.fits.fit import fit
from kdlab.hardware import Hardware
from kdlab.losses import DecoupledLoss, DistillationLoss, HardLoss, LossTerms, NormalizedLoss, Scheduled
from kdlab.losses.scheduled import tell
from kdlab.models import MLP
from kdlab.modules import CachedTeacher, Distilled
from kdlab.schedules import constant

V = torch.tensor([[3.0, 1.0, 0.0, -1.0], [0.0, 2.0, 1.0, -1.0]], dtype=torch.float64)
Z = torch.tensor([[1.0, 2.0, 0.0, -0.5], [0.5, 1.5, 0.0, -1.0]], dtype=torch.float64)
Y = torch.tensor([0, 2])


def total(loss: nn.Module, z: Tensor = Z, v: Tensor = V) -> Tensor:
    terms: LossTerms = loss(student_logits=z, teacher_logits=v, targets=Y)
    return terms.total


@pytest.mark.parametrize(
    ("warmup", "until", "progress", "weight"),
    [
        (0.0, 1.0, 0.0, 1.0), (0.0, 1.0, 0.99, 1.0), (0.2, 1.0, 0.0, 0.0), (0.2, 1.0, 0.05, 0.25), (0.2, 1.0, 0.2, 1.0),
        (0.2, 0.6, 0.59, 1.0), (0.2, 0.6, 0.6, 0.0), (0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.5, 0.5),
    ],
)  # fmt: skip
def test_the_soft_term_has_the_weight_of_its_schedule_and_the_labels_the_rest(warmup, until, progress, weight):
    for inner in (DistillationLoss(3.0, 0.8), DecoupledLoss(2.0)):
        loss = Scheduled(inner, warmup, until)
        tell(loss.named_buffers(), progress)
        expected = weight * total(inner) + (1 - weight) * F.cross_entropy(Z, Y)
        assert float(total(loss)) == pytest.approx(float(expected), rel=1e-12)
    # For a DistillationLoss that is another alpha.
    loss = Scheduled(DistillationLoss(3.0, 0.8), warmup, until)
    tell(loss.named_buffers(), progress)
    assert float(total(loss)) == pytest.approx(float(total(DistillationLoss(3.0, 0.8 * weight))), rel=1e-12)


@pytest.mark.parametrize(("progress", "of_labels"), [(0.0, True), (0.5, False), (0.9, True)])
def test_a_part_without_weight_adds_no_gradient_and_nothing_that_is_not_finite(progress, of_labels):
    loss = Scheduled(DistillationLoss(3.0, 1.0), warmup=0.5, until=0.9)
    tell(loss.named_buffers(), progress)
    z = Z.clone().requires_grad_()
    (found,) = torch.autograd.grad(total(loss, z, V * torch.nan if of_labels else V), z)
    alone = Z.clone().requires_grad_()
    of = F.cross_entropy(alone, Y) if of_labels else total(DistillationLoss(3.0, 1.0), alone)
    torch.testing.assert_close(found, torch.autograd.grad(of, alone)[0])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"warmup": -0.1}, "warmup=-0.1: .*the share of the steps in which the weight rises"),
        ({"until": 2}, "until=2: .*the share of the steps after which the labels alone count"),
        ({"warmup": 0.5, "until": 0.2}, "warmup=0.5: must be at most until=0.2"),
        ({"loss": HardLoss()}, "loss=HardLoss: needs no soft targets"),
    ],
)
def test_schedules_that_say_nothing_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        Scheduled(**({"loss": DistillationLoss()} | arguments))


class Listening(Scheduled):
    """Notes what it is told, and interrupts the training after some steps."""

    def __init__(self, told: list[float], stop_after: int) -> None:
        super().__init__(DistillationLoss())
        self.told, self.left = told, stop_after

    def forward(self, **call: Any) -> LossTerms:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.told.append(float(self.progress))
        return super().forward(**call)


def listen(data: ClassificationData, folder: Path, stop_after: int) -> list[float]:
    torch.manual_seed(0)
    told: list[float] = []
    module = Distilled(
        MLP(inputs=16, widths=[4], outputs=4),
        loss=Listening(told, stop_after),
        teacher=CachedTeacher(torch.zeros(400, 4)),
        optimizer=partial(SGD, lr=0.1),
        schedule=constant,
    )
    view = data.for_fit(held_out=[], augment=nn.Identity(), order_seed=0)
    hardware = Hardware(torch.device("cpu"), "32-true")
    paths = {"board": folder / "board", "checkpoint": folder / "epoch.ckpt"}
    fit("arm", module, view, max_epochs=3, seed=0, hardware=hardware, **paths)
    return told


def test_a_fit_tells_its_loss_the_share_of_steps_that_are_taken_and_goes_on_counting_after_an_interruption(
    stripes, tmp_path
):
    whole = listen(stripes, tmp_path / "whole", -1)
    assert whole == pytest.approx([step / len(whole) for step in range(len(whole))], rel=1e-12)
    with pytest.raises(KeyboardInterrupt):
        listen(stripes, tmp_path / "cut", len(whole) // 3 + 2)
    assert listen(stripes, tmp_path / "cut", -1) == whole[len(whole) // 3 :]


def test_another_loss_can_be_scheduled_from_the_command_line():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        of_all = compose("train", ["loss=scheduled", "loss@loss.loss=dkd", "loss.warmup=0.1", "+arms.x={}"])
        of_arm = compose("train", ["+loss@arms.x.loss=scheduled", "loss@arms.x.loss.loss=nkd", "arms.x.loss.until=0.5"])
    loss = instantiate(of_all.loss)
    assert isinstance(loss.loss, DecoupledLoss)
    assert loss.extra_repr().endswith("w rises from 0 to 1 in the first 10 % of the steps")
    assert isinstance(instantiate(of_arm.arms.x.loss).loss, NormalizedLoss)
