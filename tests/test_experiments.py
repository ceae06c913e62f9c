"""Each experiment, at a tiny size on data that need no files: does its claim point where its source says?

The full figures are in docs/experiments.md.
"""

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image

from kdlab.claims.verdict import claims_in
from kdlab.config.read import read
from kdlab.data import DigitsData
from kdlab.pipeline import run
from kdlab.report.claims import judged_run
from kdlab.results import Results
from kdlab.train import CONFIGS

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").iterdir())
SOURCED = [name for name in EXPERIMENTS if name != "compress"]  # that one is for the user's own data
DIGITS = ["data=digits", "trainer=cpu", "teacher.net.widths=[300,300]"]
TINY = {
    "paper_mnist": [
        *DIGITS, "student.net.widths=[200,200]", "teacher.max_epochs=15", "student.max_epochs=12",
        "teacher.net.hidden_dropout=0", "teacher.net.input_dropout=0", "~arms.baseline_jittered",
        "~arms.distilled_jittered", "~arms.small_t1", "~arms.small_t4", "~arms.small_t8", "~arms.small_t20",
    ],
    "only_seven_eight": [
        *DIGITS, "student.net.widths=[200,200]", "teacher.max_epochs=6", "student.max_epochs=20"
    ],
    "unseen_digits": [*DIGITS, "teacher.max_epochs=6", "student.max_epochs=15"],
    "leave_one_out": [
        *DIGITS, "student.net.widths=[200]", "teacher.max_epochs=6", "student.max_epochs=4", "optimizer.lr=0.05"
    ],
    "blobs_targets": [
        "trainer=cpu", "teacher.max_epochs=60", "student.max_epochs=60", "+every_arm.optimizer.lr=0.001"
    ],
    "blobs_unseen": [
        "trainer=cpu", "teacher.max_epochs=30", "student.max_epochs=30", "+every_arm.optimizer.lr=0.001"
    ],
    "cnn_temperature": [
        "data=digits", "trainer=cpu", "data.val_size=0", "teacher.max_epochs=3", "student.max_epochs=3",
        "teacher.optimizer.lr=0.001", "optimizer.lr=0.003", "~arms.t1_5", "~arms.t2", "~arms.on_t1_5", "~arms.on_t2",
        "~arms.on_t4", "~arms.on_t10",
    ],
    "soft_or_hard": [
        *DIGITS, "student.net.widths=[200,200]", "teacher.max_epochs=10", "student.max_epochs=10",
        "+every_arm.optimizer.lr=0.03",
        "~arms.a0_5_t1", "~arms.a0_5_t4", "~arms.a0_5_t20", "~arms.a0_9_t1", "~arms.a0_9_t20", "~arms.a1_t20",
    ],
    "cifar10_compression": [
        "data=image_folder", "data.root=digits", "trainer=cpu", "teacher.max_epochs=8", "student.max_epochs=6",
        "teacher.net.channels=[8,16,32,32]", "student.net.channels=[4,8,16,16]", "teacher.net.widths=[32]",
        "student.net.widths=[16]", "augment@teacher.augment=none", "optimizer.lr=0.01", "data.passes_per_epoch=2",
        "augment@student.augment=none", "~arms.student_plain", "~arms.distilled_plain",
    ],
}  # fmt: skip


def composed(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [f"+experiment={name}", *overrides])


