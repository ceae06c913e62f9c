"""Measuring networks, and measuring those of a finished run again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from kdlab.data import download
from kdlab.errors import KdlabError
from kdlab.evaluate import reproduce
from kdlab.pipeline import run
from kdlab.results import Results
from kdlab.train import CONFIGS

SMALL = ["data=blobs", "model@teacher.net=mlp_64", "model@student.net=mlp_4", "optimizer=adam", "trainer=cpu"]
SHORT = ["teacher.max_epochs=2", "student.max_epochs=2", "data.train_samples=200", "data.test_samples=300"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("run")
    arms = ["+arms.plain.targets=truth", "+arms.soft={}", "+model@arms.other.net=mlp_64", "name=small"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(
            "train",
            [*SMALL, *SHORT, *arms, "data.classes=3", "data.held_out_classes=[1]", "evaluation.splits=[train,val,test]",
             "evaluation.cost=true", "+arms.other.held_out_classes=[0]"],
        )  # fmt: skip
    return folder, run(config, folder)[0]


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "results.json"
    path.write_text(path.read_text().replace(old, new))


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kdlab.evaluate", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_finished_run_is_reproduced_row_for_row(finished):
    folder, results = finished
    stored, measured = reproduce(folder)
    assert stored.rows == results.rows
    assert [row for row in stored.rows if row.split != "cost"] == measured.rows


def test_the_command_says_so_and_its_exit_status_too(finished):
    folder, results = finished
    done = command(folder)
    assert done.returncode == 0, done.stderr
    expected = sum(row.split != "cost" for row in results.rows)
    assert f"all {expected} stored rows are reproduced exactly" in done.stdout


def test_weights_or_rows_that_were_changed_are_found_out(finished, tmp_path):
    folder, _ = finished
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", folder, copy], check=True)
    weights = torch.load(copy / "checkpoints" / "soft.pt", weights_only=True)
    weights["layers.logits.bias"] += torch.tensor([3.0, 0.0, 0.0])
    torch.save(weights, copy / "checkpoints" / "soft.pt")
    done = command(copy)
    assert done.returncode == 1
    assert "rows differ from results.json" in done.stdout
    assert "soft test" in done.stdout
    assert "plain" not in done.stdout.split("the first:")[1]


def test_other_splits_can_be_measured_afterwards_without_a_false_alarm(finished, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", finished[0], copy], check=True)
    content = json.loads((copy / "results.json").read_text())
    content["config"]["evaluation"]["splits"] = ["test"]
    content["rows"] = [
        row for row in content["rows"]
        if row["split"] in ("test", "distribution") or (row["metric"], row["correction"]) == ("offset", "prior")
    ]  # fmt: skip
    (copy / "results.json").write_text(json.dumps(content))
    done = command(copy, "--splits", "train", "val")
    assert done.returncode == 0, done.stdout
    assert "stored rows are reproduced exactly" in done.stdout
    assert "Accuracy and errors on the val split" in done.stdout
    assert {row.split for row in reproduce(copy, ["train"])[1].rows} == {"train", "val", "distribution"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "results.json").unlink(), "holds no finished run"),
        (lambda folder: (folder / "results.json").write_text("{"), r"results\.json: not a results\.json"),
        (lambda folder: (folder / "checkpoints" / "soft.pt").unlink(), r"soft\.pt: no such file"),
        (lambda folder: edit(folder, "kdlab.models.MLP", "my_package.Gone"), r"teacher\.net cannot be built"),
        (lambda folder: edit(folder, "kdlab.data.BlobsData", "my_package.Gone"), r"data set cannot be had"),
        (
            lambda folder: edit(folder, '"teachers"', '"pupils"'),
            r"was made by an earlier kdlab, .* run its command",
        ),
    ],
)
def test_a_folder_that_holds_no_finished_run_is_an_error_that_names_the_file(finished, tmp_path, spoil, message):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", finished[0], copy], check=True)
    spoil(copy)
    with pytest.raises(KdlabError, match=message):
        reproduce(copy)


def test_an_error_is_told_without_a_traceback(tmp_path):
    done = command(tmp_path)
    assert done.returncode == 1
    assert "holds no finished run: it has no results.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_fell_back_to_digits_is_measured_on_digits(tmp_path, monkeypatch):
    def fall_silent(*args, **kwargs):
        raise TimeoutError

    monkeypatch.setattr(download, "urlopen", fall_silent)
    monkeypatch.setenv("KDLAB_DATA_DIR", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    short = ["teacher.max_epochs=1", "student.max_epochs=1", "model@teacher.net=linear", "model@student.net=linear"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", ["+experiment=dark_knowledge", "data.fallback=digits", *short])
    results = run(config, tmp_path)[0]
    assert results.dataset == "digits"
    stored, measured = reproduce(tmp_path)
    assert stored.rows == measured.rows


def test_splits_differ_in_their_samples_and_each_arm_has_its_own_unseen_classes(finished):
    _, results = finished
    assert {row.split: row.n for row in results.rows if row.classes == "all" and row.metric == "nll"} == {
        "train": 160, "val": 40, "test": 300
    }  # fmt: skip
    threes = {arm: results.find(arm, "unseen", "errors").n for arm in ("teacher", "soft", "other")}
    labels = json.dumps(threes)
    assert threes["teacher"] == threes["soft"] == results.find("soft", "1", "errors").n, labels
    assert threes["other"] == results.find("other", "0", "errors").n, labels
    assert not results.find("teacher", "all", "errors", "prior")


def test_the_bayes_rule_is_measured_beside_the_networks_and_errs_least_in_expectation(finished):
    _, results = finished
    assert results.find("bayes", "all", "excess_risk").value == 0
    assert results.find("bayes", "all", "bayes_agreement").value == 1
    assert results.find("soft", "all", "excess_risk").value >= 0
    estimate = results.find("bayes", "all", "bayes_error", split="distribution")
    assert estimate.n == 1_000_000
    assert 0 < results.find("bayes", "all", "standard_error", split="distribution").value < 0.01


def test_the_cost_of_a_network_is_its_parameters_its_checkpoint_and_its_time(finished):
    folder, results = finished
    assert results.find("plain", "all", "parameters", split="cost").value == 3 * 4 + 5 * 3
    size = (folder / "checkpoints" / "plain.pt").stat().st_size
    assert results.find("plain", "all", "bytes", split="cost").value == size
    assert 0 < results.find("plain", "all", "latency_ms", split="cost").value < 100
