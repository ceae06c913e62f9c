"""Training ahead of a sweep: each distinct fit once, in stacks, shared among slots; points find them in the store."""

import os
import signal
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from kdlab.fits import stackable
from kdlab.fits.kept import keep
from kdlab.pipeline import run
from kdlab.results import Results, read
from kdlab.store import Store
from kdlab.sweeps.ahead import _planned, train_ahead
from kdlab.train import CONFIGS

TINY = (
    "data=blobs", "data.classes=3", "trainer=cpu", "trainer.precision=32-true", "name=x", "model@teacher.net=mlp_4",
    "model@student.net=mlp_4", "teacher.max_epochs=1", "student.max_epochs=2", "data.train_samples=200",
    "data.test_samples=100", "+arms.baseline.targets=truth", "+arms.distilled={}", "figures=false",
)  # fmt: skip
GRID = [f"loss.temperature={t} optimizer.lr={lr}".split() for t in (1, 4, 9) for lr in (0.01, 0.03)]


def points(*extra: str, grid: list[list[str]] = GRID) -> list[Any]:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return [compose("train", [*TINY, *point, *extra]) for point in grid]


def stacked() -> dict[str, int]:
    """Return for each fit in the store with how many it was trained."""
    return {entry.key: entry.metrics()["stack"] for entry in Store(Path("outputs/store")).entries()}


def put_together(configs: list[Any]) -> list[Results]:
    return [
        run(config, Path("sweep") / str(number), sweep=Path("sweep")).results for number, config in enumerate(configs)
    ]


def test_the_distinct_fits_of_all_points_are_trained_in_one_stack_after_their_teacher():
    train_ahead(points(), Path("sweep"))
    assert sorted(stacked().values()) == [1] + [8] * 8  # a teacher; two baselines, six distilled students
    fits = [fit for results in put_together(points()) for fit in results.fits]
    claimed = [fit.key for fit in fits if not fit.reused]
    assert sorted(claimed) == sorted(stacked())  # each fit is new in one point, and reused in the others
    assert {fit.key: fit.stack for fit in fits} == stacked()
    assert not list(Path("sweep/.ahead").iterdir())
    assert not (Path("sweep") / "checkpoints").exists()


def test_shares_make_up_the_whole_and_nothing_twice():
    train_ahead(points(), Path("sweep"), share=1, shares=2)
    assert sorted(stacked().values()) == [1] + [4] * 4
    first = stacked()
    train_ahead(points(), Path("sweep"), share=0, shares=2)
    assert sorted(stacked().values()) == [1] + [4] * 8
    assert first.items() <= stacked().items()


def test_how_many_of_the_distinct_fits_are_done_is_told_when_it_changes():
    told: list[tuple[int, int]] = []
    train_ahead(points(), Path("sweep"), share=1, shares=2, tell=lambda *count: told.append(count))
    assert told == [(0, 4), (4, 4)]


def test_one_network_of_each_shape_is_tried_before_its_stack_and_no_more(monkeypatch):
    tried = []
    monkeypatch.setattr(stackable, "_refusal", lambda net, inputs: tried.append(net))
    train_ahead(points(), Path("sweep"))
    assert len(tried) == 1
    assert sorted(stacked().values()) == [1] + [8] * 8


@pytest.mark.parametrize("sample", ["0", "${seed}"], ids=["one_sample", "own_samples"])
def test_several_teachers_each_teach_their_own_students_in_one_stack(sample):
    grid = [[f"seed={seed}", f"data.sample_seed={sample}", f"loss.temperature={t}"] for seed in (0, 1) for t in (1, 4)]
    train_ahead(points(grid=grid), Path("sweep"))
    assert sorted(stacked().values()) == [2] * 2 + [6] * 6
    found = put_together(points(grid=grid))
    assert {fit.key: fit.stack for results in found for fit in results.fits} == stacked()


def test_points_with_samples_of_their_own_find_what_each_finds_alone():
    grid = [[f"seed={seed}", "+arms.posterior.targets=bayes_soft"] for seed in (0, 1, 2)]
    train_ahead(points(grid=grid), Path("sweep"))
    together = put_together(points(grid=grid))
    alone = [run(config, Path("alone")).results for config in points("trainer.stack=off", "store=off", grid=grid)]
    assert {fit.stack for results in together for fit in results.fits} == {3, 9}
    assert {fit.stack for results in alone for fit in results.fits} == {1}
    for one, other in zip(together, alone, strict=True):
        assert [row.value for row in one.rows] == pytest.approx([row.value for row in other.rows], abs=0.01)


def test_other_splits_of_the_same_samples_need_no_memory_for_them():
    (work,) = _planned(points(grid=[[f"data.split_seed={seed}"] for seed in (0, 1)]), Path("sweep"), 0.0)
    data = [fit.plan.data for fits in work.fits.values() for fit in fits.values()]
    assert {it.split_seed for it in data} == {0, 1}
    assert len({it.train.inputs.data_ptr() for it in data}) == len({it.test.inputs.data_ptr() for it in data}) == 1


