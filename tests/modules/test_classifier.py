"""Hard targets: the labels, for teacher and student, or a teacher's first choices."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from kdlab.data import Batch, ClassificationData, Jitter
from kdlab.fits.fit import fit
from kdlab.fits.logits import logits_of
from kdlab.hardware import Hardware
from kdlab.losses import HardLoss
from kdlab.models import MLP
from kdlab.modules import CachedTeacher, Classifier, Distilled, LiveTeacher, Teacher
from kdlab.schedules import constant

CPU = Hardware(torch.device("cpu"), "32-true")
FIGURES = {
    "train/loss", "train/hard_loss", "train/accuracy", "train/learning_rate", "train/samples_per_second", "val/loss",
    "val/accuracy_seen",
}  # fmt: skip


def network(seed: int) -> MLP:
    torch.manual_seed(seed)
    return MLP(inputs=16, widths=[12], outputs=4)


def train(data: ClassificationData, folder: Path, teacher: Teacher | None = None, augment: nn.Module | None = None):
    module = Distilled(
        network(7), loss=HardLoss(), teacher=teacher, soft=False, optimizer=partial(SGD, lr=0.1), schedule=constant
    )
    view = data.for_fit(held_out=[], augment=augment or nn.Identity(), order_seed=0)
    fit("arm", module, view, max_epochs=3, seed=0, hardware=CPU, board=folder / "board")
    return torch.cat([p.detach().flatten() for p in module.net.parameters()]), module.curve


def logits(data: ClassificationData, net: nn.Module) -> Tensor:
    return logits_of(net, data.train.inputs, data.scale, CPU.device, 100)


def test_hard_targets_are_plain_training_on_the_teachers_first_choices(stripes, tmp_path):
    teacher = network(3)
    found, curves = train(stripes, tmp_path, CachedTeacher(logits(stripes, teacher)))
    own_labels, _ = train(stripes, tmp_path)
    assert not torch.equal(found, own_labels)
    choices = logits(stripes, teacher).argmax(1)
    assert (choices != stripes.train.labels).any()
    stripes.train = stripes.train._replace(labels=choices)
    relabelled, _ = train(stripes, tmp_path)
    assert torch.equal(found, relabelled)
    assert {figure for _, figure, _ in curves} == FIGURES


def test_a_teacher_that_knows_the_labels_changes_nothing(stripes, tmp_path):
    knowing = nn.functional.one_hot(stripes.train.labels, 4).float()
    assert torch.equal(train(stripes, tmp_path, CachedTeacher(knowing))[0], train(stripes, tmp_path)[0])


def test_a_student_of_the_labels_is_trained_as_a_teacher_is(stripes, tmp_path):
    module = Classifier(network(7), optimizer=partial(SGD, lr=0.1), schedule=constant)
    view = stripes.for_fit(held_out=[], augment=nn.Identity(), order_seed=0)
    fit("teacher", module, view, max_epochs=3, seed=0, hardware=CPU, board=tmp_path / "teacher")
    found, _ = train(stripes, tmp_path)
    assert torch.equal(torch.cat([p.detach().flatten() for p in module.net.parameters()]), found)


def test_a_live_teacher_chooses_for_the_augmented_image(stripes, tmp_path):
    teacher = network(3)
    live, _ = train(stripes, tmp_path, LiveTeacher(teacher), augment=Jitter(1))
    cached, _ = train(stripes, tmp_path, CachedTeacher(logits(stripes, teacher)), augment=Jitter(1))
    assert not torch.equal(live, cached)


@pytest.mark.parametrize("teacher", [None, CachedTeacher(torch.eye(4))])
def test_the_loss_with_the_labels_is_logged_beside_the_teachers(teacher):
    module = Distilled(network(0), loss=HardLoss(), teacher=teacher, soft=False, optimizer=SGD, schedule=constant)
    outputs = torch.randn(4, 4)
    losses = module.losses(outputs, Batch(torch.zeros(4, 16), torch.tensor([3, 2, 1, 0]), torch.arange(4)))
    with_labels = nn.functional.cross_entropy(outputs, torch.tensor([3, 2, 1, 0]))
    assert torch.equal(losses["hard_loss"], with_labels)
    targets = torch.arange(4) if teacher else torch.tensor([3, 2, 1, 0])
    assert torch.equal(losses["loss"], nn.functional.cross_entropy(outputs, targets))


def test_curves_have_the_same_figures_whatever_the_targets_and_unseen_classes_are_measured_apart(stripes, tmp_path):
    module = Classifier(network(7), optimizer=partial(SGD, lr=0.5), schedule=constant)
    view = stripes.for_fit(held_out=[3], augment=nn.Identity(), order_seed=0)
    fit("arm", module, view, max_epochs=2, seed=0, hardware=CPU, board=tmp_path / "board")
    last = {figure: value for epoch, figure, value in module.curve if epoch == 2}
    assert set(last) == FIGURES | {"val/accuracy_unseen"}
    assert last["train/learning_rate"] == 0.5
    ids = stripes.for_fit(held_out=[], augment=nn.Identity(), order_seed=0).val_ids
    right = logits(stripes, module.net)[ids].argmax(1) == stripes.train.labels[ids]
    unseen = stripes.train.labels[ids] == 3
    assert last["val/accuracy_unseen"] == pytest.approx(right[unseen].float().mean().item())
    assert last["val/accuracy_seen"] == pytest.approx(right[~unseen].float().mean().item())
    assert last["val/accuracy_seen"] > 0 == last["val/accuracy_unseen"]


def test_training_accuracy_is_that_of_the_answers_given_in_training(stripes, tmp_path):
    module = Classifier(network(7), optimizer=partial(SGD, lr=1e-12), schedule=constant)  # the weights stay as they are
    view = stripes.for_fit(held_out=[3], augment=nn.Identity(), order_seed=0)
    fit("arm", module, view, max_epochs=1, seed=0, hardware=CPU, board=tmp_path / "board")
    (accuracy,) = (value for _, figure, value in module.curve if figure == "train/accuracy")
    ids = view.train_ids
    right = logits(stripes, network(7))[ids].argmax(1) == stripes.train.labels[ids]
    assert accuracy == pytest.approx(right.float().mean().item())
