"""Sweeps by the pool launcher, in real processes: placement, failures of every kind, Ctrl-C, resumption."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kdlab.errors import KdlabError
from kdlab.results import read
from kdlab.sweeps.end import SweepEnd
from kdlab.sweeps.job import Job
from kdlab.sweeps.order import teachers_first

TINY = (
    "-m", "+experiment=dark_knowledge", "data=digits", "data.passes_per_epoch=1", "trainer=cpu",
    "model@teacher.net=mlp_30", "model@student.net=linear", "augment@teacher.augment=none", "teacher.max_epochs=1",
    "student.max_epochs=1", "trainer.stack=off",
)  # fmt: skip
# A loss that records where it runs and, in its first step, does what its argument says.
LOSS = """
import json, os, signal, sys, time
from pathlib import Path
import torch
from kdlab.losses import DistillationLoss

class Loss(DistillationLoss):
    def __init__(self, temperature, alpha, deed, where, soft_loss=None):
        super().__init__(temperature, alpha)
        self.deed, self.where = deed, where

    def forward(self, *, student_logits, **kwargs):
        if len(student_logits) > 2:  # not the check of the config
            place = {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "threads": torch.get_num_threads(),
                     "omp": os.environ.get("OMP_NUM_THREADS"), "pid": os.getpid()}
            written = Path(self.where + "_written", str(os.getpid()))
            written.write_text(json.dumps(place))
            written.replace(Path(self.where, f"{self.deed}_{os.getpid()}.json"))  # whole for who looks meanwhile
            if self.deed == "raise":
                raise RuntimeError("the loss raised")
            if self.deed == "exit":
                sys.exit(3)
            if self.deed == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.deed == "wait":
                time.sleep(600)
        return super().forward(student_logits=student_logits, **kwargs)
