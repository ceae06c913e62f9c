"""What a run takes from the store: fits, and what a teacher says of the training set."""

import gc
import logging
import weakref
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning import Trainer
from safetensors.torch import load_file, save_file

from kdlab.data import BlobsData
from kdlab.pipeline import run
from kdlab.results import Results
from kdlab.store import SUMS, Entry, Store
from kdlab.train import CONFIGS

BLOBS = (
    "data=blobs", "data.classes=3", "trainer=cpu", "name=x", "model@teacher.net=mlp_4", "model@student.net=mlp_4",
    "teacher.max_epochs=1", "student.max_epochs=2", "data.train_samples=200", "data.test_samples=100",
    "store.folder=store", "figures=false",
)  # fmt: skip


def go(folder: str, *overrides: str, targets: str = "teacher_soft") -> Results:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [*BLOBS, f"+arms.soft.targets={targets}", *overrides])
    return run(config, Path(folder))[0]


def entry_of(results: Results, arm: str) -> Entry:
    (key,) = (fit.key for fit in results.fits if fit.arm == arm)
    return Store(Path("store")).entry(key)


def logits_of(entry: Entry) -> dict[int, Path]:
    """Return the files of logits by the number of samples: 200 to train on, 40 of them for validation, 100 to test."""
    return {len(load_file(path)["logits"]): path for path in entry.folder.glob("logits_*.safetensors")}


def test_a_teachers_logits_are_kept_beside_its_weights_and_listed_with_them():
    entry = entry_of(go("run"), "teacher")
    kept = logits_of(entry)
    assert sorted(kept) == [40, 100, 200]
    assert entry.damage() == []
    assert all(path.name in (entry.folder / SUMS).read_text() for path in kept.values())


def test_a_students_logits_are_not_kept_unless_it_teaches():
    results = go("run", "+arms.pupil.teacher=soft")
    assert logits_of(entry_of(results, "pupil")) == {}
    assert sorted(logits_of(entry_of(results, "soft"))) == [40, 100, 200]


@pytest.mark.parametrize(("samples", "of"), [(200, "soft"), (100, "teacher")])
def test_a_later_run_takes_the_logits_that_are_kept(samples, of):
    entry = entry_of(go("first"), "teacher")
    _, _, key = logits_of(entry)[samples].stem.partition("_")
    with Store(Path("store")).adding_logits(entry.key, key) as path:
        save_file({"logits": torch.zeros(samples, 3)}, path)
    from_the_store, computed = (go(folder, "loss.alpha=1", f"store.folder={store}") for folder, store in (
        ("second", "store"), ("third", "null"),
    ))  # fmt: skip
    assert from_the_store.find(of, "all", "nll") != computed.find(of, "all", "nll")


def test_logits_for_other_test_samples_are_not_taken():
    first = go("first")
    other = go("second", "data.test_samples=101")
    assert entry_of(first, "teacher") == entry_of(other, "teacher")
    assert sorted(logits_of(entry_of(first, "teacher"))) == [40, 100, 101, 200]


def test_an_entry_is_as_old_with_logits_as_without():
    entry = entry_of(go("run", targets="truth"), "teacher")
    before = entry.finished
    go("soft")
    assert logits_of(entry)
    assert entry.finished == before


def test_damaged_logits_are_found_and_redone_and_cost_no_training(caplog):
    first = go("first")
    entry = entry_of(first, "teacher")
    logits = logits_of(entry)[200]
    sound = logits.read_bytes()
    logits.write_bytes(sound[:-1] + b"!")
    assert entry.damage() == [f"{logits.name} does not match {SUMS}"]
    second = go("second", "loss.temperature=2")
    assert logits.name in caplog.text
    assert logits.read_bytes() == sound
    assert [fit.reused for fit in second.fits] == [True, False]
    logits.unlink()
    go("third", "loss.temperature=3")
    assert logits.read_bytes() == sound
    assert entry.damage() == []


def test_logits_that_a_killed_process_did_not_list_are_not_read():
    store, entry = Store(Path("store")), entry_of(go("first", targets="truth"), "teacher")
    (entry.folder / "logits_0.safetensors").write_bytes(b"half")
    assert entry.logits("0") is None
    assert entry.damage() == []
    with store.adding_logits(entry.key, "0") as path:
        path.write_bytes(b"whole")
    assert entry.logits("0")


def test_logits_of_given_weights_are_kept_too():
    trained = go("first", "store=off")
    given = go("second", "teacher.checkpoint=first/checkpoints/teacher.pt")
    entry = entry_of(given, "teacher")
    assert logits_of(entry)
    assert entry.damage() == []
    assert given.find("teacher", "all", "nll") == trained.find("teacher", "all", "nll")
    again = go("third", "teacher.checkpoint=first/checkpoints/teacher.pt", "loss.temperature=2")
    assert [fit.reused for fit in again.fits] == [True, False]


@pytest.mark.parametrize(("factor", "warned"), [(1, False), (-1, True)])
def test_given_weights_are_measured_before_anything_is_trained_and_warned_of_where_they_are_poor(
    caplog, factor, warned
):
    caplog.set_level(logging.INFO, "kdlab")
    means = BlobsData(classes=3).means.float()  # the Bayes rule is a linear network
    Path("weights").mkdir()
    state = {"layers.logits.weight": factor * means, "layers.logits.bias": torch.zeros(3)}
    torch.save(state, "weights/linear.pt")
    go("run", "model@teacher.net=linear", "teacher.checkpoint=weights/linear.pt", "store=off")
    said = [record.getMessage() for record in caplog.records]
    (measured,) = (i for i, line in enumerate(said) if "of the 40 val samples" in line)
    assert measured < next(i for i, line in enumerate(said) if line.startswith("soft: training"))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("nearer to guessing (33.3 %)" in line for line in warnings) == warned


def test_writing_over_the_weights_of_a_run_damages_neither_the_store_nor_another_run():
    first, _ = go("first"), go("second")
    for name in ("teacher", "soft"):
        before = Path(f"second/checkpoints/{name}.pt").read_bytes()
        torch.save({}, f"first/checkpoints/{name}.pt")
        assert entry_of(first, name).damage() == []
        assert Path(f"second/checkpoints/{name}.pt").read_bytes() == before


@pytest.mark.parametrize(("stack", "trainers"), [("off", 3), ("auto", 2)])
def test_a_fit_leaves_no_trainer_behind_for_the_next(monkeypatch, stack, trainers):
    earlier: list[weakref.ref] = []
    alive = []
    begin = Trainer.__init__

    def noted(self, *arguments, **named):
        gc.collect()
        alive.extend(trainer for trainer in earlier if trainer())
        earlier.append(weakref.ref(self))
        begin(self, *arguments, **named)

    monkeypatch.setattr(Trainer, "__init__", noted)
    go("run", "+arms.again.seed=1", f"trainer.stack={stack}")
    assert len(earlier) == trainers
    assert alive == []
