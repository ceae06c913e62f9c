"""Training a student: the teacher stays as it is, cached and live targets agree, the student stays in train mode."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from kdlab.data import Batch, ClassificationData, Jitter, fetching
from kdlab.errors import Diverged
from kdlab.fits.context import Context
from kdlab.fits.fit import fit
from kdlab.fits.logits import logits_of
from kdlab.hardware import Hardware
from kdlab.losses import DistillationLoss, LossTerms
from kdlab.measure.metrics import answers_of, measure
from kdlab.models import MLP
from kdlab.modules import CachedTeacher, Classifier, Distilled, LiveTeacher
from kdlab.modules.trained import TrainedNetwork
from kdlab.schedules import constant, cosine

CPU = Hardware(torch.device("cpu"), "32-true")


def student() -> MLP:
    torch.manual_seed(7)
    return MLP(inputs=16, widths=[12], outputs=4)


def teacher() -> nn.Module:
    """A teacher with everything that drifts when it is left in train mode."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 4)
    )


def distilled(teacher: CachedTeacher | LiveTeacher, net: nn.Module | None = None, **loss: float) -> Distilled:
    return Distilled(
        net or student(),
        loss=DistillationLoss(**(loss or {"temperature": 3.0, "alpha": 0.8})),
        teacher=teacher,
        optimizer=partial(SGD, lr=0.1, momentum=0.9),
        schedule=cosine,
    )


def classifier(net: nn.Module, lr: float = 0.1) -> Classifier:
    return Classifier(net, optimizer=partial(SGD, lr=lr), schedule=constant)


def train(
    module: TrainedNetwork, data: ClassificationData, folder: Path, epochs: int = 3, hardware: Hardware = CPU,
    **view: object,
) -> Tensor:  # fmt: skip
    view = data.for_fit(**{"held_out": data.held_out, "augment": nn.Identity(), "order_seed": 0} | view)
    fit("arm", module, view, max_epochs=epochs, seed=0, hardware=hardware, board=folder / "board")
    return torch.cat([p.detach().flatten() for p in module.net.parameters()])


def cached(data: ClassificationData, net: nn.Module) -> CachedTeacher:
    return CachedTeacher(logits_of(net, data.train.inputs, data.scale, CPU.device, 100))


@pytest.mark.parametrize("augment", [nn.Identity(), Jitter(1)])
def test_teacher_is_byte_identical_after_distillation(stripes, tmp_path, augment):
    net = teacher().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    train(distilled(LiveTeacher(net)), stripes, tmp_path, augment=augment)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not net.training
    assert all(p.grad is None for p in net.parameters())


def test_asking_a_teacher_for_its_logits_leaves_it_byte_identical(stripes):
    net = teacher().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    cached(stripes, net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training


def test_cached_logits_train_as_live_ones_do_under_shuffling(stripes, tmp_path, arithmetic):
    def train(module: TrainedNetwork, folder: Path) -> Tensor:
        view = stripes.for_fit(held_out=[3], augment=nn.Identity(), order_seed=0)
        fit("arm", module, view, max_epochs=3, seed=0, hardware=arithmetic.hardware, board=folder / "board")
        return torch.cat([p.detach().flatten() for p in module.net.parameters()])

    live = train(distilled(LiveTeacher(teacher())), tmp_path / "live")
    looked_up = train(distilled(cached(stripes, teacher())), tmp_path / "cached")
    torch.testing.assert_close(live, looked_up, rtol=1e-4, atol=1e-6)
    by_position = cached(stripes, teacher())
    by_position.logits = by_position.logits.roll(1, dims=0)
    assert (train(distilled(by_position), tmp_path / "wrong") - live).abs().max() > 1e-2


def test_a_live_teacher_sees_the_students_augmented_inputs(stripes, tmp_path):
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = student()

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return self.net(x)

    train(distilled(LiveTeacher(Watching().eval()), net=Watching()), stripes, tmp_path, epochs=1, augment=Jitter(1))
    steps = stripes.steps_per_epoch
    pairs = zip(seen[0 : 2 * steps : 2], seen[1 : 2 * steps : 2], strict=True)
    assert all(torch.equal(for_student, for_teacher) for for_student, for_teacher in pairs)


def test_the_teacher_is_no_part_of_the_students_module():
    module = distilled(LiveTeacher(teacher()))
    assert not [name for name, _ in module.named_parameters() if "teacher" in name]
    assert not [name for name in module.state_dict() if "teacher" in name]
    module.train()
    assert not module.teacher.net.training


def test_student_is_in_train_mode_after_validation(stripes, tmp_path):
    modes: list[bool] = []

    class Watching(Classifier):
        def losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
            modes.append(self.net.training)
            return super().losses(logits, batch)

    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Dropout(0.5)).eval()
    train(Watching(net, optimizer=partial(SGD, lr=0.1), schedule=constant), stripes, tmp_path)
    assert len(modes) == 3 * stripes.steps_per_epoch
    assert all(modes)


