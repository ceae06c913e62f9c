"""The page of a sweep over seeds alone: what a run's page shows, over the seeds, and the first seed's images."""

import math
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from msgspec.structs import replace
from omegaconf import OmegaConf

from kdlab.curves import write_curves
from kdlab.measure.confusion import write_confusion
from kdlab.report import accuracy_curves, collect, error_counts, finding, loss_curves, per_class_accuracy, write_report
from kdlab.report.averages import INTERVAL, averaged
from kdlab.report.comparison import comparison_over_seeds
from kdlab.report.figures.numbers import figures_of_numbers
from kdlab.report.sweep import status_lines
from kdlab.results import Fit, Inputs, Results, Row, read, write
from kdlab.sweeps.end import SweepEnd
from tests.report.conftest import OVER_SEEDS, write_grid

ERRORS = (10, 13, 19)  # of the student, at seeds 0, 1, 2
OF_NUMBERS = {
    "error_counts", "unseen_accuracy", "per_class_accuracy", "confusion_matrices", "loss_curves", "accuracy_curves",
}  # fmt: skip
T_OF_THREE = 4.302653  # t(0.975, 2)
HALF = T_OF_THREE * statistics.stdev(ERRORS) / math.sqrt(3)


def of_seed(seed: int, *, arms: tuple[str, ...] = ("teacher", "student"), classes: int = 2, **config: Any) -> Results:
    """Return what a run could have found; one teacher is shared by all seeds, and the student never saw class 1."""
    names = [f"<b>{c}</b>" for c in range(classes)]
    fits = [
        Fit(arm, arm, False, 2, 1.0, 1)
        if arm == "teacher"
        else Fit(arm, f"{arm}{seed}", False, 2, 1.0, 1, targets="teacher_soft", teacher="teacher")
        for arm in arms
    ]
    rows = []
    for arm in arms:
        wrong = 1 if arm == "teacher" else ERRORS[seed]
        for group, n in {"all": 50 * classes, "unseen": 50, **{str(c): 50 for c in range(classes)}}.items():
            errors = 0 if group not in ("all", "unseen", "1") else wrong
            for correction in ("none",) if arm == "teacher" else ("none", "oracle"):
                rows.append(Row(arm, "test", group, correction, "errors", errors, n))
                rows.append(Row(arm, "test", group, correction, "accuracy", 1 - errors / n, n))
        if arm != "teacher":
            rows.append(Row(arm, "test", "1", "oracle", "offset", 0.5, 50))
    inputs = Inputs([1, 2, 2], names, None)
    config = {"name": "x", "seed": seed, "store": {"folder": "s"}, **config}
    return Results("x", "mine", seed, [1], config, {}, fits, rows, inputs=inputs)


def put(sweep: Path, results: Results) -> None:
    """Write a run into the sweep as a run does."""
    folder = sweep / str(results.seed)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(f"- seed={results.seed}\n")
    counts, curves = {}, {}
    for fit in results.fits:
        classes = len(results.inputs.class_names)
        own = 50 * np.eye(classes, dtype=int)
        wrong = int(results.find(fit.arm, "1", "errors").value)
        own[1, :2] = wrong, 50 - wrong
        counts[fit.arm] = own
        curves[fit.arm] = [
            (epoch, figure, wrong / epoch / 100)
            for figure in ("train/hard_loss", "val/loss", "train/accuracy", "val/accuracy_seen")
            for epoch in (1, 2)
        ]
    write_confusion(counts, folder / "confusion.csv")
    write_curves(curves, folder / "curves.csv")
    write(results, folder / "results.json")


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """Three seeds, without pages."""
    for seed in range(3):
        put(tmp_path / "sweep", of_seed(seed))
    return tmp_path / "sweep"


def figures(sweep: Path) -> dict[str, Any]:
    collection = collect([sweep])
    assert collection.over_seeds
    names, (numbers, _) = collection.results[0].inputs.class_names, collection.numbers
    return {name: it for name, _, it in figures_of_numbers(numbers, class_names=names, held_out={"student": [1]})}


def shown(sweep: Path) -> str:
    return write_report(collect([sweep]), sweep).read_text()


# Means.


def test_a_mean_over_seeds_has_its_t_interval_and_a_fit_that_the_runs_share_counts_once():
    found = averaged([of_seed(seed) for seed in range(3)])
    mean = found.find("student", "all", "errors")
    assert (mean.value, mean.fits, mean.n) == (14, 3, 100)
    assert mean.half == pytest.approx(HALF, rel=1e-6)
    shared = found.find("teacher", "all", "errors")
    assert (shared.value, shared.fits) == (1, 1)
    assert math.isnan(shared.half)


