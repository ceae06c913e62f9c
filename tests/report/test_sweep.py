"""The report on a sweep: what was varied, over seeds, the best by validation, what is missing, and the figures."""

import csv
import math
import os
import re
import shutil
import statistics
from itertools import product

import pytest
from msgspec.structs import astuple, replace

from kdlab.report.collection import collect, planned
from kdlab.report.figures.heatmaps import heatmap
from kdlab.report.figures.sweep_lines import lines
from kdlab.report.rows import only
from kdlab.report.settings import at, combinations, keys_of, swept_keys
from kdlab.report.sweep import figures_of, write_report
from kdlab.report.sweep_table import best_by_validation, best_lines, escaped, markdown, settings_table
from kdlab.report.tables import spread
from kdlab.results import read, write
from tests.report.conftest import results


def of(folder, arm):
    return only(collect([folder]).settings, arm=arm)


def fits(settings):
    """Return how many fits there are at each setting, by what matters to the arm."""
    keys = keys_of(settings)
    return {values: at(settings, keys, values)["run"].nunique() for values in combinations(settings, keys)}


def test_swept_keys_are_what_differs_each_once_and_seeds_last(grid):
    assert swept_keys(collect([grid]).runs) == ["loss.temperature", "loss.alpha", "optimizer.lr", "seed"]


def test_nothing_is_swept_in_one_run_and_the_store_is_no_setting(grid):
    assert swept_keys(collect([grid / "0"]).runs) == []


def test_each_arm_has_a_setting_for_each_combination_of_what_matters_to_it_and_each_fit_counts_once(grid):
    assert fits(of(grid, "teacher")) == {(): 2}
    assert fits(of(grid, "baseline")) == {("0.01",): 2, ("0.1",): 2}
    assert keys_of(of(grid, "baseline")) == ["optimizer.lr"]
    assert fits(of(grid, "distilled")) == dict.fromkeys(product(["1", "4", "20"], ["0.5", "0.9"], ["0.01", "0.1"]), 2)


HALF = 12.7062 / math.sqrt(2)  # of the 95 % interval of two values, in sample standard deviations


def test_a_mean_in_the_pages_table_says_what_each_seed_gave_it(grid):
    collection = collect([grid])
    table = settings_table(collection.settings, collection.keys)
    line = next(i for i, row in enumerate(table.rows) if list(row[:5]) == ["distilled", "4", "0.9", "0.1", "prior"])
    values = [100 * (0.9 + 0.004 + 0.02 * seed - 0.05 * 0.9) for seed in (0, 1)]
    assert table.hover[line, 6] == "; ".join(f"seed {seed}: {value:.2f} %" for seed, value in enumerate(values))
    one = collect([grid / "0"])
    assert settings_table(one.settings, one.keys).hover == {}


def test_the_table_holds_mean_and_half_of_its_interval_over_seeds(grid):
    table = markdown(settings_table(collect([grid]).settings, collect([grid]).keys)).splitlines()
    assert table[0].startswith(
        "| arm | loss.temperature | loss.alpha | optimizer.lr | correction | unseen, % | all, % | seen, %"
    )
    values = [100 * (0.9 + 0.004 + 0.02 * seed - 0.05 * 0.9) for seed in (0, 1)]
    cell = f"{statistics.fmean(values):.2f} ± {HALF * statistics.stdev(values):.2f}"
    (line,) = [line for line in table if line.startswith("| distilled | 4 | 0.9 | 0.1 | prior |")]
    assert [part.strip() for part in line.split("|")[6:10]] == [cell, cell, cell, "131.0 ± 127.1"]
    assert line.endswith("| 2 |")
    assert len([line for line in table if line.startswith("| baseline |  |  | 0.01 | none |")]) == 1
    assert len(table) == 2 + 1 + 2 * 3 + 12 * 3


def test_one_value_has_no_interval():
    assert spread(0.5, math.nan, digits=2) == "0.50"
    assert spread(0.5, math.sqrt(0.02), digits=2) == "0.50 ± 0.14"


def test_the_best_point_is_chosen_by_validation_on_seen_classes_uncorrected_and_never_by_test(grid):
    best = {best.arm: best for best in best_by_validation(collect([grid]).settings)}
    assert best["distilled"].values == {"loss.temperature": "4", "loss.alpha": "0.9", "optimizer.lr": "0.1"}
    assert best["distilled"].points == 12
    assert best["distilled"].validation == pytest.approx(0.7)
    assert "teacher" not in best  # one setting is no choice


