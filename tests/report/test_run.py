"""A run's figures and page, drawn with the run and again afterwards."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from kdlab.config.read import read
from kdlab.pipeline import run
from kdlab.report.__main__ import main
from kdlab.report.figures.gallery import Example
from kdlab.report.run import temperatures
from kdlab.report.run_page import Gallery, run_page
from kdlab.results import Fit, Results, Row
from kdlab.train import CONFIGS

EVERYWHERE = {
    "error_counts", "per_class_accuracy", "confusion_matrices", "loss_curves", "accuracy_curves", "softened_targets",
    "target_entropy", "class_similarity",
}  # fmt: skip
TINY = ["trainer=cpu", "store=off", "model@teacher.net=mlp_30", "model@student.net=mlp_30"]
SHORT = ["teacher.max_epochs=1", "student.max_epochs=1", "data.passes_per_epoch=1", "+arms.distilled={}"]


def tiny(folder: Path, *overrides: str) -> Results:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [*TINY, *SHORT, *overrides])
    return run(config, folder)[0]


def figures(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "figures").iterdir()}


@pytest.fixture(scope="module")
def finished(illustrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(illustrated, tmp_path_factory.mktemp("run") / "run")


def test_a_run_of_images_with_unseen_classes_has_all_figures_but_the_plane(finished):
    galleries = {f"misclassified_{arm}" for arm in ("teacher", "distilled", "baseline")} | {"dark_knowledge_distilled"}
    assert figures(finished) == EVERYWHERE | galleries | {"unseen_accuracy"}


def test_drawn_again_page_and_figures_are_the_same_byte_for_byte(finished, commands, tmp_path):
    files = [finished / "report.html", *(finished / "figures").iterdir()]
    before = {path: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    done = commands.run(finished, module="kdlab.report", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"page:   {finished / 'report.html'}\n" in done.stdout
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_of_an_earlier_kdlab_has_its_tables_and_says_why_its_page_stays_as_it_was(finished, commands, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    stored = json.loads((copy / "results.json").read_text()) | {"schema_version": 2}
    del stored["config"]["teachers"]
    for fit in stored["fits"]:
        del fit["targets"], fit["teacher"]
    (copy / "results.json").write_text(json.dumps(stored))
    done = commands.run(copy, module="kdlab.report", folder=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith(f"{copy} was made by an earlier kdlab")
    assert (copy / "report" / "rows.csv").is_file()
    assert (copy / "report.html").read_bytes() == (finished / "report.html").read_bytes()


def test_without_its_curves_a_run_still_has_all_other_figures(finished, tmp_path, monkeypatch, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "curves.csv").unlink()
    monkeypatch.setattr(sys, "argv", ["kdlab.report", str(copy)])
    main()
    assert figures(copy) == figures(finished) - {"loss_curves", "accuracy_curves"}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["+experiment=dark_knowledge"], [20]),
        (["+experiment=dark_knowledge", "+arms.hot.loss.temperature=40"], [20, 40]),
        (["+experiment=cnn_temperature"], [4, 1, 1.5, 2, 10]),
        (["+experiment=dark_knowledge", "loss=logit_mse"], []),
        (["+experiment=dark_knowledge", "student.targets=teacher_hard"], []),
    ],
)
def test_the_temperatures_marked_are_those_at_which_students_are_matched_to_the_teacher(overrides, expected):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        experiment = read(compose("train", overrides))
    results = Results("x", "mnist", 0, [], experiment.config, {}, [], [])
    assert temperatures(experiment.recipes, results) == expected


def test_points_in_the_plane_have_regions_and_no_images(tmp_path):
    tiny(tmp_path, "data=blobs", "data.train_samples=200", "data.test_samples=300")
    assert figures(tmp_path) == EVERYWHERE | {"decision_regions"}


def test_a_test_set_without_the_held_out_class_costs_one_figure_and_not_the_page(tmp_path, caplog):
    tiny(
        tmp_path, "data=blobs", "data.train_samples=200", "data.test_samples=300", "data.classes=3",
        "data.held_out_classes=[2]", "data.priors=[0.4999999,0.4999999,2e-7]", "data.sample_seed=1",
        "data.val_size=0",
    )  # fmt: skip
    assert figures(tmp_path) == EVERYWHERE | {"decision_regions"}
    assert "unseen_accuracy is left out" in caplog.text
    assert "No test sample is of a class that a student never saw" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("overrides", "split"),
    [(["evaluation.splits=[val]"], "val"), (["evaluation.splits=[test,train]"], "test"), (["data.val_size=0"], "test")],
)
def test_figures_are_of_the_split_that_the_run_shows(tmp_path, overrides, split):
    results = tiny(
        tmp_path, "data=blobs", "data.dimension=3", "data.train_samples=200", "data.test_samples=300", *overrides
    )
    assert results.shown_split == split
    assert figures(tmp_path) == EVERYWHERE
    assert f"Accuracy on each class of the {split} samples" in (tmp_path / "report.html").read_text()


def test_a_fault_in_a_figure_does_not_cost_the_results(tmp_path, monkeypatch, caplog):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no such colour")

    monkeypatch.setattr("kdlab.report.figures.numbers.error_counts", fail)
    tiny(tmp_path, "data=blobs", "data.train_samples=200", "data.test_samples=300")
    assert (tmp_path / "results.json").is_file()
    assert not (tmp_path / "report.html").exists()
    assert f"python -m kdlab.report {tmp_path} tries again" in caplog.text
    assert "no such colour" in caplog.text


def test_classes_whose_names_begin_alike_are_told_apart_beside_the_bars_of_a_card():
    names = [f"species number {c}" for c in range(3)]
    shares = torch.tensor([0.5, 0.3, 0.2])
    example = Example(torch.zeros(1, 4, 4, dtype=torch.uint8), 0, shares, shares)
    loss = {"_target_": "kdlab.losses.HardLoss"}
    config = {"name": "x", "question": None, "comparison": None, "student": {"loss": loss}, "data": {}}
    rows = [Row("teacher", "test", "all", "none", metric, 1, 1) for metric in ("accuracy", "errors")]
    page = run_page(
        Results("x", "own", 0, [], config, {}, [Fit("teacher", "0", False, 1, 1.0, 1)], rows),
        class_names=names,
        held_out={},
        softness="",
        pictures=[],
        galleries=[Gallery("wrong", [example], on_page=True)],
    )
    assert re.findall('class="name">(.*?)<', page) == ["spec…er 0", "spec…er 1", "spec…er 2"]
    assert "<strong>species number 0</strong>" in page