def test_the_finding_over_seeds_has_means_and_says_so():
    share, half = 100 - 2 * 14, 2 * HALF
    assert finding([of_seed(seed) for seed in range(3)]) == (
        f"student: {share:.1f} ± {half:.1f} % of the 50 test samples of class <b>1</b> that it never saw "
        "(means over 3 seeds ± half of their 95 % intervals)"
    )
    assert "±" not in finding(of_seed(0))


def test_the_finding_names_no_number_of_samples_where_seeds_differ_in_it():
    runs = [of_seed(seed) for seed in range(3)]
    runs[1].rows[:] = [replace(row, n=row.n - 1) for row in runs[1].rows]
    assert "% of the test samples of class <b>1</b> that it never saw" in finding(runs)


def test_runs_that_share_a_seed_are_not_called_seeds():
    runs = [of_seed(seed, data={"split_seed": split}) for seed in (0, 1) for split in (0, 1)]
    for it in runs:
        it.rows[:] = [replace(row, value=row.value / (1 + it.config["data"]["split_seed"])) for row in it.rows]
    assert "(means over 4 runs ± half" in finding(runs)


# Figures.


def test_errors_over_seeds_are_means_with_whiskers_where_there_is_more_than_one_fit():
    figure = error_counts([of_seed(seed) for seed in range(3)])
    (panel,) = figure.axes
    assert [text.get_text() for text in panel.texts] == ["1.0, n = 1", f"14.0 ± {HALF:.1f}", f"14.0 ± {HALF:.1f}"]
    whiskers = [it[2][0].get_segments()[0] for it in panel.containers if isinstance(it, ErrorbarContainer)]
    assert [list(ends[:, 0]) for ends in whiskers] == [pytest.approx([14 - HALF, 14 + HALF], rel=1e-6)] * 2
    assert INTERVAL in [text.get_text() for text in figure.legends[0].get_texts()]


def test_accuracy_on_each_class_over_seeds_is_a_mean_with_its_interval():
    results = [of_seed(seed) for seed in range(3)]
    figure = per_class_accuracy(results, class_names=["a", "b"], held_out={"student": [1]})
    teacher, student = figure.axes
    assert teacher.get_title("left") == "teacher, n = 1"
    assert [bar.get_height() for bar in student.containers[0]] == pytest.approx([1, 1 - 14 / 50])
    (bars,) = student.containers[-1][2]
    assert [np.ptp(ends[:, 1]) for ends in bars.get_segments()] == pytest.approx([0, 2 * HALF / 50], rel=1e-6)
    assert figure.legends[0].get_title().get_text() == f"whiskers: {INTERVAL}"
    assert f"{1 - 14 / 50:.1%} ± {2 * HALF:.1f} on the unseen b" in figure.get_label()


def test_of_one_seed_the_figures_are_those_of_a_run(tmp_path):
    put(tmp_path / "sweep", of_seed(0))
    drawn = figures(tmp_path / "sweep")
    assert set(drawn) == OF_NUMBERS
    assert [text.get_text() for text in drawn["error_counts"].axes[0].texts] == ["1", "10", "10"]
    assert drawn["per_class_accuracy"].legends[0].get_title().get_text() == ""
    assert drawn["loss_curves"].legends[0].get_title().get_text() == ""


def test_two_seeds_have_intervals_of_two(tmp_path):
    for seed in range(2):
        put(tmp_path / "sweep", of_seed(seed))
    half = 12.7062 * statistics.stdev(ERRORS[:2]) / math.sqrt(2)
    texts = [text.get_text() for text in figures(tmp_path / "sweep")["error_counts"].axes[0].texts]
    assert texts[1] == f"11.5 ± {half:.1f}"


def test_the_confusion_over_seeds_is_the_mean_count(seeds):
    teacher, student, _ = figures(seeds)["confusion_matrices"].axes
    assert (teacher.get_title(), student.get_title()) == ("teacher, n = 1", "student")
    cells = {text.get_position(): text.get_text() for text in student.texts}
    assert cells == {(0, 0): "50", (0, 1): "14", (1, 1): "36"}
    assert np.asarray(student.images[0].get_array())[1].tolist() == pytest.approx([14 / 50, 36 / 50])


def test_curves_over_seeds_are_means_in_bands_from_the_lowest_to_the_highest(seeds):
    figure = figures(seeds)["loss_curves"]
    panel = figure.axes[0]
    line = {line.get_label(): line for line in panel.lines}["student"]
    assert list(line.get_ydata()) == pytest.approx([0.14, 0.07])
    (band,) = panel.collections  # the one teacher has none
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.05, 0.19))
    legend = figure.legends[0]
    assert legend.get_title().get_text() == "line: mean of 3 seeds\nband: lowest to highest"
    assert [text.get_text() for text in legend.get_texts()] == ["teacher, n = 1", "student"]
    assert "student ends at 0.07 (training)" in figure.get_label()