def test_alpha_zero_trains_as_a_classifier_does(stripes, tmp_path):
    module = Distilled(
        student(), loss=DistillationLoss(alpha=0.0), teacher=cached(stripes, teacher()),
        optimizer=partial(SGD, lr=0.1), schedule=constant,
    )  # fmt: skip
    assert torch.equal(train(module, stripes, tmp_path / "a"), train(classifier(student()), stripes, tmp_path / "b"))


@pytest.mark.parametrize("augment", [nn.Identity(), Jitter(1)])
def test_the_same_fit_twice_gives_the_same_weights(stripes, tmp_path, augment):
    def net() -> MLP:
        torch.manual_seed(0)
        return MLP(inputs=16, widths=[12], outputs=4, hidden_dropout=0.5)

    first = train(classifier(net()), stripes, tmp_path / "1", augment=augment)
    torch.rand(17)  # whatever happened before must not matter
    assert torch.equal(first, train(classifier(net()), stripes, tmp_path / "2", augment=augment))
    assert not torch.equal(first, train(classifier(net()), stripes, tmp_path / "3", augment=augment, order_seed=1))


def test_a_curves_last_validation_figures_are_those_of_the_rows(stripes, tmp_path, monkeypatch, arithmetic):
    """Over samples, not averaged over batches, and counted in more than bfloat16's 8 bits."""
    monkeypatch.setattr(fetching, "SAMPLES_PER_FETCH", 7)
    module = classifier(student(), lr=0.5)
    train(module, stripes, tmp_path, epochs=2, hardware=arithmetic.hardware)
    last = {figure: value for _, figure, value in module.curve}
    inputs, labels = stripes.split("val")
    assert len(labels) % 7
    logits = logits_of(module.net, inputs, stripes.scale, arithmetic.device, 7)
    rows = measure("arm", "val", logits, labels, teacher=answers_of(logits), held_out=stripes.held_out)
    found = {(row.classes, row.metric): row for row in rows}
    for group in ("seen", "unseen"):
        accuracy = found[group, "accuracy"]
        assert round(last[f"val/accuracy_{group}"] * accuracy.n, 4) == accuracy.n - found[group, "errors"].value
        assert last[f"val/accuracy_{group}"] == torch.tensor(accuracy.value).item()
    assert last["val/loss"] == pytest.approx(found["seen", "nll"].value, rel=1e-6)


def test_a_loss_of_the_users_is_computed_in_float32_whatever_it_does(stripes, tmp_path, arithmetic):
    """A matrix product in a loss is bfloat16 under autocast."""
    seen = []

    class Products(nn.Module):
        def forward(self, *, student_logits, teacher_logits, targets):
            similarities = student_logits @ student_logits.T
            seen.append((student_logits.dtype, similarities.dtype))
            total = similarities.mean()
            return LossTerms(total, None, total)

    module = Distilled(student(), loss=Products(), teacher=None, optimizer=partial(SGD, lr=0.0), schedule=constant)
    train(module, stripes, tmp_path, epochs=1, hardware=arithmetic.hardware)
    assert set(seen) == {(torch.float32, torch.float32)}