"""


@pytest.fixture
def own_loss(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "my_loss.py").write_text(LOSS)
    (tmp_path / "places").mkdir()
    (tmp_path / "places_written").mkdir()
    return ("loss._target_=my_loss.Loss", f"+loss.where={tmp_path / 'places'}")


def sweep_of(folder: Path) -> Path:
    (sweep,) = (folder / "outputs" / "dark_knowledge").iterdir()
    return sweep


def points(sweep: Path) -> list[int]:
    return sorted(int(path.parent.name) for path in sweep.glob("*/results.json"))


def places(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((folder / "places").iterdir())]


def test_a_job_that_raises_exits_is_killed_or_has_a_wrong_config_fails_alone(kdlab_train, tmp_path, own_loss):
    done = kdlab_train(
        *TINY, *own_loss, "+loss.deed=fine,raise,exit,kill", "loss.alpha=0.5,7", "hydra.launcher.slots=2"
    )
    assert done.returncode == 1
    sweep = sweep_of(tmp_path)
    assert points(sweep) == [0, 2]
    why = {i: (sweep / str(i) / "failure.txt").read_text() for i in (1, 2, 4, 6)}
    assert "alpha=7" in why[1]
    assert why[2] == "distilled: failed by RuntimeError: the loss raised\n"
    assert why[4] == "SystemExit: 3\n"
    assert "killed by signal 9" in why[6]
    assert "Traceback" not in done.stderr
    assert "1 finished, 7 failed, 0 unfinished" in done.stdout
    for i, words in {1: "loss.alpha=7: the weight", 2: "the loss raised", 4: "SystemExit", 6: "signal 9"}.items():
        (line,) = [line for line in done.stdout.splitlines() if f"{sweep.name}/{i} [" in line]
        assert words in line
        assert "+loss.deed=" in line
    assert "8/8 done, 0 reused, 7 failed, 0 running" in done.stderr
    # What was finished beside a failed fit is reported.
    assert [fit.arm for fit in read(sweep / "2" / "results.json").fits] == ["teacher", "baseline"]


def test_with_one_slot_a_job_that_raises_or_exits_fails_alone_too(kdlab_train, tmp_path, own_loss):
    done = kdlab_train(*TINY, *own_loss, "+loss.deed=raise,exit,fine", "hydra.launcher.slots=1")
    assert done.returncode == 1
    assert points(sweep_of(tmp_path)) == [0, 2]  # of point 0 teacher and baseline
    assert "1 finished, 2 failed, 0 unfinished" in done.stdout
    assert len({place["pid"] for place in places(tmp_path)}) == 1
    # One line for each point; the rest is in its folder.
    lines = done.stderr.splitlines()
    assert len(lines) == 1 + 3
    assert re.fullmatch(r"point 2 \[.*loss\.deed=fine\]: trained; 3/3 done, 0 reused, 2 failed, .*", lines[-1])
    assert "distilled: training on" in (sweep_of(tmp_path) / "2" / "console.log").read_text()


def test_jobs_are_spread_over_the_gpus_and_share_the_cores(kdlab_train, tmp_path, own_loss):
    done = kdlab_train(
        *TINY, *own_loss, "+loss.deed=fine", "loss.temperature=1,2,3,4", "hydra.launcher.gpus=[3,5]",
        OMP_NUM_THREADS="2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = places(tmp_path)
    assert {place["gpu"] for place in found} == {"3", "5"}
    assert {(place["threads"], place["omp"]) for place in found} == {(1, "1")}
    assert len({place["pid"] for place in found}) == 4  # each in a new process
    assert {read(path).environment["visible_gpus"] for path in sweep_of(tmp_path).glob("*/results.json")} == {"3", "5"}


def test_one_slot_runs_in_process_with_all_threads(kdlab_train, tmp_path, own_loss):
    done = kdlab_train(*TINY, *own_loss, "+loss.deed=fine", "seed=0,1", "hydra.launcher.slots=1", OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    available = min(2, len(os.sched_getaffinity(0)))
    assert {(place["threads"], place["omp"]) for place in places(tmp_path)} == {(available, str(available))}


def test_wrong_settings_are_refused_without_a_traceback(kdlab_train, tmp_path):
    done = kdlab_train(*TINY, "seed=0,1", "hydra.launcher.slots=0")
    assert done.returncode == 1
    assert "hydra.launcher.slots=0: must be auto or an integer of at least 1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("gpus", ["0", "[]"])
def test_gpus_are_a_list_or_auto(kdlab_train, gpus):
    done = kdlab_train(*TINY, "seed=0,1", f"hydra.launcher.gpus={gpus}")
    assert done.returncode == 1
    assert "must be auto or a list such as [0,2]" in done.stderr


def test_a_choice_that_does_not_exist_fails_at_its_own_points(kdlab_train, tmp_path):
    done = kdlab_train(*TINY, "augment@student.augment=none,no_such", "hydra.launcher.slots=2")
    assert done.returncode == 1
    sweep = sweep_of(tmp_path)
    assert points(sweep) == [0]
    assert "Could not find 'augment/no_such'" in (sweep / "1" / "failure.txt").read_text()
    assert "Traceback" not in done.stderr


def test_points_that_would_share_a_folder_are_refused(kdlab_train, tmp_path):
    done = kdlab_train(*TINY, "seed=0,1", "hydra.sweep.subdir=x")
    assert done.returncode == 1
    assert "hydra.sweep.subdir=x: all points would be written into one folder" in done.stderr
    assert not list(tmp_path.rglob("results.json"))


def test_without_test_rows_the_report_is_on_the_split_there_is(kdlab_train, tmp_path):
    done = kdlab_train(*TINY, "evaluation.splits=[val]", "loss.temperature=1,4", "hydra.launcher.slots=2")
    assert done.returncode == 0, done.stderr
    assert (sweep_of(tmp_path) / "report.html").exists()


def test_a_report_that_fails_is_an_error(monkeypatch, tmp_path, caplog):
    for fault in (RuntimeError("a fault"), KdlabError("no room")):
        monkeypatch.setattr("kdlab.report.sweep.write_report", raiser(fault))
        with pytest.raises(SystemExit) as end:
            SweepEnd().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
        assert end.value.code == 1
        assert str(fault) in caplog.text


def raiser(fault):
    def fail(*_):
        raise fault

    return fail


def test_one_point_for_each_teacher_is_started_first():
    of = ["loss.temperature=1", "model@student.net=linear", "+arms.x.seed=3", "optimizer.lr=1"]
    jobs = [
        Job(number, (f"seed={seed}", other), Path())
        for number, (seed, other) in enumerate((s, o) for s in (0, 1, 2) for o in of)
    ]
    assert [job.number for job in teachers_first(jobs)] == [0, 4, 8, 1, 2, 3, 5, 6, 7, 9, 10, 11]
    changing = ["teacher.optimizer.lr=1", "model@teacher.net=mlp_30", "optimizer@teacher.optimizer=adam"]
    jobs = [Job(number, (line,), Path()) for number, line in enumerate(["loss.alpha=0", "loss.alpha=1", *changing])]
    assert [job.number for job in teachers_first(jobs)] == [0, 2, 3, 4, 1]


def test_when_the_fork_server_is_killed_its_jobs_fail_and_the_others_go_on(commands, tmp_path, own_loss):
    arguments = (*TINY, *own_loss, "+loss.deed=wait", "seed=0,1,2", "hydra.launcher.slots=2")
    process = commands.start(*arguments, folder=tmp_path)
    until(lambda: len(places(tmp_path)) == 2)
    jobs = [place["pid"] for place in places(tmp_path)]
    (server,) = {int(stat_of(pid)[1]) for pid in jobs}
    os.kill(server, signal.SIGKILL)
    until(lambda: len(places(tmp_path)) == 3)
    assert not any(map(alive, jobs))
    for number in (0, 1):
        said = (sweep_of(tmp_path) / str(number) / "failure.txt").read_text()
        assert said == "the process that forks the jobs was killed; perhaps out of memory\n"
    process.send_signal(signal.SIGTERM)
    assert "Traceback" not in process.communicate(timeout=30)[1]


def test_several_devices_for_one_fit_are_refused_in_a_sweep(kdlab_train, tmp_path):
    done = kdlab_train(*TINY, "seed=0,1", "trainer.devices=2")
    assert done.returncode == 1
    assert "trainer.devices=2: a sweep gives each of its jobs one device; leave out -m" in done.stdout
    assert points(sweep_of(tmp_path)) == []


def until(condition, seconds=90.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def stat_of(pid: int) -> list[str]:
    """Return the state of a process, the id of its parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def alive(pid: int) -> bool:
    try:
        return stat_of(pid)[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("how", "slots"),
    [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1), (signal.SIGTERM, 2), (signal.SIGKILL, 2)],
)
def test_when_the_launcher_is_stopped_so_are_its_jobs(commands, tmp_path, own_loss, how, slots):
    arguments = (*TINY, *own_loss, "+loss.deed=wait", "seed=0,1", f"hydra.launcher.slots={slots}")
    process = commands.start(*arguments, folder=tmp_path)
    until(lambda: len(list((tmp_path / "places").iterdir())) == slots)
    jobs = [place["pid"] for place in places(tmp_path)]
    assert all(map(alive, jobs))
    process.send_signal(how)
    _, said = process.communicate(timeout=30)
    until(lambda: not any(map(alive, jobs)), 15)
    if how != signal.SIGKILL:
        assert process.returncode == 128 + how
        assert "Interrupted. The same command goes on" in said
        assert "Traceback" not in said
        assert not list((tmp_path / "outputs").rglob("failure.txt"))