def test_a_curve_that_stops_early_leaves_the_mean_to_the_others():
    long = [(epoch, "train/hard_loss", 1.0) for epoch in (1, 2, 3)]
    short = [(1, "train/hard_loss", 3.0)]
    (panel,) = loss_curves([{"a": long}, {"a": short}]).axes
    assert list(panel.lines[0].get_ydata()) == [2.0, 1.0, 1.0]


def test_curves_of_one_epoch_have_a_line_from_the_lowest_to_the_highest():
    (panel,) = accuracy_curves([{"a": [(1, "train/accuracy", value)]} for value in (0.2, 0.6)]).axes
    assert [segment[:, 1].tolist() for it in panel.collections[1:] for segment in it.get_segments()] == [[0.2, 0.6]]


def test_an_arm_that_is_missing_at_a_seed_is_a_mean_of_fewer_also_if_it_is_the_first(tmp_path):
    for seed in range(3):
        put(tmp_path / "sweep", of_seed(seed, arms=("teacher", "student", "other")[: 2 + (seed > 0)]))
    drawn = figures(tmp_path / "sweep")
    expected = ["teacher, n = 1", "student", "other, n = 2"]
    assert [panel.get_title("left") for panel in drawn["per_class_accuracy"].axes] == expected
    assert [panel.get_title() for panel in drawn["confusion_matrices"].axes[:3]] == expected
    assert expected == [text.get_text() for text in drawn["loss_curves"].legends[0].get_texts()]
    assert "other: " in finding(collect([tmp_path / "sweep"]).results)


def test_a_hundred_classes_are_drawn_too(tmp_path):
    for seed in range(3):
        put(tmp_path / "sweep", of_seed(seed, classes=100))
    page = write_report(collect([tmp_path / "sweep"]), tmp_path / "sweep")
    assert {path.stem for path in (tmp_path / "sweep" / "report").glob("*.png")} == OF_NUMBERS
    assert page.stat().st_size < 3e6


# The comparison with a source.

COMPARISON = {
    "source": "somebody", "dataset": "mine",
    "rows": [
        {"show": "its errors", "arm": "student", "metric": "errors", "source": 12},
        {"show": "its teacher's accuracy", "arm": "teacher", "metric": "accuracy", "source": 0.5},
    ],
}  # fmt: skip


def test_published_figures_stand_beside_means_over_the_different_fits():
    table = comparison_over_seeds([of_seed(seed, comparison=COMPARISON) for seed in range(3)])
    assert table.caption == "kdlab: mean ± half of its 95 % interval (t) over n fits (seeds); source: somebody"
    assert [list(row) for row in table.rows] == [
        ["its errors", "12", f"14.0 ± {HALF:.1f}", "3"], ["its teacher's accuracy", "50.00 %", "99.00 %", "1"],
    ]  # fmt: skip
    assert comparison_over_seeds([of_seed(seed, comparison=None) for seed in range(3)]) is None


def test_a_small_mean_beside_a_published_figure_keeps_its_digits():
    row = {"show": "risk", "arm": "student", "metric": "excess_risk"}
    comparison = {"source": "none", "dataset": "mine", "rows": [row]}
    runs = [of_seed(seed, comparison=comparison) for seed in range(3)]
    for it, risk in zip(runs, (0.001, 0.002, 0.003), strict=True):
        it.rows.append(Row("student", "test", "all", "none", "excess_risk", risk, 100))
    cells = next(cells for cells in comparison_over_seeds(runs).rows if cells[0] == "risk")
    assert cells[2:] == ["0.002 ± 0.00248", "3"]


def test_where_the_runs_did_not_do_what_the_source_did_its_figures_are_left_out():
    other = COMPARISON | {"dataset": "mnist"}
    table = comparison_over_seeds([of_seed(seed, comparison=other) for seed in range(3)])
    assert table.caption.endswith("its figures are left out: they are for mnist, and this run is on mine")
    assert [row[1] for row in table.rows] == ["", ""]


# Which sweeps.


def test_only_where_nothing_but_seeds_varies_the_page_is_one_of_seeds(seeds, tmp_path):
    grid = write_grid(tmp_path / "grid")
    assert collect([seeds]).over_seeds
    assert not collect([grid]).over_seeds
    assert "<h2>Results by class</h2>" not in shown(grid)


def test_a_sweep_whose_other_settings_are_not_finished_is_none_over_seeds(seeds):
    for number, overrides in {7: ["seed=1"], 8: ["seed=1", "loss.temperature=4"]}.items():
        (seeds / f"{number}" / ".hydra").mkdir(parents=True)
        (seeds / f"{number}" / ".hydra" / "overrides.yaml").write_text("".join(f"- {it}\n" for it in overrides))
        assert collect([seeds]).over_seeds == (number == 7)


