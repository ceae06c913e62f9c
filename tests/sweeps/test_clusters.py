"""The presets for Ray, run on a local Ray that believes in two GPUs, and for SLURM, run on a stand-in."""

import re
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from kdlab.results import read
from kdlab.train import CONFIGS

pytest.importorskip("ray", reason="needs kdlab[ray]")
pytest.importorskip("submitit", reason="needs kdlab[slurm]")

TINY = (
    "-m", "+experiment=dark_knowledge", "data=digits", "data.passes_per_epoch=1", "trainer=cpu",
    "model@teacher.net=mlp_30", "model@student.net=linear", "augment@teacher.augment=none", "teacher.max_epochs=1",
    "student.max_epochs=1",
)  # fmt: skip


def runs_of(folder: Path):
    return [read(path) for path in sorted(folder.glob("outputs/dark_knowledge/sweep_*/*/results.json"))]


@pytest.mark.timeout(400)
def test_a_local_ray_runs_each_point_on_its_own_gpu_with_one_thread(kdlab_train, tmp_path):
    local = ("hydra/launcher=ray_gpu", "hydra.launcher.ray.init.num_gpus=2", "hydra.launcher.ray.init.num_cpus=2")
    done = kdlab_train(*TINY, *local, "loss.temperature=1,2,0", RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    runs = runs_of(tmp_path)
    assert len(runs) == 2, done.stderr[-2000:]
    assert {run.environment["visible_gpus"] for run in runs} == {"0", "1"}
    assert {run.environment["threads"] for run in runs} == {1}
    # One teacher and one baseline for all, though the jobs ran side by side.
    assert sum(not fit.reused for run in runs for fit in run.fits) == 2 + 2
    assert done.returncode == 1
    assert "2 finished, 1 failed, 0 unfinished" in done.stdout
    assert "loss.temperature=0" in done.stdout


def test_the_ray_preset_tells_an_existing_cluster_nothing_that_it_refuses():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        overrides = ["+experiment=dark_knowledge", "hydra/launcher=ray_gpu", "hydra.launcher.ray.init.address=auto"]
        config = compose("train", overrides, return_hydra_config=True)
    ray = OmegaConf.to_container(config.hydra.launcher.ray)
    told = {key: value for key, value in ray["init"].items() if value is not None}
    assert told == {"address": "auto"}
    assert "object_store_memory" in ray["init"]  # otherwise the plugin adds a value
    assert ray["remote"] == {"num_gpus": 1, "num_cpus": 1, "max_calls": 1}


# A stand-in for SLURM: `sbatch` runs the elements of the array one after the other, in the environment of `srun`.
SBATCH = """#!{python}
import os, pathlib, re, subprocess, sys
script = pathlib.Path(sys.argv[1])
text = script.read_text()
if sys.argv[2:] != ["run"]:
    pathlib.Path({record!r}).write_text(text)
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    subprocess.Popen([sys.executable, __file__, str(script), "run"], start_new_session=True, **quiet)
    print("Submitted batch job 77")
    sys.exit()
count = int(re.search(r"--array=.?0-(\\d+)", text).group(1)) + 1
for i in range(count):
    job = {{"SLURM_JOB_ID": str(100 + i), "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": str(i)}}
    job |= {{"SLURM_CPUS_PER_TASK": "1", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0", "SLURM_PROCID": "0"}}
    job |= {{"SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "here"}}
    subprocess.run(["bash", str(script)], env=os.environ | job)
pathlib.Path({record!r} + ".done").touch()
"""
SRUN = '#!/bin/bash\nwhile [[ "$1" != *python* ]]; do shift; done\nexec "$@"\n'
SACCT = """#!/bin/bash
state=RUNNING; [ -f {record}.done ] && state=COMPLETED
echo "JobID|State|NodeList"; for i in 0 1 2 3; do echo "77_$i|$state|here"; done
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the stand-in on the PATH; return the file in which `sbatch` records its script."""
    tools, record = tmp_path / "bin", tmp_path / "submitted.sh"
    tools.mkdir()
    sbatch = SBATCH.format(python=sys.executable, record=str(record))
    for name, text in {"sbatch": sbatch, "srun": SRUN, "sacct": SACCT.format(record=record)}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    return record


@pytest.mark.timeout(400)
def test_slurm_gets_one_array_with_a_gpu_for_each_job_and_the_report_follows(kdlab_train, tmp_path, slurm):
    done = kdlab_train(
        *TINY, "hydra/launcher=slurm", "loss.temperature=1,0", "hydra.launcher.partition=gpu",
        "hydra.launcher.timeout_min=90",
    )  # fmt: skip
    submitted = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", slurm.read_text(), flags=re.M))
    assert submitted["array"].strip("'") == "0-1%2"
    expected = {
        "gpus-per-node": "1",
        "partition": "gpu",
        "time": "90",
        "cpus-per-task": "4",
        "job-name": "dark_knowledge",
    }
    assert expected.items() <= submitted.items()
    runs = runs_of(tmp_path)
    assert [run.config["loss"]["temperature"] for run in runs] == [1], done.stderr[-2000:]
    assert {run.environment["threads"] for run in runs} == {1}
    assert done.returncode == 1
    assert "1 finished, 1 failed, 0 unfinished" in done.stdout
