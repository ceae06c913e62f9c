"""The founding works' grid, in small: what it costs, what it ends with, and what a second one costs."""

import csv
import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kdlab.results import read
from kdlab.store import Store

GRID = (
    "-m", "+experiment=dark_knowledge", "data=digits", "data.passes_per_epoch=1", "trainer=cpu",
    "model@teacher.net=mlp_64", "model@student.net=mlp_30", "teacher.max_epochs=2", "student.max_epochs=2",
    "loss.temperature=1,4", "loss.alpha=0.1,0.9", "+every_arm.optimizer.lr=0.01,0.05", "seed=0,1",
    "hydra.launcher.slots=2",
)  # fmt: skip
POINTS, TEACHERS, BASELINES = 2 * 2 * 2 * 2, 2, 2 * 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grid")


@pytest.fixture(scope="module")
def first(folder, train_in_module):
    done = train_in_module(*GRID, folder=folder)
    assert done.returncode == 0, done.stderr
    return done


def sweep_of(folder: Path) -> Path:
    (sweep,) = folder.glob("outputs/dark_knowledge/sweep_*")
    return sweep


@pytest.mark.timeout(600)
def test_it_trains_one_teacher_for_each_seed_and_one_baseline_for_each_lr_and_seed(first, folder):
    runs = [read(path) for path in sweep_of(folder).glob("*/results.json")]
    assert len(runs) == POINTS
    trained = [(fit.arm, fit.key) for run in runs for fit in run.fits if not fit.reused]
    assert len(trained) == len(set(trained))
    counts = {arm: sum(name == arm for name, _ in trained) for arm in ("teacher", "baseline", "distilled")}
    assert counts == {"teacher": TEACHERS, "baseline": BASELINES, "distilled": POINTS}
    assert len(Store(folder / "outputs" / "store").entries()) == TEACHERS + BASELINES + POINTS


def test_it_ends_with_a_report(first, folder):
    assert f"{POINTS} finished, 0 failed, 0 unfinished" in first.stdout
    assert re.search(r"distilled: .*of 8 points .*by validation .* of the seen classes", first.stdout)
    with (sweep_of(folder) / "report" / "fits.csv").open(newline="") as file:
        fits = list(csv.DictReader(file))
    distilled = [fit for fit in fits if fit["arm"] == "distilled"]
    swept = {
        (fit["loss.temperature"], fit["loss.alpha"], fit["every_arm.optimizer.lr"], fit["seed"]) for fit in distilled
    }
    assert len(swept) == POINTS == len(fits) - TEACHERS - BASELINES


def test_tensorboard_has_one_run_for_each_fit_with_its_curve_and_its_line_of_hyperparameters(first, folder):
    boards = sorted(path for path in (sweep_of(folder) / "tensorboard").iterdir() if path.is_dir())
    assert len(boards) == TEACHERS + BASELINES + POINTS
    lines = []
    for board in boards:
        curve = EventAccumulator(str(board)).Reload()
        assert [event.step for event in curve.Scalars("val/accuracy_seen")] == [1, 2]
        assert {"test/accuracy", "test/accuracy_unseen", "test/errors"} <= set(curve.Tags()["scalars"])
        content = curve.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        lines.append((board.name.partition("_")[0], content))
    assert sum(b"temperature" in content for _, content in lines) == POINTS  # a baseline has none
    assert all(b"seed" in content and b"lr" in content for _, content in lines)


def test_the_same_command_again_trains_nothing_and_changes_nothing(first, folder, train_in_module):
    def contents() -> dict[Path, int]:
        points = [path for path in sweep_of(folder).glob("[0-9]*/**/*") if path.is_file()]
        return {path: path.stat().st_mtime_ns for path in [*(folder / "outputs" / "store").glob("*/*"), *points]}

    before = contents()
    done = train_in_module(*GRID, folder=folder)
    assert done.returncode == 0, done.stderr
    assert f"{POINTS}/{POINTS} done, {POINTS} reused, 0 failed" in done.stderr
    assert contents() == before


def test_a_single_run_afterwards_reuses_the_sweeps_fits(first, folder, train_in_module):
    single = [argument.replace("1,4", "4").replace("0.1,0.9", "0.9") for argument in GRID[1:-1]]
    single = [argument.replace("0.01,0.05", "0.05").replace("seed=0,1", "seed=1") for argument in single]
    done = train_in_module(*single, "figures=false", folder=folder)
    assert done.returncode == 0, done.stderr
    (path,) = [path for path in folder.rglob("results.json") if "sweep_" not in str(path)]
    run = read(path)
    assert all(fit.reused for fit in run.fits)
    assert {board.name for board in (path.parent / "tensorboard").iterdir()} == {"teacher", "baseline", "distilled"}
    same = [read(other) for other in sweep_of(folder).glob("*/results.json")]
    assert any(other.rows == run.rows for other in same)
