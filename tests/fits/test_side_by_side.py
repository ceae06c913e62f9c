"""Fits that no stack makes faster, trained at the same time on a CPU: the same networks, whatever happens meanwhile."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from kdlab.errors import DiskFull, FitsFailed
from kdlab.fits import obtain, train
from kdlab.fits.processes import can_fork
from kdlab.pipeline import run
from kdlab.results import Results
from kdlab.store import Store
from kdlab.train import CONFIGS

pytestmark = pytest.mark.skipif(not can_fork(), reason="torch can be forked on Linux alone, and without a GPU")

# Sums of convolutions come in another order with another number of threads.
DIGITS = (
    "data=digits", "trainer=cpu", "trainer.precision=32-true", "name=x", "model@teacher.net=mlp_4",
    "model@student.net=cnn_mnist_student", "teacher.max_epochs=1", "student.max_epochs=2", "figures=false",
)  # fmt: skip
ARMS = ("+arms.labels.targets=truth", "+arms.soft={}")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def go(folder: str, *overrides: str, store: str | None = None) -> Results:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [*DIGITS, f"store.folder={store or folder + '_store'}", *overrides])
    return run(config, Path(folder)).results


def weights(folder: str) -> dict[str, Any]:
    return {path.stem: torch.load(path, weights_only=True) for path in Path(folder, "checkpoints").glob("*.pt")}


def assert_same_weights(folder: str, other: str) -> None:
    found, expected = weights(folder), weights(other)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert all(torch.equal(found[name][key], value) for key, value in values.items()), name


def without_seconds(curves: Path) -> list[str]:
    return [line for line in curves.read_text().splitlines() if "samples_per_second" not in line]


def test_fits_side_by_side_are_those_that_one_thread_trains_one_after_the_other(caplog):
    caplog.set_level("INFO")
    together = go("together", *ARMS)
    assert "labels, soft: trained side by side, each with one thread" in caplog.text
    shutil.copytree("together_store", "alone_store")  # with the teacher and its logits, by two threads
    for fit in together.fits[1:]:
        shutil.rmtree(Path("alone_store", fit.key))
    torch.set_num_threads(1)
    caplog.clear()
    go("alone", *ARMS, "trainer.stack=off")
    assert "side by side" not in caplog.text
    assert_same_weights("together", "alone")
    assert [(fit.arm, fit.reused, fit.epochs, fit.stack) for fit in together.fits] == [
        ("teacher", False, 1, 1), ("labels", False, 2, 1), ("soft", False, 2, 1)
    ]  # fmt: skip
    assert all(fit.seconds > 0 for fit in together.fits)
    assert [fit.threads for fit in together.fits] == [2, 1, 1]
    assert [fit.threads for fit in go("again", *ARMS, store="together_store").fits] == [2, 1, 1]
    assert all(list(Path("together/tensorboard", arm).glob("events*")) for arm in ("labels", "soft"))


def test_without_a_store_they_find_the_same_and_leave_nothing(monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    go("kept", *ARMS)
    go("off", *ARMS, "store.folder=null")
    assert_same_weights("kept", "off")
    assert without_seconds(Path("kept/curves.csv")) == without_seconds(Path("off/curves.csv"))
    assert {path.name for path in Path("off").iterdir()} == {path.name for path in Path("kept").iterdir()}
    assert not list((tmp_path / "elsewhere").iterdir())


def test_in_a_sweep_without_a_store_each_point_has_its_curves():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [*DIGITS, *ARMS, "store.folder=null"])
    run(config, Path("sweep/0"), sweep=Path("sweep"))
    assert all(list(Path("sweep/0/tensorboard", arm).glob("events*")) for arm in ("teacher", "labels", "soft"))
    assert not Path("sweep/tensorboard").exists()


@pytest.mark.parametrize(
    "override",
    ["trainer.stack=off", "trainer.stack=2", "+arms.soft.seed=1", "one thread", "in the store"],
)
def test_who_is_trained_side_by_side(override, caplog):
    caplog.set_level("INFO")
    if override == "one thread":
        torch.set_num_threads(1)
    if override == "in the store":
        go("first", ARMS[0], store="s")
    go("run", *ARMS, *([override] if "=" in override else []), store="s")
    assert ("side by side" in caplog.text) == (override == "+arms.soft.seed=1")


def test_only_those_that_take_as_many_steps_keep_each_other_company(caplog):
    caplog.set_level("INFO")
    go("run", *ARMS, "+arms.third.max_epochs=1", "+arms.fourth.batch_size=64")
    assert caplog.text.count("side by side") == 1
    assert "labels, soft: trained side by side" in caplog.text


def test_those_that_would_take_too_much_memory_are_trained_one_by_one(caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 100)
    go("run", *ARMS)
    assert "side by side" not in caplog.text


def test_one_that_another_run_trains_meanwhile_is_reused(caplog, monkeypatch):
    go("other", *ARMS)
    has, calls = Store.has, []

    def not_yet(self: Store, key: str) -> bool:
        calls.append(key)
        return False if self.folder.name == "other_store" else has(self, key)

    monkeypatch.setattr(Store, "has", not_yet)
    caplog.set_level("INFO")
    results = go("run", *ARMS, store="other_store")
    assert "labels, soft: trained side by side" in caplog.text
    assert [fit.reused for fit in results.fits] == [True, True, True]


def test_one_that_is_left_over_has_all_threads(caplog):
    caplog.set_level("INFO")
    go("run", *ARMS, "+arms.third.loss.temperature=2")
    assert "labels, soft: trained side by side" in caplog.text
    assert "third: training on" in caplog.text


def test_one_that_diverges_is_named_and_leaves_the_other(caplog):
    results = go("run", *ARMS, "+arms.soft.optimizer.lr=1e30")
    assert results.failed["soft"].startswith("soft: the training diverged")
    assert [fit.arm for fit in results.fits] == ["teacher", "labels"]
    with pytest.raises(FitsFailed, match=r"labels: the training diverged(.|\n)*soft: the training diverged"):
        go("both", *ARMS, "optimizer.lr=1e30")


def killed_in(arm: str, monkeypatch: pytest.MonkeyPatch, *, epochs: int = 1) -> None:
    """Let an arm's process be killed after so many epochs."""
    of_train, here = train.fit, os.getpid()

    def fit(name: str, *arguments: Any, **settings: Any) -> Any:
        if name == arm and os.getpid() != here:
            if epochs:
                of_train(name, *arguments, **settings | {"max_epochs": epochs})
            os.kill(os.getpid(), signal.SIGKILL)
        return of_train(name, *arguments, **settings)

    monkeypatch.setattr(train, "fit", fit)