def kept_weights() -> dict[str, list[float]]:
    return {
        entry.key: torch.cat([value.flatten() for value in torch.load(entry.weights).values()]).tolist()
        for entry in Store(Path("outputs/store")).entries()
    }


@pytest.mark.parametrize("published", [0, 3, 8])
def test_a_stack_cut_off_while_its_fits_are_kept_ends_with_them_bit_for_bit(tmp_path, monkeypatch, published):
    train_ahead(points(), Path("sweep"))
    whole = kept_weights()
    (tmp_path / "outputs").rename(tmp_path / "undisturbed")
    kept: list[str] = []

    def interrupted(plan: Any, fit: Any, store: Store, logits: Any) -> None:
        if fit.record.stack > 1 and len(kept) == published:
            raise KeyboardInterrupt
        keep(plan, fit, store, logits)
        kept.extend([plan.key] if fit.record.stack > 1 else [])

    with monkeypatch.context() as patch:
        patch.setattr("kdlab.fits.obtain.keep", interrupted)
        with pytest.raises(KeyboardInterrupt) if published < 8 else nullcontext():
            train_ahead(points(), Path("sweep"))
    assert len(Store(Path("outputs/store")).entries()) == 1 + published
    train_ahead(points(), Path("sweep"))
    assert kept_weights() == whole
    assert sorted(stacked().values()) == [1] + [8] * 8
    assert Store(Path("outputs/store")).interrupted() == []


def writes_to(name: str) -> list[int]:
    """Return the processes whose output goes to a file of this name."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "fd" / "1").readlink().name == name:
                found.append(int(process.name))
    return found


def test_shares_whose_processes_are_killed_are_taken_up_again_where_they_were(commands, tmp_path):
    grid = (
        "loss.temperature=1,4",
        "+every_arm.optimizer.lr=0.01,0.03",
        "student.max_epochs=30",
        "hydra.launcher.slots=2",
    )
    process = commands.start("-m", "+experiment=blobs_targets", *TINY[:9], "name=x", *grid, folder=tmp_path)
    logs = tmp_path / "outputs" / "x"
    while not any(path.with_name("epoch.ckpt").exists() for path in tmp_path.rglob("stack.json")):
        assert process.poll() is None
        time.sleep(0.01)
    for killed in [*writes_to("ahead_0.log"), *writes_to("ahead_1.log")]:
        os.kill(killed, signal.SIGKILL)
    said = "".join(process.communicate(timeout=120))
    assert ".log was killed; its share is taken up once more" in said
    assert "ahead: \n" not in said
    assert "4/4 done" in said
    assert any("students: goes on after epoch" in path.read_text() for path in logs.rglob("ahead_*.log"))
    assert sorted(set(stacked().values())) == [1, 6]


def test_a_wrong_point_costs_the_others_nothing():
    grid = [["loss.temperature=1"], ["loss.temperature=0"], ["student.max_epochs=none"], ["loss.temperature=4"]]
    train_ahead(points(grid=grid), Path("sweep"))
    assert sorted(stacked().values()) == [1, 3, 3, 3]


@pytest.mark.parametrize("reason", ["trainer.stack=off", "model@student.net=mlp_800"])
def test_what_is_not_stacked_is_left_to_the_points(reason):
    train_ahead(points(reason), Path("sweep"))
    assert stacked() == {}


def test_a_sweep_on_the_command_line_is_trained_ahead_in_its_slots_and_found_again(kdlab_train, tmp_path):
    command = (
        "-m", "+experiment=blobs_targets", *TINY[:9], "data.train_samples=200", "data.test_samples=100", "name=x",
        "loss.temperature=1,4,9", "optimizer.lr=0.01,0.03", "hydra.launcher.slots=2",
    )  # fmt: skip
    done = kdlab_train(*command)
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "outputs" / "x").iterdir()
    logs = [path.read_text() for path in sorted(sweep.glob("ahead_*.log"))]
    assert len(logs) == 2
    assert all("are trained as one stack" in log for log in logs)
    results = [read(sweep / str(number) / "results.json") for number in range(6)]
    assert all(fit.stack > 1 for found in results for fit in found.fits if fit.arm != "teacher")
    again = kdlab_train(*command)
    assert "6/6 done, 6 reused" in again.stderr + again.stdout
    assert "can be trained at once" not in again.stderr + again.stdout


def test_in_one_slot_the_fits_that_are_trained_ahead_are_counted_before_the_points(kdlab_train):
    command = ("-m", "+experiment=blobs_targets", *TINY[:9], "name=x", "loss.temperature=1,4", "hydra.launcher.slots=1")
    said = kdlab_train(*command).stderr.splitlines()
    counts = [line for line in said if line.startswith("ahead: ")]
    fits = sum(stack > 1 for stack in stacked().values())
    assert counts == [f"ahead: 0/{fits} fits trained, {fits} left", f"ahead: {fits}/{fits} fits trained, 0 left"]
