"""The command line, in real processes: quick, clear about mistakes, clean on Ctrl-C, the same from a wheel."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from kdlab.results import read

REPOSITORY = Path(__file__).resolve().parent.parent
TINY = (
    "data=digits", "model@teacher.net=mlp_30", "model@student.net=linear", "augment@teacher.augment=none",
    "teacher.max_epochs=1", "student.max_epochs=1",
)  # fmt: skip


def results_of(folder: Path) -> list[Path]:
    return sorted((folder / "outputs").rglob("results.json"))


@pytest.mark.parametrize("flag", [["--cfg", "job"], ["--help"], ["--info", "defaults"], ["data.batch_size=0"]])
def test_looking_at_the_config_or_a_typing_error_imports_neither_torch_nor_lightning(tmp_path, flag):
    script = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print('HEAVY', sorted({'torch', 'lightning', 'sklearn'} & set(sys.modules))))\n"
        f"sys.argv = ['kdlab.train', '+experiment=dark_knowledge', *{flag}]\n"
        "runpy.run_module('kdlab.train', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "HEAVY []" in done.stdout, done.stderr
    assert "temperature" in done.stdout or flag != ["--cfg", "job"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["+experiment=dark_knowlege"], ["experiment/dark_knowlege", "dark_knowledge"]),
        (["data=minst"], ["data/minst", "digits", "mnist"]),
        (["+experiment=dark_knowledge", "loss.temprature=4"], ["temprature"]),
        (["+experiment=dark_knowledge", "loss.temperature=0", "seed=x"], ["loss.temperature=0", "seed=x"]),
        (["+experiment=dark_knowledge", "name=../../x", "seed=${oops}"], ["seed=${oops}: cannot be resolved"]),
        (["+experiment=dark_knowledge", "data=null"], ["data=null: data is a group", "digits"]),
        (["+experiment=dark_knowledge", "data.held_out_classes=[10]"], ["held_out_classes=10", "0 to 9"]),
    ],
)
def test_a_mistake_is_answered_with_what_is_wrong_and_no_traceback(kdlab_train, tmp_path, arguments, words):
    done = kdlab_train(*arguments)
    assert done.returncode == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert "Results go to" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_corrupt_file_is_answered_with_its_name_and_no_traceback(kdlab_train, tmp_path, mnist_folder):
    (mnist_folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(b"")
    done = kdlab_train("+experiment=dark_knowledge", f"data.root={mnist_folder}")
    assert done.returncode == 1
    assert "t10k-labels-idx1-ubyte is truncated or corrupt" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_cleanly(commands, tmp_path):
    command = commands.start("+experiment=dark_knowledge", "data=digits", "teacher.max_epochs=1000", folder=tmp_path)
    while "teacher: training on" not in command.stderr():
        assert command.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    command.send_signal(signal.SIGINT)
    _, seen = command.communicate(timeout=30)
    assert command.returncode == 130
    assert "Interrupted" in seen
    assert "Traceback" not in seen
    assert results_of(tmp_path) == []
    assert not list(tmp_path.rglob("*.pt"))


def test_two_runs_give_identical_rows_another_seed_others_and_arms_are_fair(kdlab_train, tmp_path):
    for seed in (0, 0, 1):
        done = kdlab_train(
            "+experiment=dark_knowledge", *TINY, f"seed={seed}", "+arms.same.loss.alpha=0", "store=off",
            "figures=false", "+every_arm.optimizer.lr=0.03",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    first, again, other = map(read, results_of(tmp_path))
    assert first.rows == again.rows
    assert [fit.key for fit in first.fits] == [fit.key for fit in again.fits]
    assert first.rows != other.rows
    # A student on labels alone by way of the distillation loss is the baseline: same initial weights, same batches.
    rows_of = {arm: [replace(row, arm="") for row in first.rows if row.arm == arm] for arm in ("baseline", "same")}
    assert rows_of["baseline"] == rows_of["same"]
    assert not {fit.key for fit in first.fits} & {fit.key for fit in other.fits}


def test_multirun_sweeps_the_students_and_leaves_teacher_and_baseline_as_they_are(kdlab_train, tmp_path):
    done = kdlab_train("-m", "+experiment=dark_knowledge", *TINY, "loss.temperature=1,20")
    assert done.returncode == 0, done.stderr
    cold, hot = map(read, results_of(tmp_path))
    keys = [[fit.key for fit in run.fits] for run in (cold, hot)]
    assert keys[0][:2] == keys[1][:2]
    assert keys[0][2] != keys[1][2]
    arms = [[row for row in run.rows if row.arm != "distilled"] for run in (cold, hot)]
    assert arms[0] == arms[1]
    assert cold.find("distilled", "all", "nll") != hot.find("distilled", "all", "nll")


USER_FILES = {
    "my_conf/experiment/mine.yaml": (
        "# @package _global_\n"
        "defaults:\n  - override /data: half\n  - override /model@student.net: tiny\n"
        "name: mine\nteacher: {max_epochs: 1}\nstudent: {max_epochs: 1}\n"
        "arms:\n  plain: {targets: truth}\n"
        "  wide: {net: {_target_: kdlab.models.MLP, inputs: 784, widths: [20], outputs: 10}}\n"
    ),
    "my_conf/data/half.yaml": "_target_: my_data.Half\nheld_out_classes: [seven]\nval_size: 0\n",
    "my_conf/model/tiny.yaml": "_target_: my_data.tiny\n",
    "my_data.py": (
        "from torch import nn\nfrom kdlab.data import DigitsData\n\n"
        "class Half(DigitsData):\n"
        "    name = 'half'\n"
        "    class_names = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')\n\n"
        "def tiny():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
    ),
}


def test_the_wheel_runs_elsewhere_with_the_users_own_experiment_model_and_data(kdlab_train, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", REPOSITORY],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = (tmp_path / "dist").iterdir()
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel],
        check=True, capture_output=True,
    )  # fmt: skip
    home = tmp_path / "home"
    for name, text in USER_FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)

    path = os.pathsep.join([str(site), str(home)])
    where = [sys.executable, "-c", "import kdlab.train; print(kdlab.train.CONFIGS)"]
    found = subprocess.run(where, cwd=home, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert found.stdout.strip() == str(site / "kdlab" / "conf")

    done = kdlab_train("--config-dir", "my_conf", "+experiment=mine", folder=home, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    (file,) = results_of(home)
    assert file.is_relative_to(home / "outputs" / "mine")
    results = read(file)
    assert (results.dataset, results.held_out_classes) == ("half", [7])
    assert results.environment["command"] == f"python -m kdlab.train --config-dir {home / 'my_conf'} +experiment=mine"
    assert "half" in (file.parent / "report.html").read_text()
    assert {fit.arm: fit.parameters for fit in results.fits}["plain"] == 7850
    assert {fit.arm: fit.parameters for fit in results.fits}["wide"] == 785 * 20 + 210
    weights = torch.load(file.parent / "checkpoints" / "plain.pt", weights_only=True)
    assert set(weights) == {"1.weight", "1.bias"}
