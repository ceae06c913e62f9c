"""Which fits of a run are trained at once, what is kept of each, and that nothing else changes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from kdlab.config.read import read as read_config
from kdlab.curves import read_curves
from kdlab.data import load
from kdlab.fits import stackable, train
from kdlab.fits.plan import plan_fits
from kdlab.fits.stackable import stacks
from kdlab.pipeline import context_of, run
from kdlab.results import Results
from kdlab.store import Store
from kdlab.train import CONFIGS

BLOBS = (
    "data=blobs", "data.classes=3", "trainer=cpu", "trainer.precision=32-true", "name=x", "model@teacher.net=mlp_4",
    "model@student.net=mlp_4", "teacher.max_epochs=1", "student.max_epochs=3", "data.train_samples=200",
    "data.test_samples=100", "figures=false",
)  # fmt: skip
ARMS = ("+arms.a={}", "+arms.b.loss.temperature=2", "+arms.c.optimizer.lr=0.02", "+arms.d.targets=truth")


class Halting(nn.Linear):
    """A network whose code looks at its numbers, which no stack can follow."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs) * (2 if inputs.sum() * self.weight.sum() > 0 else 1)


def composed(*overrides: str, base: tuple[str, ...] = BLOBS) -> Any:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [*base, *overrides])


def groups(*overrides: str, base: tuple[str, ...] = BLOBS) -> list[list[str]]:
    experiment = read_config(composed(*overrides, base=base))
    load(experiment.data)
    context = context_of(experiment, Path(), began=0.0, sweep=None)
    plans = plan_fits(experiment.recipes, context)
    return [[plan.name for plan in group] for group in stacks(list(plans.values())[1:], context)]


def go(folder: str, *overrides: str) -> Results:
    return run(composed(*overrides), Path(folder)).results


def rows(results: Results) -> dict[tuple[str, ...], float]:
    return {(r.arm, r.split, r.classes, r.correction, r.metric): r.value for r in results.rows}


@pytest.mark.parametrize(
    ("override", "apart"),
    [
        ("+arms.other.loss.alpha=0.2", False),
        ("+arms.other.loss.soft_loss=logit_mse", False),
        ("+arms.other.targets=teacher_hard", False),
        ("+arms.other.seed=7", False),
        ("+arms.other.optimizer.momentum=0.5", False),
        ("+arms.other.optimizer.weight_decay=0.5", False),
        ("+arms.other.optimizer.nesterov=true", True),
        ("+arms.other.optimizer={_target_:torch.optim.Adam,_partial_:true,lr:0.1}", True),
        ("+arms.other.schedule.warmup=0.2", True),
        ("+arms.other.max_epochs=4", True),
        ("+arms.other.patience=2", True),
        ("+arms.other.held_out_classes=[1]", True),
        ("+arms.other.net.widths=[5]", True),
        ("+arms.other.net.hidden_dropout=0.5", True),
        ("+arms.other.net.max_norm=1.0", True),
    ],
)
def test_fits_that_differ_in_numbers_and_targets_are_stacked_and_others_are_not(override, apart):
    expected = [["a", "b"], ["other"]] if apart else [["a", "b", "other"]]
    assert groups("+arms.a={}", "+arms.b.loss.temperature=2", override) == expected


def test_convolutions_are_stacked_on_a_cpu_only_where_that_is_asked_for(caplog):
    caplog.set_level("INFO")
    base = ("data=digits", "trainer=cpu", "name=x", "model@teacher.net=mlp_4", "model@student.net=cnn_mnist_student")
    cnn = ("+arms.a={}", "+arms.b.seed=7")
    assert groups(*cnn, base=base) == [["a"], ["b"]]
    assert "a, b: not stacked, which is faster on a CPU for convolutions" in caplog.text
    assert groups(*cnn, "trainer.stack=2", base=base) == [["a", "b"]]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trainer.stack=off", [["a"], ["b"], ["c"], ["d"]]),
        ("trainer.stack=1", [["a"], ["b"], ["c"], ["d"]]),
        ("trainer.stack=3", [["a", "b", "c"], ["d"]]),
        ("trainer.stack=auto", [["a", "b", "c", "d"]]),
        ("model@student.net=mlp_800", [["a"], ["b"], ["c"], ["d"]]),  # on a CPU
        ("student.net.hidden_dropout=0.1", [["a"], ["b"], ["c"], ["d"]]),
    ],
)
def test_the_user_or_the_size_of_the_network_decides_how_many(override, expected):
    assert groups(*ARMS, override) == expected