def test_no_forward_pass_is_much_larger_than_a_training_step_needs(stripes, tmp_path):
    """Whatever trains in a GPU's memory must be validated and measured in it."""
    sizes: dict[bool, set[int]] = {True: set(), False: set()}

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = student()

        def forward(self, inputs):
            sizes[torch.is_grad_enabled()].add(len(inputs))
            return self.net(inputs)

    stripes.batch_size = 8
    module = classifier(Counting())
    train(module, stripes, tmp_path, epochs=1)
    context = Context(stripes, CPU, tmp_path)
    context.logits(module.net, stripes.test.inputs)
    assert max(sizes[True]) == 8
    assert max(sizes[False]) == 32


def test_a_student_learns(stripes, tmp_path):
    module = classifier(student(), lr=0.5)
    train(module, stripes, tmp_path, epochs=20)
    assert dict(point[1:] for point in module.curve)["val/accuracy_seen"] > 0.9


def test_augmentation_is_the_same_whatever_else_is_drawn(stripes, tmp_path):
    """Two arms whose networks differ in dropout still see the same shifted images."""
    seen: list[list[Tensor]] = []

    class Watching(Classifier):
        def losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
            seen[-1].append(batch.inputs)
            return super().losses(logits, batch)

    for dropout in (0.0, 0.5):
        seen.append([])
        net = MLP(inputs=16, widths=[12], outputs=4, hidden_dropout=dropout)
        module = Watching(net, optimizer=partial(SGD, lr=0.1), schedule=constant)
        train(module, stripes, tmp_path / str(dropout), augment=Jitter(1))
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    steps = stripes.steps_per_epoch
    first, second = (torch.cat(seen[0][i * steps : (i + 1) * steps]) for i in (0, 1))
    assert first.sum() != second.sum()


def test_a_fit_that_diverges_ends_at_the_epoch_with_the_remedy(stripes, tmp_path):
    with pytest.raises(Diverged, match=r"arm: the training diverged: .* in epoch 1; a lower learning rate"):
        train(classifier(student(), lr=1e30), stripes, tmp_path)


def test_logged_training_loss_is_the_mean_over_samples_not_over_batches(stripes, tmp_path):
    module = classifier(student(), lr=1e-12)
    train(module, stripes, tmp_path, epochs=1)
    transfer = stripes.train_ids
    logits = logits_of(module.net, stripes.train.inputs[transfer], stripes.scale, CPU.device, 100)
    expected = nn.functional.cross_entropy(logits, stripes.train.labels[transfer])
    assert dict(point[1:] for point in module.curve)["train/loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_a_fit_takes_the_very_steps_of_a_plain_loop(stripes, tmp_path, arithmetic):
    view = stripes.for_fit(held_out=[3], augment=nn.Identity(), order_seed=5)
    logits = cached(stripes, teacher()).logits
    module = distilled(CachedTeacher(logits))
    fit("arm", module, view, max_epochs=3, seed=0, hardware=arithmetic.hardware, board=tmp_path / "board")

    net = student().to(arithmetic.device)
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = cosine(optimizer, 3 * view.steps_per_epoch)
    for epoch in range(3):
        loader = view.train_dataloader()
        loader.sampler.set_epoch(epoch)
        for part in next(iter(loader)).cut(view.batch_size):
            batch = Batch(*(tensor.to(arithmetic.device) for tensor in part))
            with arithmetic.autocast():
                z_s = net(batch.inputs.float() / 255).float()
            z_t = logits.to(arithmetic.device)[batch.ids]
            kl = (z_t / 3).softmax(1) * ((z_t / 3).log_softmax(1) - (z_s / 3).log_softmax(1))
            loss = 0.8 * 9 * kl.sum(1).mean() + 0.2 * nn.functional.cross_entropy(z_s, batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    for mine, plain in zip(module.net.parameters(), net.parameters(), strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine.detach(), plain.detach().cpu(), rtol=0, atol=max(1e-6, arithmetic.rounding / 4))