def test_the_same_command_goes_on_and_trains_nothing_twice(kdlab_train, tmp_path, own_loss):
    command = (*TINY, *own_loss, "+loss.deed=fine,raise", "seed=0,1", "hydra.launcher.slots=2")
    assert kdlab_train(*command).returncode == 1
    sweep = sweep_of(tmp_path)
    finished = [path for path in sweep.glob("*/results.json") if not read(path).failed]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / "store").glob("*/SHA256SUMS")}
    assert len(finished) == 2
    assert len(kept) == 6  # teacher, baseline and student of two seeds
    (tmp_path / "my_loss.py").write_text(LOSS.replace('"raise"', '"no longer"'))
    again = kdlab_train(*command)
    assert again.returncode == 0
    assert sweep_of(tmp_path) == sweep
    assert points(sweep) == [0, 1, 2, 3]
    assert "4 finished, 0 failed" in again.stdout
    assert not list(sweep.glob("*/failure.txt"))
    # The loss's file is part of its students' keys: these were trained anew, teachers and baselines were not.
    now = (tmp_path / "outputs" / "store").glob("*/SHA256SUMS")
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in now}.items()
    times = {path: path.stat().st_mtime_ns for path in sweep.glob("*/results.json")}
    third = kdlab_train(*command)
    assert "4/4 done, 4 reused, 0 failed" in third.stderr
    assert times == {path: path.stat().st_mtime_ns for path in sweep.glob("*/results.json")}


def test_refresh_trains_each_fit_once_more_and_only_once(kdlab_train, tmp_path):
    command = (*TINY, "loss.temperature=1,2", "hydra.launcher.slots=2")
    assert kdlab_train(*command).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / "store").glob("*/SHA256SUMS")}
    done = kdlab_train(*command, "store.refresh=true")
    assert done.returncode == 0, done.stderr
    sweep = sweep_of(tmp_path)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / "store").glob("*/SHA256SUMS")}
    assert before.keys() == after.keys()
    assert len(after) == 4
    assert all(after[path] > before[path] for path in after)
    fits = [fit for path in sweep.glob("*/results.json") for fit in read(path).fits]
    assert sum(not fit.reused for fit in fits) == 4


def test_without_the_store_nothing_is_kept(kdlab_train, tmp_path):
    done = kdlab_train(*TINY, "loss.temperature=1,2", "store=off", "hydra.launcher.slots=2")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "outputs" / "store").exists()
    fits = [fit for path in sweep_of(tmp_path).glob("*/results.json") for fit in read(path).fits]
    assert not any(fit.reused for fit in fits)


def test_progress_is_one_line_of_counts(kdlab_train):
    done = kdlab_train(*TINY, "loss.temperature=1,2", "hydra.launcher.slots=2")
    lines = [line for line in done.stderr.splitlines() if " done, " in line]
    assert re.fullmatch(r"2/2 done, 0 reused, 0 failed, 0 running, in [\d a-z]+", lines[-1])
