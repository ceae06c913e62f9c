"""The split of several seeds' NLL into bias and variance: exact, and of real runs."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from kdlab.measure.bias_variance import split_nll

TINY = ("+experiment=dark_knowledge", "+debug=tiny", "trainer=cpu", "figures=false")


def test_bias_and_variance_add_up_to_the_mean_nll():
    logits = 3 * torch.randn(4, 50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(50) % 6
    found = split_nll(logits, labels)
    each = [float(F.cross_entropy(of_seed, labels)) for of_seed in logits]
    assert found.nll == pytest.approx(sum(each) / 4, rel=1e-12)
    assert found.bias + found.variance == pytest.approx(found.nll, rel=1e-12)
    assert 0 < found.bias < min(each)


def test_networks_that_say_the_same_have_no_variance_whatever_their_logits_offsets():
    logits = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(1)).repeat(3, 1, 1)
    labels = torch.zeros(20, dtype=torch.long)
    found = split_nll(logits + torch.tensor([0.0, 5.0, -7.0]).view(3, 1, 1), labels)
    assert found.variance == pytest.approx(0, abs=1e-9)
    assert found.bias == pytest.approx(float(F.cross_entropy(logits[0], labels)), rel=1e-5)


def evaluate(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kdlab.evaluate", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_sweep_over_seeds_is_split_on_the_command_line_and_another_is_refused(kdlab_train, tmp_path):
    fixed = ("data=digits", "model@teacher.net=mlp_4", "model@student.net=mlp_4")
    ended = kdlab_train("-m", *TINY, *fixed, "seed=0,1", "hydra.sweep.dir=seeds")
    assert ended.returncode == 0, ended.stderr
    done = evaluate(Path("seeds"))
    assert done.returncode == 0, done.stderr
    with Path("seeds/bias_variance.csv").open(newline="") as file:
        lines = {(line["arm"], line["classes"]): line for line in csv.DictReader(file)}
    assert set(lines) == {(arm, of) for arm in ("teacher", "baseline", "distilled") for of in ("all", "seen", "unseen")}
    of_all = {part: float(lines["distilled", "all"][part]) for part in ("nll", "bias", "variance")}
    assert of_all["bias"] + of_all["variance"] == pytest.approx(of_all["nll"])
    assert "baseline" in done.stdout

    kdlab_train("-m", *TINY, *fixed, "loss.temperature=1,2", "hydra.sweep.dir=others")
    refused = evaluate(Path("others"))
    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        "others: its runs differ in loss.temperature; give a run, or a sweep over seeds alone"
    )