def test_a_choice_by_validation_says_how_many_settings_cannot_be_told_apart_from_it_paired_by_seed(make_run, tmp_path):
    # over the seeds accuracies differ by 0.1; T = 4 beats T = 1 by 0.05 in each, and T = 8 by no more than chance
    for number, (temperature, seed) in enumerate(product((1, 4, 8), (0, 1, 2))):
        val = 0.5 + 0.1 * seed + {1: 0, 4: 0.05, 8: 0.04 if seed else 0.055}[temperature] + 0.0001 * (seed == 2)
        make_run(number, temperature, 0.5, 0.1, seed, accuracy=0.9, val=val)
    (best,) = best_by_validation(collect([tmp_path / "sweep"]).settings)
    assert best.values == {"loss.temperature": "4"}
    assert best.alike == 1
    assert list(best_lines(best))[1] == (
        "1 of the 2 others cannot be told apart from it by validation: the 95 % interval of the difference, paired by "
        "seed, contains 0"
    )


def test_of_one_seed_how_sure_a_choice_is_cannot_be_said(make_run, tmp_path):
    for number, temperature in enumerate((1, 4)):
        make_run(number, temperature, 0.5, 0.1, 0, accuracy=0.9, val=0.5 + 0.1 * number)
    (best,) = best_by_validation(collect([tmp_path / "sweep"]).settings)
    assert best.alike is None
    assert list(best_lines(best))[1] == "how sure this choice is cannot be said from one seed"


def test_without_validation_rows_nothing_is_chosen(grid):
    for path in grid.glob("*/results.json"):
        path.write_text(path.read_text().replace('"split": "val"', '"split": "train"'))
    assert best_by_validation(collect([grid]).settings) == []


def test_between_points_that_are_equal_in_validation_the_lower_cross_entropy_decides(grid):
    settings = collect([grid]).settings
    of_val = (settings["arm"] == "distilled") & (settings["split"] == "val")
    settings.loc[of_val & (settings["metric"] == "accuracy"), "value"] = 0.5
    lower = of_val & (settings["metric"] == "nll") & (settings["loss.alpha"] == "0.5") & (settings["run"] > 15)
    settings.loc[lower & (settings["optimizer.lr"] == "0.1"), "value"] = 0.09
    (best,) = [best for best in best_by_validation(settings) if best.arm == "distilled"]
    assert best.values == {"loss.temperature": "20", "loss.alpha": "0.5", "optimizer.lr": "0.1"}


def test_values_stand_in_the_order_of_their_size_as_a_config_has_them(make_run, tmp_path):
    for number, temperature in enumerate((20, 4.0, None, 0.5, True, "cold", 4)):
        make_run(number, temperature, 0.5, 0.1, int(number == 6), accuracy=0.1 * number, val=0.5)
    settings = of(tmp_path / "sweep", "distilled")
    assert combinations(settings, ["loss.temperature"]) == [("0.5",), ("4",), ("20",), ("null",), ("true",), ("cold",)]


def tables(folder):
    found = []
    for name in ("fits", "rows"):
        with (folder / "report" / f"{name}.csv").open(newline="") as file:
            found.append(list(csv.DictReader(file)))
    return found


def test_the_tidy_files_have_every_fit_with_the_swept_keys_once_and_every_row_of_each(grid):
    collection = collect([grid])
    write_report(collection, grid)
    fits, rows = tables(grid)
    assert list(fits[0]) == [
        "fit", "arm", "loss.temperature", "loss.alpha", "optimizer.lr", "seed", "run", "key"
    ]  # fmt: skip
    assert list(rows[0]) == ["fit", "split", "classes", "correction", "metric", "value", "n"]
    assert [fit["arm"] for fit in fits] == ["teacher"] * 2 + ["baseline"] * 4 + ["distilled"] * 24
    own = {fit["fit"]: fit for fit in fits}
    assert {row["fit"] for row in rows} == set(own)
    wanted = {"loss.temperature": "20", "loss.alpha": "0.5", "optimizer.lr": "0.01", "seed": "1", "arm": "distilled"}
    (fit,) = [fit for fit in fits if wanted.items() <= fit.items()]
    run = read(grid / fit["run"] / "results.json")
    assert fit["key"] == run.fits[2].key
    held = [[v for k, v in row.items() if k != "fit"] for row in rows if row["fit"] == fit["fit"]]
    assert held == [list(map(str, astuple(row)[1:])) for row in run.rows if row.arm == "distilled"]


