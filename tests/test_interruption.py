"""SIGKILL at any moment, then the same command again: the outcome is that of an undisturbed run, bit for bit.

KDLAB_KILLS=20 python -m pytest tests/test_interruption.py     kills the sweep as often as that
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from kdlab.fits.processes import can_fork
from kdlab.results import read
from kdlab.store import Store
from tests.commands import Command

KILLS = int(os.environ.get("KDLAB_KILLS", "4"))
RUN = (
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "model@teacher.net=mlp_64", "model@student.net=mlp_30",
    "teacher.max_epochs=20", "student.max_epochs=20", "student.net.hidden_dropout=0.2",
    "augment@student.augment=jitter", "student.patience=30", "data.passes_per_epoch=3", "figures=false",
)  # fmt: skip
SIDE_BY_SIDE = (
    "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "model@teacher.net=mlp_64",
    "model@student.net=cnn_mnist_student", "teacher.max_epochs=1", "student.max_epochs=12", "figures=false",
)  # fmt: skip
SWEEP = (
    "-m", "+experiment=dark_knowledge", "data=digits", "trainer=cpu", "data.passes_per_epoch=1",
    "model@teacher.net=mlp_64", "model@student.net=mlp_30", "teacher.max_epochs=8", "student.max_epochs=10",
    "loss.temperature=1,20", "seed=0,1", "hydra.launcher.slots=2",
)  # fmt: skip


Start = Callable[..., Command]


@pytest.fixture
def start(commands) -> Start:
    def started(folder: Path, *arguments: str) -> Command:
        folder.mkdir(exist_ok=True)
        return commands.start(*arguments, folder=folder)

    return started


def wait_for(process: Command | subprocess.Popen[bytes], condition) -> bool:
    """Wait until the condition holds; False where the process ended before."""
    while not condition():
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return True


def store_of(folder: Path) -> Store:
    return Store(folder / "outputs" / "store")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{entry.key} {name}": value
        for entry in store_of(folder).entries()
        for name, value in torch.load(entry.weights, weights_only=True).items()
    }


def curves(folder: Path) -> dict[str, list[str]]:
    """Return the curves, less how fast the fits were."""
    return {
        entry.key: [line for line in entry.curve.read_text().splitlines() if "samples_per_second" not in line]
        for entry in store_of(folder).entries()
    }


def assert_same_fits(folder: Path, undisturbed: Path) -> None:
    found, expected = weights(folder), weights(undisturbed)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert curves(folder) == curves(undisturbed)
    assert not any(entry.damage() for entry in store_of(folder).entries())
    assert store_of(folder).interrupted() == []


@pytest.mark.timeout(600)
def test_a_run_killed_at_several_moments_ends_with_the_weights_of_one_that_was_not(start, tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    assert start(undisturbed, *RUN).wait() == 0
    moments = random.Random(0)
    for fit in range(3):  # teacher, baseline, distilled: each is killed once it has left a checkpoint, and a bit later
        process = start(disturbed, *RUN)
        store = store_of(disturbed)
        under_way = wait_for(
            process,
            lambda fit=fit, store=store: (
                len(store.entries()) > fit
                or (len(store.entries()) == fit and any((path / "epoch.ckpt").exists() for path in store.interrupted()))
            ),
        )
        assert under_way
        time.sleep(moments.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not list(disturbed.rglob("results.json"))
    assert start(disturbed, *RUN).wait() == 0
    logs = "".join(path.read_text() for path in disturbed.rglob("train.log"))
    assert logs.count("goes on after epoch") == 3
    assert_same_fits(disturbed, undisturbed)
    (rows,), (expected,) = ([read(path).rows for path in f.rglob("results.json")] for f in (disturbed, undisturbed))
    assert rows == expected


@pytest.mark.skipif(not can_fork(), reason="students train side by side on Linux alone, and without a GPU")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", ["all are killed", "one is killed", "Ctrl-C"])
def test_students_side_by_side_that_are_interrupted_end_with_the_weights_of_those_that_were_not(
    what, trained_side_by_side, tmp_path
):
    process, store = with_two_threads(tmp_path, *SIDE_BY_SIDE), store_of(tmp_path)
    assert wait_for(
        process,
        lambda: len(store.entries()) == 1 and all((path / "epoch.ckpt").exists() for path in students_of(store)),
    )
    if what == "one is killed":
        os.kill(processes_of(process.pid)[1], signal.SIGKILL)
        assert process.wait() == 0
    else:
        os.killpg(process.pid, signal.SIGINT if what == "Ctrl-C" else signal.SIGKILL)
        assert process.wait() == (130 if what == "Ctrl-C" else -signal.SIGKILL)
        assert wait_for_end_of(process.pid)
        assert with_two_threads(tmp_path, *SIDE_BY_SIDE).wait() == 0
    log = (tmp_path / "log").read_text()
    assert "goes on after epoch" in log
    assert log.count("Interrupted.") == (what == "Ctrl-C")
    assert "Traceback" not in log
    assert_same_fits(tmp_path, trained_side_by_side)


@pytest.fixture(scope="module")
def trained_side_by_side(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose students were trained side by side, undisturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert with_two_threads(folder, *SIDE_BY_SIDE).wait() == 0
    assert "baseline, distilled: trained side by side" in (folder / "log").read_text()
    return folder


def with_two_threads(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own, since torch reads the number of threads when it starts."""
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "kdlab.train", *arguments], cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "2"},
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def students_of(store: Store) -> list[Path]:
    """Return the folders of the two students under way; one that does not exist while there are fewer."""
    return store.interrupted() if len(store.interrupted()) == 2 else [Path("none")]