def test_a_stack_keeps_within_its_memory(monkeypatch):
    monkeypatch.setattr(stackable, "CPU_BYTES", 32_000)
    assert groups(*ARMS) == [["a", "b"], ["c", "d"]]
    # Each of them could have samples and an order of its own.
    assert groups(*ARMS, "data.train_samples=400") == [["a"], ["b"], ["c"], ["d"]]


def test_a_network_that_cannot_be_stacked_is_named_with_the_reason(caplog):
    caplog.set_level("INFO")
    own = (f"student.net._target_={__name__}.Halting", "+student.net.in_features=2", "+student.net.out_features=3")
    assert groups("model@student.net=own", *own, "+arms.a={}", "+arms.b.loss.alpha=0.1") == [["a"], ["b"]]
    assert "a, b: not stacked, since a stack of their network is not possible: vmap:" in caplog.text


def test_a_run_finds_the_same_with_stacks_and_without(caplog):
    caplog.set_level("INFO")
    stacked = go("stacked", *ARMS, "store.folder=one")
    assert "4 fits are trained as one stack, on 160 samples: a " in caplog.text
    single = go("single", *ARMS, "store.folder=other", "trainer.stack=off")
    assert [fit.key for fit in stacked.fits] == [fit.key for fit in single.fits]
    assert [fit.stack for fit in stacked.fits] == [1, 4, 4, 4, 4]
    assert [fit.stack for fit in single.fits] == [1] * 5
    assert rows(stacked) == pytest.approx(rows(single), abs=1e-4)
    of_stacked, of_single = (read_curves(Path(folder) / "curves.csv") for folder in ("stacked", "single"))
    assert [list(of_stacked), *([point[:2] for point in curve] for curve in of_stacked.values())] == [
        list(of_single), *([point[:2] for point in curve] for curve in of_single.values())
    ]  # fmt: skip
    for fit in stacked.fits:
        assert Store(Path("one")).entry(fit.key).damage() == []
        assert list((Path("stacked") / "tensorboard" / fit.arm).glob("events*"))
    again = go("again", *ARMS, "+arms.e.loss.temperature=9", "store.folder=one")
    assert [(fit.reused, fit.stack) for fit in again.fits] == [(True, 1), *[(True, 4)] * 4, (False, 1)]
    assert not Store(Path("one")).interrupted()


def test_a_diverged_arm_of_a_stack_costs_the_others_nothing():
    results = go("run", *ARMS, "+arms.wild.optimizer.lr=1e30")
    assert [fit.arm for fit in results.fits] == ["teacher", "a", "b", "c", "d"]
    assert results.failed["wild"].startswith("wild: the training diverged")
    assert not Store(Path("outputs/store")).interrupted()


def test_an_interrupted_stack_goes_on_by_the_same_command(monkeypatch, caplog):
    caplog.set_level("INFO")
    arms = (*ARMS, "schedule=constant")  # which does not depend on the number of epochs

    def cut_off(*arguments: Any, **settings: Any) -> Any:
        fit_stack(*arguments, **(settings | {"max_epochs": 1}))
        raise KeyboardInterrupt

    fit_stack = train.fit_stack
    with monkeypatch.context() as patched:
        patched.setattr(train, "fit_stack", cut_off)
        with pytest.raises(KeyboardInterrupt):
            go("run", *arms)
    went_on, undisturbed = go("run", *arms), go("undisturbed", *arms, "store=off")
    assert "4 students: goes on after epoch 1" in caplog.text
    assert rows(went_on) == rows(undisturbed)
    assert not Store(Path("outputs/store")).interrupted()


def test_a_stack_that_fails_by_itself_is_trained_one_by_one(monkeypatch, caplog):
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no kernel for this")

    monkeypatch.setattr(train, "fit_stack", broken)
    results = go("run", *ARMS)
    assert "the stack of 4 fits failed; they are trained one by one" in caplog.text
    assert [fit.stack for fit in results.fits] == [1] * 5


def test_a_stack_without_memory_is_halved(monkeypatch, caplog):
    caplog.set_level("INFO")

    def small(names: list[str], *arguments: Any, **settings: Any) -> Any:
        if len(names) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return fit_stack(names, *arguments, **settings)

    fit_stack = train.fit_stack
    monkeypatch.setattr(train, "fit_stack", small)
    results = go("run", *ARMS)
    assert "a stack of 4 fits does not fit into memory: two halves" in caplog.text
    assert [fit.stack for fit in results.fits] == [1, 2, 2, 2, 2]
