"""Measuring networks, and measuring those of a finished run again."""

import json
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hydra import compose, initialize_config_dir

from kdlab.data import download
from kdlab.errors import KdlabError
from kdlab.evaluate import main, reproduce
from kdlab.pipeline import run
from kdlab.results import InvalidResults, Results
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


@pytest.fixture
def copy(finished: tuple[Path, Results], tmp_path: Path) -> Path:
    """A copy of the finished run, to be spoilt."""
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "results.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


class Ended(NamedTuple):
    status: str | int | None
    said: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run the command as a user would, in this process; a status that is a text is said on stderr."""

    def evaluate(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(ended.value.code, capsys.readouterr().out)

    return evaluate


def test_a_finished_run_is_reproduced_row_for_row(finished):
    folder, results = finished
    stored, measured = reproduce(folder)
    assert stored.rows == results.rows
    assert [row for row in stored.rows if row.split != "cost"] == measured.rows


def test_the_command_says_so_and_its_exit_status_too(finished, command):
    folder, results = finished
    expected = sum(row.split != "cost" for row in results.rows)
    status, said = command(folder)
    assert status == 0
    assert f"all {expected} stored rows are reproduced exactly" in said


def test_weights_or_rows_that_were_changed_are_found_out(copy, command):
    weights = torch.load(copy / "checkpoints" / "soft.pt", weights_only=True)
    weights["layers.logits.bias"] += torch.tensor([3.0, 0.0, 0.0])
    torch.save(weights, copy / "checkpoints" / "soft.pt")
    status, said = command(copy)
    assert status == 1
    assert "rows differ from results.json" in said
    assert "soft test" in said
    assert "plain" not in said.split("the first:")[1]


@pytest.mark.parametrize(
    ("of_run", "asked"), [(["test"], ["train", "val"]), (["val", "test"], ["train"]), (["val", "test"], ["test"])]
)
def test_other_splits_can_be_measured_afterwards_without_a_false_alarm(copy, command, of_run, asked):
    def leave(content):
        content["config"]["evaluation"]["splits"] = of_run
        content["rows"] = [
            row for row in content["rows"]
            if row["split"] in (*of_run, "distribution") or (row["metric"], row["correction"]) == ("offset", "prior")
        ]  # fmt: skip

    edit(copy, leave)
    status, said = command(copy, "--splits", *asked)
    assert status == 0, said
    assert "stored rows are reproduced exactly" in said
    shown = "the test set" if "test" in asked else f"the {asked[-1]} split"
    assert f"Accuracy and errors on {shown}" in said


def test_a_split_without_samples_is_refused_with_the_reason(copy):
    edit(copy, lambda content: content["config"]["data"].update(val_size=0))
    with pytest.raises(KdlabError, match=r"no val samples to measure on .*data\.val_size=0"):
        reproduce(copy, ("val",))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "results.json").unlink(), "holds no finished run"),
        (lambda folder: (folder / "results.json").write_text("{"), r"results\.json: not a results\.json"),
        (lambda folder: (folder / "checkpoints" / "soft.pt").unlink(), r"soft\.pt: no such file"),
    ],
)
def test_a_folder_that_holds_no_finished_run_is_an_error_that_names_the_file(copy, spoil, message):
    spoil(copy)
    with pytest.raises(KdlabError, match=message):
        reproduce(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it["teacher"]["net"].update(_target_="my_package.Gone"), r"teacher\.net cannot be built"),
        (lambda it: it["data"].update(_target_="my_package.Gone"), "data set cannot be had"),
        (lambda it: it["data"].update(dimension=5), r"teacher\.net fails on the samples that blobs has now"),
        (lambda it: it["data"].update(classes=5), r"teacher\.net has outputs \(3,\), but blobs has 5 classes now"),
        (lambda it: it["student"]["loss"].update(_target_="gone"), r"results\.json is not as .* ImportError"),
        (lambda it: it.pop("teachers"), "was made by an earlier kdlab, .* run its command"),
    ],
)
def test_what_a_config_names_and_is_gone_or_another_is_said(copy, change, message):
    edit(copy, lambda content: change(content["config"]))
    with pytest.raises(KdlabError, match=message):
        reproduce(copy)


@pytest.mark.parametrize("value", [None, 5, "x", [1], {"a": {}}])
@pytest.mark.parametrize(
    "key", ["data", "teacher", "student", "teachers", "arms", "trainer", "evaluation", "teacher.net", "data.means",
            "student.held_out_classes", "evaluation.splits", "arms.soft", "student.teacher"]
)  # fmt: skip
def test_a_config_that_no_run_writes_is_refused_and_its_file_named(copy, key, value):
    section, _, part = key.partition(".")

    def change(content):
        if part:
            content["config"][section][part] = value
        else:
            content["config"][section] = value

    edit(copy, change)
    names_it = pytest.raises(KdlabError, match=r"results\.json|earlier kdlab|data set cannot|teacher\.net cannot")
    with suppress(pytest.fail.Exception), names_it:  # some values do not matter
        reproduce(copy)


@pytest.mark.parametrize("change", [lambda it: it.update(fits=[]), lambda it: it.update(rows=[], fits=it["fits"][1:])])
def test_results_without_a_teacher_or_rows_are_refused(copy, change):
    edit(copy, lambda content: (change(content), content.update(rows=[])))
    with pytest.raises(InvalidResults, match=r"results\.json: it has no (fits|rows|fit of the teacher)"):
        reproduce(copy)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "arm,epoch,figure,value\nteacher,one,val/loss,2\n", "\xff\0"])
def test_curves_that_no_run_writes_are_refused_and_their_file_named(copy, content):
    (copy / "curves.csv").write_bytes(content.encode("latin-1"))
    if content:
        with pytest.raises(InvalidResults, match=r"curves\.csv is not as a run writes it"):
            reproduce(copy)
    else:
        assert reproduce(copy)


def test_a_split_that_no_run_has_is_refused(copy):
    edit(copy, lambda content: content["config"]["evaluation"].update(splits=["test", "bogus"]))
    with pytest.raises(InvalidResults, match=r"results\.json .* there is no split 'bogus'"):
        reproduce(copy)


def test_an_error_is_told_without_a_traceback(tmp_path, command):
    assert "holds no finished run: it has no results.json" in command(tmp_path).status


def test_a_run_that_fell_back_to_digits_is_measured_on_digits(tmp_path, monkeypatch):
    def fall_silent(*args, **kwargs):
        raise TimeoutError

    monkeypatch.setattr(download, "urlopen", fall_silent)
    monkeypatch.setenv("KDLAB_DATA_DIR", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    short = ["teacher.max_epochs=1", "student.max_epochs=1", "model@teacher.net=linear", "model@student.net=linear",
             "figures=false"]  # fmt: skip
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