def wait_for_end_of(session: int) -> bool:
    """Wait until no process of a command is left; False where one goes on for long."""
    end = time.monotonic() + 20
    while processes_of(session) and time.monotonic() < end:
        time.sleep(0.05)
    return not processes_of(session)


def table(folder: Path) -> str:
    """The report's table and what it says before it, where it was written."""
    (page,) = folder.rglob("report.md")
    return page.read_text()


def processes_of(session: int) -> list[int]:
    """Return the ids of all processes of a command: its launcher, fork server and jobs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[3]) == session:
                found.append(int(path.parent.name))
    return sorted(found)


def kill(process: Command, what: str, moments: random.Random) -> None:
    """Kill a command's first process, all of them, or any other; what another's end leaves goes on to its own end."""
    if what == "group":
        os.killpg(process.pid, signal.SIGKILL)
    elif what == "launcher":
        process.send_signal(signal.SIGKILL)
    else:
        with suppress(ProcessLookupError):
            os.kill(moments.choice(processes_of(process.pid)[1:] or [process.pid]), signal.SIGKILL)


@pytest.mark.timeout(60 + 60 * KILLS)
def test_a_sweep_killed_at_random_moments_ends_with_the_table_of_one_that_was_not(start, tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    began = time.monotonic()
    assert start(undisturbed, *SWEEP).wait() == 0
    duration = time.monotonic() - began
    moments = random.Random(1)
    kills = 0
    while kills < KILLS:
        process = start(disturbed, *SWEEP)
        while process.poll() is None and kills < KILLS:
            with suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0, 0.8 * duration))
                break
            # The jobs have to notice the end of the launcher, and the launcher that of a job.
            what = ("group", "launcher", "job")[kills % 3]
            kill(process, what, moments)
            kills += 1
            if what != "job":
                process.wait()
        if process.wait() == 0:  # it came to its end: begin another, since that is no place for a kill
            (disturbed / "outputs").rename(tmp_path / f"finished_{len(list(tmp_path.iterdir()))}")
    assert start(disturbed, *SWEEP).wait() == 0

    for ended in (disturbed, *tmp_path.glob("finished_*")):
        outputs = ended / "outputs" if ended == disturbed else ended
        assert table(outputs) == table(undisturbed / "outputs")
        assert len(list(outputs.rglob("results.json"))) == 4
    assert_same_fits(disturbed, undisturbed)
    assert len(store_of(disturbed).entries()) == 2 + 2 + 4
    assert files_of(disturbed) == files_of(undisturbed)


def files_of(folder: Path) -> set[str]:
    """Return all files by name, less the times in the names of event files, locks, and a file of Lightning's logger."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if ".locks" not in path.parts}
    names = {name for name in names if not name.endswith("hparams.yaml")}  # empty, and lost where a fit was resumed
    return {re.sub(r"tfevents\..*", "tfevents", name) for name in names}