def sweep_of_held_out(tmp_path, val):
    """Write a sweep over held-out classes, each with two temperatures; one teacher for all."""
    for number, (classes, temperature) in enumerate(product(("three", "seven"), (1, 4))):
        found = results(temperature, 0.5, 0.1, 0, accuracy=0.9, val=val[number])
        index = [["three", "seven"].index(classes)]
        found.config["data"] = {"held_out_classes": [classes]}
        found.config["student"]["held_out_classes"] = index
        # As groups of classes differ, so do the rows of the one teacher.
        rows = [replace(row, n=row.n + index[0]) for row in found.rows]
        fits = [replace(fit, key=f"{fit.key}{index if fit.arm != 'teacher' else ''}") for fit in found.fits]
        folder = tmp_path / "held_out" / str(number)
        folder.mkdir(parents=True)
        write(replace(found, rows=rows, fits=fits, held_out_classes=index), folder / "results.json")
    return collect([tmp_path / "held_out"])


def test_settings_are_compared_only_where_they_are_measured_on_the_same_classes(tmp_path):
    collection = sweep_of_held_out(tmp_path, val=(0.5, 0.6, 0.9, 0.8))
    assert collection.keys == ["loss.temperature", "data.held_out_classes"]  # as it was typed
    found = {(best.arm, *best.where.values()): best.values for best in best_by_validation(collection.settings)}
    assert found == {
        ("distilled", "['three']"): {"loss.temperature": "4"},
        ("distilled", "['seven']"): {"loss.temperature": "1"},
    }  # one teacher, and one baseline for each class, are no choice
    first, *_ = collection.best[1]
    assert first.startswith("distilled at data.held_out_classes=")


def test_a_tie_is_called_one(tmp_path, grid):
    collection = sweep_of_held_out(tmp_path, val=(0.5, 0.5, 0.9, 0.9))
    assert "all 2 points are equally good by validation (90.00 % of the seen" in " ".join(map(str, collection.best))
    assert "is the first of them, with the same cross-entropy" in collection.best[0][0]
    settings = collect([grid]).settings
    distilled = (settings["arm"] == "distilled") & (settings["split"] == "val")
    settings.loc[distilled & (settings["metric"] == "accuracy") & (settings["loss.alpha"] == "0.5"), "value"] = 0.8
    settings.loc[distilled & (settings["metric"] == "nll") & (settings["run"] == 8), "value"] = 0.01
    (best,) = [best for best in best_by_validation(settings) if best.arm == "distilled"]
    told = next(best_lines(best))
    assert "6 of 12 points are equally good by validation (80.00 % of the seen classes, mean of 2)" in told
    assert told.endswith("loss.temperature=4, loss.alpha=0.5, optimizer.lr=0.01 has the lowest cross-entropy of them")


def test_failed_unfinished_and_unbegun_points_are_shown_and_corrupt_files_named(grid):
    (grid / "3" / "results.json").unlink()
    (grid / "4" / "results.json").unlink()
    (grid / "4" / "failure.txt").write_text(
        "The config cannot be run:\n  - loss.alpha=7: must lie in [0, 1]\n  - b: c\n"
    )
    (grid / "5" / "results.json").write_text('{"schema_version": 1, "half": ')
    (grid / "6" / "results.json").write_text('{"accuracy": 1.0}')
    (grid / "multirun.yaml").write_text(
        "hydra:\n  overrides:\n    task: ['loss.temperature=1,4,20', 'seed=range(9)']\n"
        "  sweep: {subdir: '${hydra.job.num}'}\n"
        "  sweeper: {_target_: hydra._internal.core_plugins.basic_sweeper.BasicSweeper}\n"
    )
    page = write_report(collect([grid]), grid)
    text = page.read_text()
    assert "20 finished, 3 failed, 4 unfinished" in text
    assert f"{grid / '24'} [loss.temperature=20 seed=6]: not begun" in text
    page = (grid / "report" / "report.md").read_text()
    assert "- 20 finished, 3 failed, 4 unfinished" in page
    assert f"- {grid / '3'} [loss.temperature=1 seed=1]: unfinished" in page
    assert f"- {grid / '4'} [loss.temperature=1 seed=0]: loss.alpha=7: must lie in [0, 1] (and 1 more)" in page
    assert f"- {grid / '24'} [loss.temperature=20 seed=6]: not begun" in page
    assert f"skipped: {grid / '5' / 'results.json'}: not a results.json of schema" in page
    assert f"skipped: {grid / '6' / 'results.json'}: not a results.json of schema" in page


def test_results_of_a_point_whose_later_try_failed_do_not_count(grid):
    (grid / "2" / "failure.txt").write_text("DataError: the data are gone\n")
    collection = collect([grid])
    assert len(collection.runs) == 23
    assert [(lack.folder.name, lack.why) for lack in collection.missing] == [("2", "DataError: the data are gone")]


