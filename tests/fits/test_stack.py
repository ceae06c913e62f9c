"""A stack of students: each becomes what it would have become alone, but for rounding."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from kdlab.data import ClassificationData, Jitter
from kdlab.errors import Diverged
from kdlab.fits.fit import Took, fit
from kdlab.fits.stack import fit_stack
from kdlab.hardware import Hardware
from kdlab.losses import DecoupledLoss, DistillationLoss, Scheduled
from kdlab.losses.label_smoothing import LabelSmoothing
from kdlab.models import CNN, MLP
from kdlab.modules import CachedTeacher, Classifier, Distilled, LiveTeacher
from kdlab.modules.trained import TrainedNetwork
from kdlab.schedules import cosine

CPU = Hardware(torch.device("cpu"), "32-true")
OPTIMIZERS = {
    "sgd": partial(SGD, momentum=0.9, weight_decay=1e-3, fused=True),
    "adam": partial(Adam, fused=True),
    "adamw": partial(AdamW, weight_decay=0.1),
}


class InDouble(nn.Module):
    """A network that computes in float64."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.double()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs.double())


def network(kind: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    if kind == "cnn":
        return CNN(inputs=[1, 4, 4], channels=[3, 4], strides=[1, 1], padding=1, outputs=4)
    net = MLP(inputs=16, widths=[12, 8], outputs=4)
    return InDouble(net) if kind == "double" else net


def table(seed: int) -> CachedTeacher:
    return CachedTeacher(3 * torch.randn(400, 4, generator=torch.Generator().manual_seed(seed)))


def students(kind: str = "mlp", optimizer: str = "sgd", only: Sequence[int] = range(8)) -> list[TrainedNetwork]:
    """Return students that differ in everything in which those of a stack may differ."""
    first, second = table(1), table(2)

    def distilled(index: int, **settings: Any) -> TrainedNetwork:
        rate = 0.01 * (1 + index % 3)
        common = {"optimizer": partial(OPTIMIZERS[optimizer], lr=rate), "schedule": partial(cosine, warmup=0.1)}
        net = network(kind, seed=index % 4)
        return Classifier(net, **common) if not settings else Distilled(net, **(settings | common))

    made = [
        lambda i: distilled(i),
        lambda i: distilled(i, loss=DistillationLoss(temperature=2, alpha=0.5), teacher=first),
        lambda i: distilled(i, loss=DistillationLoss(temperature=7, alpha=0.9), teacher=second),
        lambda i: distilled(i, loss=DistillationLoss(temperature=1, alpha=0), teacher=first),
        lambda i: distilled(i, loss=DistillationLoss(alpha=1, soft_loss="cross_entropy"), teacher=first),
        lambda i: distilled(i, loss=DistillationLoss(alpha=0.3, soft_loss="logit_mse"), teacher=second),
        lambda i: distilled(i, loss=LabelSmoothing(0.1), teacher=None),
        lambda i: distilled(i, loss=LabelSmoothing(0.2), teacher=second, soft=False),
        lambda i: distilled(i, loss=Scheduled(DistillationLoss(temperature=3, alpha=1), warmup=0.4), teacher=first),
        lambda i: distilled(i, loss=Scheduled(DistillationLoss(temperature=3, alpha=1), until=0.6), teacher=first),
        lambda i: distilled(i, loss=Scheduled(DecoupledLoss(), warmup=0.2, until=0.7), teacher=second),
    ]
    return [made[index](index) for index in only]


def drawn(data: ClassificationData, *, sample: int, split: int) -> ClassificationData:
    """Return data like these with other samples, or another split."""
    own = type(data)(held_out_classes=["south"], val_size=data.val_size, batch_size=data.batch_size, split_seed=split)
    own.read = lambda: (own._samples(400, seed=2 * sample), own._samples(100, seed=1))
    own.setup()
    return own


Ended = list[Took | Diverged]
# Of all students, or of each its own.
Data = ClassificationData | Sequence[ClassificationData]


def view_of(data: ClassificationData, seed: int, augment: nn.Module | None) -> ClassificationData:
    return data.for_fit(held_out=data.held_out, augment=augment or nn.Identity(), order_seed=seed)


def alone(
    modules: Sequence[TrainedNetwork], data: Data, folder: Path, *, seeds: Sequence[int] = (),
    hardware: Hardware = CPU, augment: nn.Module | None = None, **settings: Any,
) -> Ended:  # fmt: skip
    found: Ended = []
    sets = [data] * len(modules) if isinstance(data, ClassificationData) else data
    for index, module in enumerate(modules):
        view = view_of(sets[index], seeds[index] if seeds else 0, augment)
        try:
            found.append(fit("arm", module, view, seed=0, hardware=hardware, board=folder / "board", **settings))
        except Diverged as error:
            found.append(error)
    return found


def together(
    modules: Sequence[TrainedNetwork], data: Data, *, seeds: Sequence[int] = (),
    hardware: Hardware = CPU, augment: nn.Module | None = None, **settings: Any,
) -> Ended:  # fmt: skip
    sets, seeds = [data] * len(modules) if isinstance(data, ClassificationData) else data, seeds or [0] * len(modules)
    views = [view_of(own, seed, augment) for own, seed in zip(sets, seeds, strict=True)]
    names = [f"arm{index}" for index in range(len(modules))]
    return fit_stack(names, modules, views, hardware=hardware, **settings)


def weights(module: TrainedNetwork) -> Tensor:
    return torch.cat([value.double().flatten() for value in module.net.state_dict().values()])


def difference(some: Sequence[TrainedNetwork], others: Sequence[TrainedNetwork]) -> float:
    return max(float((weights(a) - weights(b)).abs().max()) for a, b in zip(some, others, strict=True))


def figures(module: TrainedNetwork) -> dict[tuple[int, str], float]:
    return {(epoch, name): value for epoch, name, value in module.curve if name != "train/samples_per_second"}


@pytest.mark.parametrize("seeds", [[], list(range(8))], ids=["one_order", "own_orders"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_each_student_becomes_what_it_becomes_alone(stripes, tmp_path, kind, optimizer, seeds):
    single, stack = students(kind, optimizer), students(kind, optimizer)
    alone(single, stripes, tmp_path, seeds=seeds, max_epochs=2)
    ended = together(stack, stripes, seeds=seeds, max_epochs=2)
    assert [took.epochs for took in ended] == [2] * 8
    assert difference(single, stack) < 1e-4
    for one, other in zip(single, stack, strict=True):
        assert list(figures(one)) == list(figures(other))
        assert list(figures(one).values()) == pytest.approx(list(figures(other).values()), abs=1e-4)
        assert not other.net.training


@pytest.mark.parametrize("own", ["samples", "split", "both"])
def test_a_student_with_samples_or_a_split_of_its_own_becomes_what_it_becomes_alone(stripes, tmp_path, own):
    sets = [
        drawn(stripes, sample=index % 3 * (own != "split"), split=index % 2 * (own != "samples")) for index in range(8)
    ]
    single, stack = students(), students()
    alone(single, sets, tmp_path, seeds=range(8), max_epochs=2)
    together(stack, sets, seeds=range(8), max_epochs=2)
    assert difference(single, stack) < 1e-4
    for one, other in zip(single, stack, strict=True):
        assert list(figures(one)) == list(figures(other))
        assert list(figures(one).values()) == pytest.approx(list(figures(other).values()), abs=1e-4)
    shared = students()
    together(shared, sets[0], seeds=range(8), max_epochs=2)
    assert difference(shared, stack) > 1e-3


def test_losses_with_schedules_are_told_in_a_stack_what_they_are_told_alone(stripes, tmp_path):
    single, stack = students(only=[1, 8, 9, 10]), students(only=[1, 8, 9, 10])
    alone(single, stripes, tmp_path, max_epochs=3)
    together(stack, stripes, max_epochs=3)
    assert difference(single, stack) < 1e-4
    never_ends = students(only=[9])
    never_ends[0].loss.until.fill_(1)
    alone(never_ends, stripes, tmp_path, max_epochs=3)
    assert difference(never_ends, single[2:3]) > 1e-3


def test_in_float64_the_weights_are_equal_to_ten_digits(stripes, tmp_path):
    single, stack = students("double"), students("double")
    alone(single, stripes, tmp_path, max_epochs=2)
    together(stack, stripes, max_epochs=2)
    assert difference(single, stack) < 1e-10


def test_in_bfloat16_accuracies_are_equal_but_for_a_few_errors(stripes, tmp_path):
    single, stack = students(), students()
    hardware = CPU._replace(precision="bf16-mixed")
    alone(single, stripes, tmp_path, hardware=hardware, max_epochs=4)
    together(stack, stripes, hardware=hardware, max_epochs=4)
    for one, other in zip(single, stack, strict=True):
        assert figures(one)[4, "val/accuracy_seen"] == pytest.approx(figures(other)[4, "val/accuracy_seen"], abs=0.07)
        assert figures(one)[1, "train/loss"] == pytest.approx(figures(other)[1, "train/loss"], rel=0.02)


def test_with_augmentation_a_live_teacher_sees_what_the_students_see(stripes, tmp_path):
    teacher = LiveTeacher(network("mlp", seed=9))

    def pair() -> list[TrainedNetwork]:
        made = students(only=[1, 2])
        for module in made:
            module.teacher = teacher
        return made

    single, stack = pair(), pair()
    alone(single, stripes, tmp_path, augment=Jitter(1), max_epochs=2)
    together(stack, stripes, augment=Jitter(1), max_epochs=2)
    assert difference(single, stack) < 1e-5


def test_order_and_partition_change_nothing_beyond_rounding(stripes):
    whole, reverse, parts = students(), students()[::-1], students()
    together(whole, stripes, max_epochs=2)
    together(reverse, stripes, max_epochs=2)
    together(parts[:3], stripes, max_epochs=2)
    together(parts[3:], stripes, max_epochs=2)
    assert difference(whole, reverse[::-1]) < 1e-5
    assert difference(whole, parts) < 1e-5


def test_students_stop_each_at_its_own_time_and_return_to_their_best_epochs(stripes, tmp_path):
    single, stack = students(optimizer="adam"), students(optimizer="adam")
    apart = alone(single, stripes, tmp_path, max_epochs=12, patience=2)
    ended = together(stack, stripes, max_epochs=12, patience=2)
    assert [took.epochs for took in ended] == [took.epochs for took in apart]
    assert len({took.epochs for took in ended}) > 2
    assert difference(single, stack) < 1e-4
    assert [list(figures(module)) for module in stack] == [list(figures(module)) for module in single]


@pytest.mark.parametrize("at", ["loss", "last_step"])
def test_a_student_that_diverges_is_named_and_the_others_go_on(stripes, at):
    without, with_one = students(only=[0, 1, 2]), students(only=[0, 1, 2, 6])
    rate = 1e30 if at == "loss" else 1e38
    with_one[3].make_optimizer = partial(OPTIMIZERS["sgd"], lr=rate)
    epochs = 3 if at == "loss" else 1
    if at == "last_step":
        stripes.batch_size = 400
    together(without, stripes, max_epochs=epochs)
    *others, diverged = together(with_one, stripes, max_epochs=epochs)
    assert isinstance(diverged, Diverged)
    assert str(diverged).startswith("arm3: the training diverged")
    assert [took.epochs for took in others] == [epochs] * 3
    assert difference(without, with_one[:3]) < 1e-6


def test_a_teacher_without_weight_may_say_anything(stripes):
    module = students(only=[3])[0]
    module.teacher = CachedTeacher(torch.full((400, 4), torch.nan))
    plain = students(only=[0, 3])[1:]
    together([module, *students(only=[1])], stripes, max_epochs=2)
    together([*plain, *students(only=[1])], stripes, max_epochs=2)
    assert torch.equal(weights(module), weights(plain[0]))


class Cut(DistillationLoss):
    """Interrupts the training after some steps."""

    def __init__(self, steps: int) -> None:
        super().__init__(temperature=3)
        self.steps = [steps]

    def forward(self, **call: Any) -> Any:
        self.steps[0] -= 1
        if self.steps[0] == 0:
            raise KeyboardInterrupt
        return super().forward(**call)


@pytest.mark.parametrize("own_samples", [False, True], ids=["one_sample", "own_samples"])
@pytest.mark.parametrize("patience", [None, 2])
def test_a_stack_that_was_cut_off_ends_as_if_it_had_not_been(stripes, tmp_path, caplog, patience, own_samples):
    caplog.set_level("INFO")
    data = [drawn(stripes, sample=index, split=0) for index in range(4)] if own_samples else stripes

    def trained(folder: str, *cuts: int) -> list[TrainedNetwork]:
        (tmp_path / folder).mkdir()
        for steps in (*cuts, 10**9):
            modules = students(optimizer="adam", only=[0, 1, 2, 8])
            modules[1].loss = Cut(steps)
            settings = {"max_epochs": 6, "patience": patience, "checkpoint": tmp_path / folder / "epoch.ckpt"}
            try:
                together(modules, data, seeds=[0, 1, 2, 3], **settings)
            except KeyboardInterrupt:
                assert steps < 10**9
        return modules

    whole = trained("whole")
    cut = trained("cut", 2, 15, 25)
    assert caplog.text.count("goes on after epoch") == 2
    assert [weights(module).tolist() for module in cut] == [weights(module).tolist() for module in whole]
    assert [figures(module) for module in cut] == [figures(module) for module in whole]