# The page.


def test_a_failed_seed_is_named_and_the_others_are_drawn(seeds):
    (seeds / "0" / "results.json").unlink()
    (seeds / "0" / "failure.txt").write_text("the training diverged\n")
    page = shown(seeds)
    assert "2 finished, 1 failed" in page
    assert "<dd>seed 1; seed 2</dd>" in page
    assert "Single answers: seed 1" in page


def test_until_the_first_seeds_page_is_drawn_the_page_says_how(seeds):
    assert f"<code>python -m kdlab.report {seeds / '0'}</code>" in shown(seeds)


def test_names_of_the_users_own_are_text_on_the_page_of_seeds(seeds):
    page = shown(seeds)
    assert "<b>0</b>" not in page
    assert '<th scope="row">&lt;b&gt;1&lt;/b&gt;</th>' in page
    assert page.count("<script") == 1  # the page's own


@pytest.mark.parametrize("name", ["curves.csv", "confusion.csv"])
def test_a_file_that_is_lost_or_spoilt_costs_its_own_share_of_a_figure_and_is_named(seeds, name):
    (seeds / "1" / name).unlink()
    (seeds / "2" / name).write_text("arm,true,choice,samples,epoch,figure,value\nstudent,9,9,1,x\n")
    said = list(status_lines(collect([seeds])))
    assert said[1] == f"{seeds / '1' / name} is left out: it is missing"
    assert said[2].startswith(f"{seeds / '2' / name} is left out: ")
    assert said[2].removeprefix(f"{seeds / '2' / name} is left out: ") in shown(seeds).replace("&#39;", "'")


def test_notes_of_each_seed_are_on_the_page(seeds):
    found = read(seeds / "1" / "results.json")
    found.notes.append("student has no correction")
    write(found, seeds / "1" / "results.json")
    assert "seed 1: student has no correction" in shown(seeds)


# A sweep from the command line.


def test_the_end_of_a_sweep_over_seeds_draws_the_first_seeds_page_and_shows_its_figures(seeds_swept):
    assert (seeds_swept / "0" / "report.html").is_file()
    assert not (seeds_swept / "1" / "report.html").exists()
    page = (seeds_swept / "report.html").read_text()
    ids = set(re.findall(r'<figure id="(.*?)">', page))
    assert ids == OF_NUMBERS | {
        "softened_targets", "target_entropy", "class_similarity", "dark_knowledge_distilled", "misclassified_distilled",
    }  # fmt: skip
    assert '<a href="0/report.html">' in page
    assert '<table id="comparison">' in page
    assert "It shows what such an offset can do at best; it is not a result." in page
    captions = re.findall("<figcaption>(.*?)</figcaption>", page)
    assert "Entropy of the soft targets over the temperature, on the test samples (seed 3)" in captions
    assert "Accuracy on each class of the test samples, means over 2 seeds" in captions
    assert {path.stem for path in (seeds_swept / "report").glob("*.png")} == OF_NUMBERS


def test_a_page_of_seeds_is_written_again_byte_for_byte_without_torch_and_without_networks(
    seeds_swept, commands, tmp_path
):
    copy = shutil.copytree(seeds_swept, tmp_path / "copy")
    shutil.rmtree(copy / "0" / "checkpoints")
    before = {path: path.read_bytes() for path in (copy / "report.html", *(copy / "report").iterdir())}
    code = "import sys; from kdlab.report.__main__ import main; main(); assert 'torch' not in sys.modules"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code, str(copy)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert {path: path.read_bytes() for path in before} == before


def test_a_sweep_over_seeds_that_is_given_again_keeps_the_first_seeds_page(seeds_swept, commands):
    before = (seeds_swept / "0" / "report.html").stat().st_mtime_ns
    page = (seeds_swept / "report.html").read_bytes()
    done = commands.run(*OVER_SEEDS, "seed=3,4", folder=seeds_swept.parents[2])
    assert done.returncode == 0, done.stderr
    assert (seeds_swept / "0" / "report.html").stat().st_mtime_ns == before
    assert (seeds_swept / "report.html").read_bytes() == page


def test_where_the_first_seeds_page_cannot_be_drawn_the_report_is_written_all_the_same(seeds, caplog):
    SweepEnd().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(seeds)}}}))
    assert f"the page of {seeds / '0'} could not be drawn" in caplog.text
    assert f"python -m kdlab.report {seeds / '0'} tries again" in caplog.text
    assert "<h2>Results by class</h2>" in (seeds / "report.html").read_text()


def test_figures_that_are_not_wanted_are_not_drawn(commands, tmp_path):
    done = commands.run(*OVER_SEEDS, "seed=0", "figures=false", "student.max_epochs=1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (page,) = tmp_path.rglob("report.html")
    assert "Single answers: seed 0" in page.read_text()
