"""A sweep given again: points that were finished before are left as they are, and taken up again where they are not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

SWEEP = (
    "-m", "+experiment=blobs_unseen", "trainer=cpu", "teacher.max_epochs=1", "student.max_epochs=1",
    "data.train_samples=100",
    "data.val_size=0.2", "data.test_samples=200", "optimizer.weight_decay=0,1,2", "trainer.stack=off",
    "hydra.launcher.slots=1", "hydra.sweep.dir=sweep",
)  # fmt: skip
# Shows the numbers of the points whose jobs it sees.
CALLBACK = """
from pathlib import Path
from hydra.experimental.callback import Callback
class Seen(Callback):
    def on_job_end(self, config, **kwargs):
        Path("seen").open("a").write(f"{config.hydra.job.num}")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, train_in_module) -> Path:
    folder = tmp_path_factory.mktemp("made")
    done = train_in_module(*SWEEP, folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A sweep that is finished, and whose files the test may change."""
    return shutil.copytree(made, tmp_path / "copy", copy_function=shutil.copy2)


@pytest.fixture
def again(folder: Path, train_in_module):
    """Give the command again; return what was said."""

    def give(*more: str) -> str:
        done = train_in_module(*SWEEP, *more, folder=folder)
        assert done.returncode == 0, done.stderr
        return done.stderr

    return give


def written(folder: Path) -> dict[Path, int]:
    """Return when each file of the points was written."""
    return {path: path.stat().st_mtime_ns for path in (folder / "sweep").glob("[0-2]/**/*") if path.is_file()}


def run_again(folder: Path, before: dict[Path, int]) -> set[int]:
    """Return the points that had a job, whose console.log is new."""
    points = [path for path, now in written(folder).items() if path.name == "console.log" and before.get(path) != now]
    return {int(path.parent.name) for path in points}


@pytest.mark.parametrize("slots", [1, 2])
def test_points_that_were_finished_before_are_left_as_they_are(folder, again, slots):
    before = written(folder)
    assert "3/3 done, 3 reused, 0 failed" in again(f"hydra.launcher.slots={slots}")
    assert written(folder) == before
    assert "distilled: training on" in (folder / "sweep" / "0" / "console.log").read_text()


def lose_weights(point: Path) -> None:
    (point / "checkpoints" / "distilled.pt").unlink()


def spoil_results(point: Path) -> None:
    (point / "results.json").write_text("{}")


def be_killed_late(point: Path) -> None:
    (point / "failure.txt").write_text("killed by signal 9\n")


def lose_the_record(point: Path) -> None:
    (point / ".hydra" / "overrides.yaml").unlink()


def have_other_data(point: Path) -> None:
    text = (point / "results.json").read_text()
    (point / "results.json").write_text(text.replace('"data": "', '"data": "0', 1))


@pytest.mark.parametrize("fault", [lose_weights, spoil_results, be_killed_late, lose_the_record, have_other_data])
def test_a_point_that_is_not_whole_is_taken_up_again_alone(folder, again, fault: Callable[[Path], None]):
    before = written(folder)
    fault(folder / "sweep" / "1")
    assert "3/3 done, 3 reused, 0 failed" in again()
    assert run_again(folder, before) == {1}
    assert written(folder).keys() == before.keys()


def test_points_with_another_precision_or_older_than_a_refresh_are_taken_up_again(folder, again):
    before = written(folder)
    again("trainer.precision=bf16-mixed")
    assert run_again(folder, before) == {0, 1, 2}
    before = written(folder)
    assert "3/3 done, 0 reused, 0 failed" in again("trainer.precision=bf16-mixed", "store.refresh=true")
    assert run_again(folder, before) == {0, 1, 2}


def test_what_a_job_would_find_in_its_environment_counts(folder, again):
    asked = 'seed="${oc.decode:${oc.env:ASKED,0}}"'
    before = written(folder)
    again(asked)
    assert run_again(folder, before) == {0, 1, 2}
    before = written(folder)
    again(asked)
    assert run_again(folder, before) == set()
    again(asked, "+hydra.job.env_set.ASKED=1")
    assert run_again(folder, before) == {0, 1, 2}


@pytest.mark.parametrize("wish", ["hydra.job.chdir=true", "+hydra.callbacks.seen._target_=seeing.Seen"])
def test_who_wants_to_see_each_job_sees_those_of_finished_points_too(folder, again, wish):
    (folder / "seeing.py").write_text(CALLBACK)
    before = written(folder)
    again(wish)
    assert run_again(folder, before) == {0, 1, 2}
    assert "callbacks" not in wish or (folder / "seen").read_text() == "012"