@pytest.mark.parametrize("epochs", [0, 1])
def test_one_that_is_killed_goes_on_with_one_thread_to_the_same_weights(epochs, monkeypatch, caplog):
    caplog.set_level("INFO")
    go("undisturbed", *ARMS, "schedule=constant")
    killed_in("soft", monkeypatch, epochs=epochs)
    killed = go("killed", *ARMS, "schedule=constant")
    assert ("soft: goes on after epoch 1, where it was cut off" in caplog.text) == (epochs > 0)
    assert [fit.threads for fit in killed.fits] == [2, 1, 1]
    assert not any(fit.reused for fit in killed.fits)
    assert torch.get_num_threads() == 2
    assert_same_weights("killed", "undisturbed")
    assert not Store(Path("killed_store")).interrupted()


def test_a_run_cut_off_between_the_ends_of_two_goes_on_to_the_same_weights(monkeypatch, caplog):
    caplog.set_level("INFO")
    go("undisturbed", *ARMS, "schedule=constant")
    with monkeypatch.context() as patched:
        killed_in("soft", patched)
        patched.setattr(obtain, "_obtain_one", stopped(obtain._obtain_one))
        with pytest.raises(KeyboardInterrupt):
            go("cut", *ARMS, "schedule=constant")
    caplog.clear()
    results = go("cut", *ARMS, "schedule=constant")
    assert "labels: reused" in caplog.text
    assert "soft: goes on after epoch 1" in caplog.text
    assert [fit.threads for fit in results.fits] == [2, 1, 1]
    assert_same_weights("cut", "undisturbed")


def stopped(obtain_one: Any) -> Any:
    """Let the run end where it would take the second arm up after its process was killed."""
    here = os.getpid()

    def instead(task: Any, *arguments: Any, **settings: Any) -> Any:
        if os.getpid() == here and task.plan.name == "soft":
            raise KeyboardInterrupt
        return obtain_one(task, *arguments, **settings)

    return instead


def test_a_full_disk_is_told_by_the_run(monkeypatch, capfd):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(obtain, "keep", full)
    with pytest.raises(DiskFull, match="No space left"):
        go("run", *ARMS)
    assert "Traceback" not in capfd.readouterr().err