Tiny = Callable[[str], tuple[Results, Path]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    finished: dict[str, tuple[Results, Path]] = {}

    def run_once(name: str) -> tuple[Results, Path]:
        if name not in finished:
            folder = tmp_path_factory.mktemp(name)
            overrides = TINY[name]
            if "data=image_folder" in overrides:
                save_digits(folder / "digits")
                overrides = [o.replace("data.root=digits", f"data.root={folder / 'digits'}") for o in overrides]
            finished[name] = run(composed(name, *overrides), folder)[0], folder
        return finished[name]

    return run_once


def save_digits(folder: Path) -> None:
    for part, samples in zip(("train", "test"), DigitsData().read(), strict=True):
        for i, (image, label) in enumerate(zip(samples.inputs, samples.labels, strict=True)):
            path = folder / part / str(int(label)) / f"{i:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(path)


def value(results: Results, arm: str, metric: str, classes: str = "all", correction: str = "none") -> float:
    row = results.find(arm, classes, metric, correction)
    assert row
    return row.value


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiments_config_is_right_asks_a_question_and_its_file_begins_with_a_command(name):
    # CIFAR-10's networks are checked against its shape and classes; no file is read.
    read(composed(name, *(["data=cifar10"] if name == "compress" else [])))
    assert "?" in composed(name).question
    header = (CONFIGS / "experiment" / f"{name}.yaml").read_text().split("\n")
    assert header[0] == "# @package _global_"
    assert header[1].startswith(f"#   python -m kdlab.train +experiment={name}")
    comments = "\n".join(line for line in header if line.startswith("#"))
    assert "Source: " in comments or "source" in comments
    assert all(f"\n# {word}: " in comments for word in ("Needs", "Takes", "Expect"))


@pytest.mark.parametrize("name", SOURCED)
def test_every_line_of_a_comparison_is_about_an_arm_and_a_metric_of_the_experiment(name):
    config = composed(name)
    arms = {"teacher", "bayes", *config.arms}
    for row in config.comparison.rows if config.comparison else ():
        assert row.arm in arms
        assert row.get("correction", "none") in ("none", "prior", "oracle")
        assert row.get("split", "test") in (*(config.evaluation.splits or ["val", "test"]), "cost", "distribution")
    shown = [row.show for row in (config.comparison.rows if config.comparison else ())]
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize("name", SOURCED)
def test_every_figure_of_a_source_stands_in_the_experiments_section_of_the_docs_too(name):
    docs = CONFIGS.parent / "docs"
    if not (docs / "reproduction" / "rows" / f"{name}.csv").exists():
        pytest.skip("not reproduced yet")
    text = (docs / "experiments.md").read_text()
    section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
    stated = set(re.findall(r"\d[\d,.]*\d|\d", section))
    for row in getattr(composed(name).comparison, "rows", ()):
        if (figure := row.get("source")) is not None:
            forms = {f"{figure:,}", f"{figure}", f"{100 * figure:.0f}", f"{100 * figure:.1f}", f"{100 * figure:.2f}"}
            assert forms & stated, row


@pytest.mark.parametrize("name", SOURCED)
def test_every_experiment_makes_claims_that_name_their_source(name):
    claims = read(composed(name)).claims
    assert claims
    assert all(claim.source for claim in claims)
    assert len({claim.say for claim in claims}) == len(claims)


@pytest.mark.parametrize("name", TINY)
def test_a_run_has_a_value_for_each_claim_about_its_arms(name, tiny):
    results, folder = tiny(name)
    for claim, judged in zip(claims_in(results), judged_run(results), strict=True):
        there = set(claim.arms) <= {"bayes", *(fit.arm for fit in results.fits)}
        assert judged.verdict.word == ("one draw" if there else "open"), claim
        counted = claim.counts_samples and (judged.verdict.test if claim.minus else judged.verdict.samples)
        alike = name != "leave_one_out" or not claim.minus  # its students' unseen classes are not the same samples
        assert bool(counted) == (there and claim.counts_samples and alike)
    assert len((folder / "claims.csv").read_text().splitlines()) == 1 + len(claims_in(results))


@pytest.mark.parametrize("name", TINY)
def test_a_run_ends_with_its_comparison_its_curves_and_its_figures(name, tiny):
    results, folder = tiny(name)
    with (folder / "comparison.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["show"] for line in lines] == [row["show"] for row in results.config["comparison"]["rows"]]
    arms = {fit.arm for fit in results.fits} | {"bayes"}
    assert all(line["kdlab"] for line in lines if line["arm"] in arms)
    assert all(not line["kdlab"] for line in lines if line["arm"] not in arms)
    assert (folder / "curves.csv").read_text().startswith("arm,epoch,figure,value\nteacher,1,")
    pictures = {path.stem for path in (folder / "figures").iterdir()}
    images = not name.startswith("blobs")
    assert "loss_curves" in pictures
    assert ("decision_regions" in pictures) != images
    assert {f"misclassified_{arm}" for arm in arms - {"bayes"} if images} <= pictures
    assert {"softened_targets", "target_entropy", "class_similarity", "confusion_matrices"} <= pictures
    unseen = any(row.classes == "unseen" for row in results.rows)
    assert ("unseen_accuracy" in pictures) == unseen
    assert any(name.startswith("dark_knowledge") for name in pictures) == (unseen and images)
    assert (folder / "report.html").stat().st_size < 3e6


def test_paper_mnist_distillation_closes_part_of_the_gap_to_the_teacher(tiny):
    results, _ = tiny("paper_mnist")
    assert value(results, "teacher", "errors") < value(results, "baseline", "errors")
    assert value(results, "distilled", "errors") < value(results, "baseline", "errors")


def test_only_seven_eight_correction_uncovers_most_of_what_the_soft_targets_taught(tiny):
    results, _ = tiny("only_seven_eight")
    assert value(results, "baseline", "accuracy", "unseen") == 0
    for correction in ("prior", "oracle"):
        assert value(results, "distilled", "errors", correction=correction) < 0.75 * value(
            results, "distilled", "errors"
        )
        assert value(results, "distilled", "errors", correction=correction) < 0.75 * value(
            results, "baseline", "errors", correction=correction
        )


def test_unseen_digits_are_known_to_the_distilled_students_and_not_to_the_baseline(tiny):
    results, _ = tiny("unseen_digits")
    assert value(results, "baseline", "accuracy", "unseen") == 0
    assert value(results, "distilled", "accuracy", "unseen") > 0.6
    assert value(results, "distilled", "accuracy", "unseen", "prior") > 0.8
    assert value(results, "smallest", "accuracy", "unseen") < value(results, "distilled", "accuracy", "unseen")


def test_leave_one_out_each_student_knows_the_digit_it_never_saw(tiny):
    results, _ = tiny("leave_one_out")
    known = [value(results, f"without_{digit}", "accuracy", "unseen", "prior") for digit in range(10)]
    assert min(known) > 0.4
    assert sum(known) / 10 > 0.75
    assert len({fit.key for fit in results.fits}) == 11
    sizes = [results.find(f"without_{digit}", "unseen", "accuracy").n for digit in range(10)]
    assert sum(sizes) == 450


def test_blobs_targets_the_true_posterior_teaches_better_than_labels(tiny):
    results, _ = tiny("blobs_targets")
    assert value(results, "bayes_soft", "excess_risk") < 0.5 * value(results, "truth", "excess_risk")
    assert value(results, "bayes_soft", "nll") < value(results, "truth", "nll")
    assert value(results, "bayes_soft", "bayes_agreement") > 0.995


def test_blobs_unseen_the_soft_targets_show_a_blob_that_no_student_saw(tiny):
    results, _ = tiny("blobs_unseen")
    assert value(results, "baseline", "accuracy", "unseen") == 0
    assert value(results, "distilled", "accuracy", "unseen") > 0.8
    assert value(results, "distilled", "excess_risk", correction="prior") < value(results, "distilled", "excess_risk")


def test_cnn_temperature_some_temperature_is_no_worse_than_training_on_labels(tiny):
    results, _ = tiny("cnn_temperature")
    distilled = [value(results, arm, "errors") for arm in ("t1", "t4", "t10")]
    baseline = value(results, "baseline", "errors")
    assert value(results, "teacher", "errors") < min(distilled)
    assert min(distilled) <= baseline + math.sqrt(baseline)  # what chance does to such a count
    assert results.find("teacher", "all", "errors", split="train").n == 1347
    # The second reading: the baseline goes on, with labels as before or distilled.
    assert max(value(results, arm, "errors") for arm in ("on_labels", "on_t1")) < baseline


def test_soft_or_hard_soft_targets_alone_do_not_do_poorly(tiny):
    results, _ = tiny("soft_or_hard")
    assert value(results, "a1_t4", "errors") < value(results, "a0", "errors")


def test_cifar10_compression_states_costs_and_both_splits(tiny):
    results, _ = tiny("cifar10_compression")
    assert results.dataset == "digits"
    sizes = [results.find(arm, "all", "parameters", split="cost").value for arm in ("teacher", "student", "distilled")]
    assert sizes[0] > 2.5 * sizes[1] == 2.5 * sizes[2]
    # On images as easy as these the soft targets have nothing to add; they must not cost more than a few errors.
    assert value(results, "distilled", "accuracy") > value(results, "student", "accuracy") - 0.03
    assert results.find("distilled", "all", "accuracy", split="train").n == 1212


def test_one_teacher_serves_every_arm_and_arms_start_alike(tiny):
    results, folder = tiny("leave_one_out")
    assert sum(fit.arm == "teacher" for fit in results.fits) == 1
    weights = [torch.load(path, weights_only=True) for path in (folder / "checkpoints").iterdir()]
    assert len(weights) == 11