def test_a_later_run_with_the_same_config_takes_the_place_of_an_earlier(grid):
    copy = grid / "again"
    shutil.copytree(grid / "7", copy)
    (copy / "results.json").write_text((copy / "results.json").read_text().replace('"key": "d', '"key": "e'))
    later = (grid / "7" / "results.json").stat().st_mtime + 5
    os.utime(copy / "results.json", (later, later))
    collection = collect([grid])
    assert len(collection.runs) == 24
    assert [run.folder.name for run in collection.runs if run.folder.name in ("7", "again")] == ["again"]
    assert set(fits(of(grid, "distilled")).values()) == {2}


def test_the_points_of_a_sweep_are_those_that_hydra_makes_of_it(tmp_path):
    record = tmp_path / "multirun.yaml"
    record.write_text(
        "hydra:\n  overrides:\n    task: ['+experiment=x', 'a=1,2', 'b=c,d']\n"
        "  sweep: {subdir: '${hydra.job.num}'}\n"
        "  sweeper: {_target_: hydra._internal.core_plugins.basic_sweeper.BasicSweeper}\n"
    )
    first = ("+experiment=x", "a=1", "b=c")
    assert [point[1:] for point in planned(record)] == [("a=1", "b=c"), ("a=1", "b=d"), ("a=2", "b=c"), ("a=2", "b=d")]
    assert planned(record)[0] == first
    record.write_text("no: record")
    assert planned(record) == []


def test_a_run_that_is_there_twice_counts_once(grid):
    shutil.copytree(grid / "7", grid / "copy of 7")
    collection = collect([grid, grid / "7"])
    assert (len(collection.runs), collection.repeated) == (24, 1)


def test_the_heatmap_has_a_panel_for_each_lr_and_every_mean_in_its_place(grid):
    figure = heatmap(of(grid, "distilled"))
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert len(panels) == 4 * 2
    first = panels[0]
    assert first.get_title() == "all classes\noptimizer.lr=0.01"
    assert (first.get_xlabel(), first.get_ylabel()) == ("loss.temperature", "loss.alpha")
    assert [label.get_text() for label in first.get_xticklabels()] == ["1", "4", "20"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["0.5", "0.9"]
    shown = {text.get_position(): text.get_text() for text in first.texts}
    for x, temperature in enumerate((1, 4, 20)):
        for y, alpha in enumerate((0.5, 0.9)):
            assert shown[x, y] == f"{100 * (0.9 + 0.001 * temperature + 0.01 - 0.05 * alpha):.1f}"


def test_a_point_without_results_is_a_dash_in_the_heatmap(grid):
    for number in (0, 1):
        shutil.rmtree(grid / str(number))
    (first, *_) = heatmap(of(grid, "distilled")).axes
    assert {text.get_position(): text.get_text() for text in first.texts}[0, 0] == "–"


def test_the_lines_have_error_bars_a_panel_for_each_group_and_the_baseline(grid):
    figure = lines(of(grid, "distilled"), of(grid, "baseline"))
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [
        f"{group} classes, {how}" for how in ("uncorrected", "correction prior") for group in ("all", "seen", "unseen")
    ]
    for axis in figure.axes:
        assert len(axis.containers) == 4  # alpha × lr
        container = axis.containers[0]
        assert list(container[0].get_ydata()) == pytest.approx(
            [100 * (0.9 + 0.001 * t + 0.01 - 0.025) for t in (1, 4, 20)]
        )
        (bars,) = container[2]
        low, high = bars.get_segments()[0][:, 1]
        assert high - low == pytest.approx(2 * 100 * HALF * statistics.stdev([0.0, 0.02]), rel=1e-4)
    assert figure.legends[0].get_title().get_text() == "bars: 95 % interval of the mean over seeds (t)"
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        *(f"baseline optimizer.lr={lr}" for lr in (0.01, 0.1)),
        *(f"loss.alpha={a}, optimizer.lr={lr}" for a in (0.5, 0.9) for lr in (0.01, 0.1)),
    }  # fmt: skip


def test_a_baseline_that_gets_nothing_right_is_a_line_too(grid):
    baseline = of(grid, "baseline").assign(value=0.0)
    panel = lines(of(grid, "distilled"), baseline).axes[0]
    dashed = [line for line in panel.lines if line.get_label().startswith("baseline")]
    assert [set(line.get_ydata()) for line in dashed] == [{0.0}, {0.0}]


