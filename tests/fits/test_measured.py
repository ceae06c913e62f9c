"""The logits of students that were trained at once: asked for together, kept with the weights, read by the points."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file, save_file

from kdlab.fits import measured
from kdlab.measure.reopen import measure_again, reopen
from kdlab.pipeline import Ended, run
from kdlab.store import Entry, Store
from kdlab.sweeps.ahead import train_ahead
from kdlab.train import CONFIGS

TINY = (
    "data=blobs", "data.classes=3", "trainer=cpu", "trainer.precision=32-true", "name=x", "model@teacher.net=mlp_4",
    "model@student.net=mlp_4", "teacher.max_epochs=1", "student.max_epochs=2", "data.train_samples=200",
    "data.test_samples=100", "+arms.baseline.targets=truth", "+arms.distilled={}", "figures=false",
    "student.held_out_classes=[1]",
)  # fmt: skip
SWEEP = Path("sweep")


def points(*extra: str) -> list[Any]:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return [compose("train", [*TINY, f"loss.temperature={t}", *extra]) for t in (1, 4)]


def put_together(*extra: str) -> list[Ended]:
    return [run(config, SWEEP / str(number), sweep=SWEEP) for number, config in enumerate(points(*extra))]


def students() -> list[Entry]:
    return [entry for entry in Store(Path("outputs/store")).entries() if entry.metrics()["stack"] > 1]


def samples_kept() -> list[list[int]]:
    return [sorted(map(len, map(logits_in, entry.folder.glob("logits_*")))) for entry in students()]


def logits_in(path: Path) -> torch.Tensor:
    return load_file(path)["logits"]


def test_what_is_kept_is_what_each_network_alone_would_say_bit_for_bit():
    train_ahead(points(), SWEEP)
    assert samples_kept() == [[40, 100]] * 3  # a baseline and two distilled students, on val and test
    assert all(entry.damage() == [] for entry in students())
    for ended, number in zip(put_together(), (0, 1), strict=True):
        stored, context, fits = reopen(SWEEP / str(number))  # which has no store
        assert measure_again(stored, context, fits).rows == ended.results.rows


def test_a_point_reads_what_is_kept():
    train_ahead(points(), SWEEP)
    for entry in students():
        for path in entry.folder.glob("logits_*"):
            with Store(Path("outputs/store")).adding_logits(entry.key, path.stem.removeprefix("logits_")) as scratch:
                save_file({"logits": torch.zeros_like(logits_in(path))}, scratch)
    for ended in put_together():
        for arm in ("baseline", "distilled"):
            assert ended.results.find(arm, "all", "nll").value == pytest.approx(math.log(3))


@pytest.mark.parametrize("fault", [Path.unlink, lambda path: path.write_bytes(b"logits")], ids=["lost", "damaged"])
def test_logits_that_are_lost_or_damaged_are_computed_again_and_cost_no_training(fault, caplog):
    train_ahead(points(), SWEEP)
    sound = {path: path.read_bytes() for entry in students() for path in entry.folder.glob("logits_*")}
    for path in sound:
        fault(path)
    ended = put_together()
    assert "computed again where they are needed" in caplog.text
    assert {path: path.read_bytes() for path in sound} == sound
    assert not any(point.spent for point in ended)
    assert all(fit.stack == 3 for point in ended for fit in point.results.fits[1:])


def test_a_split_that_no_point_measures_is_not_asked_about():
    train_ahead(points("evaluation.splits=[val]"), SWEEP)
    assert samples_kept() == [[40]] * 3


def test_large_logits_are_left_to_the_points(monkeypatch):
    monkeypatch.setattr(measured, "KEPT_BYTES", 4 * 3 * 100)
    train_ahead(points(), SWEEP)
    assert samples_kept() == [[100]] * 3
    put_together()
    assert samples_kept() == [[100]] * 3


def test_networks_are_asked_in_parts_that_fit_into_memory(monkeypatch):
    monkeypatch.setattr(measured, "HELD_BYTES", 1)
    train_ahead(points(), SWEEP)
    assert samples_kept() == [[40, 100]] * 3


def test_a_process_that_only_puts_together_is_not_spent():
    train_ahead(points(), SWEEP)
    assert [(ended.trained, ended.spent) for ended in put_together()] == [(True, False)] * 2
    assert [(ended.trained, ended.spent) for ended in put_together("student.max_epochs=1")] == [(True, True)] * 2