def test_a_sweep_that_leaves_the_test_set_alone_is_reported_on_the_split_there_is(grid):
    for path in grid.glob("*/results.json"):
        found = read(path)
        write(replace(found, rows=[replace(row, split="val") for row in found.rows if row.split == "test"]), path)
    collection = collect([grid])
    write_report(collection, grid)
    assert {path.stem for path in (grid / "report").glob("*.png")} == {
        "lines_baseline", "heatmap_distilled", "lines_distilled"
    }  # fmt: skip
    assert "distilled at this point, on val: 90.50 ± 12.71 %, 95.0 ± 127.1 errors" in collection.best[1][2]
    assert "On val samples: mean ± half of its 95 % interval (t)" in (grid / "report.html").read_text()
    *_, last = settings_table(collection.settings, collection.keys).rows
    assert last[5:8] == ["88.50 ± 12.71"] * 3


@pytest.mark.parametrize(("temperatures", "rates"), [(5, 12), (60, 2)])
def test_large_figures_are_cut_with_a_note_and_stay_as_wide_as_a_page(make_run, tmp_path, temperatures, rates):
    for number, (t, lr, alpha) in enumerate(product(range(1, temperatures + 1), range(rates), (0.5, 0.9))):
        make_run(number, t, alpha, lr, 0, accuracy=0.5 + 0.001 * t, val=0.5)
    settings = of(tmp_path / "sweep", "distilled")
    cut, large = heatmap(settings), lines(settings)
    assert cut.get_size_inches()[0] <= 16
    assert ("; the first " in cut.get_suptitle()) == (rates > 2)
    assert ("; the first 12 of 24 lines" in large.get_suptitle()) == (rates > 2)
    for panel in (*cut.axes, *large.axes):
        assert len(panel.get_xticklabels()) <= 30


WORDS = [
    "<script>alert(1)</script>",
    '"quoted"',
    "a, b | c",
    "two\nlines",
    "`code` *bold* [link](http://x) ![i](y)",
    "\\",
]


@pytest.mark.parametrize("word", WORDS)
def test_whatever_names_hold_stays_text_in_page_markdown_and_csv(make_run, tmp_path, word):
    for number, value in enumerate((word, f"{word}2")):
        folder = make_run(number, value, 0.5, 0.1, 0, accuracy=0.9, val=0.4 + number / 10)
        found = read(folder / "results.json")
        found.config["question"] = word
        write(replace(found, dataset=word, experiment=word, environment={"command": word}), folder / "results.json")
    sweep = tmp_path / "sweep"
    (sweep / "0" / "failure.txt").write_text(word)
    write_report(collect([sweep]), sweep)
    (sweep / "0" / "failure.txt").unlink()
    write_report(collect([sweep]), sweep)
    fits, rows = tables(sweep)
    assert {fit["loss.temperature"] for fit in fits} == {"", word, f"{word}2"}
    assert all(None not in row and None not in row.values() for row in (*fits, *rows))
    page, text = (sweep / "report.html").read_text(), (sweep / "report" / "report.md").read_text()
    assert page.count("<script") == 1  # the page's own
    assert "<script" not in text.replace("\\<script", "")
    assert text.startswith(f"# {escaped(word)} on {escaped(word)}\n\n")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table}) == 1


def test_an_arm_that_nothing_swept_matters_to_has_no_figure(grid):
    names = [name for name, *_ in figures_of(collect([grid]).settings)]
    assert names == ["lines_baseline", "heatmap_distilled", "lines_distilled"]


def test_the_command_reports_on_one_folder_or_several(grid, commands, tmp_path):
    done = commands.run(grid, module="kdlab.report", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "24 finished, 0 failed, 0 unfinished" in done.stdout
    assert "loss.temperature=4, loss.alpha=0.9, optimizer.lr=0.1 is the best of 12 points by validation" in done.stdout
    assert {path.name for path in (grid / "report").iterdir()} == {
        "fits.csv", "rows.csv", "report.md", "lines_baseline.png", "heatmap_distilled.png", "lines_distilled.png",
    }  # fmt: skip
    several = commands.run(grid / "0", grid / "1", "--to", tmp_path / "two", module="kdlab.report", folder=tmp_path)
    assert "2 finished" in several.stdout
    assert "| distilled | none |" in (tmp_path / "two" / "report" / "report.md").read_text()
    assert (tmp_path / "two" / "report.html").is_file()


def test_the_command_refuses_what_is_no_folder_and_tells_of_an_empty_one(commands, tmp_path):
    missing = commands.run(tmp_path / "gone", module="kdlab.report", folder=tmp_path)
    assert missing.returncode == 2
    assert "no such folder" in missing.stderr
    empty = commands.run(tmp_path, module="kdlab.report", folder=tmp_path)
    assert empty.returncode == 1
    assert empty.stderr == f"no run in {tmp_path}\n"
    assert not list(tmp_path.iterdir())
