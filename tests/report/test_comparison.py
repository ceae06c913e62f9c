"""Published figures beside a run's own."""

import csv
import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from kdlab.report.comparison import comparison_lines, comparison_table, write_comparison
from kdlab.report.tables import cost_table
from kdlab.report.terminal import printed
from kdlab.results import Fit, Inputs, Results, Row

ROWS = [
    {"show": "teacher errors", "arm": "teacher", "metric": "errors", "source": 67},
    {"show": "right, train", "arm": "student", "metric": "correct", "split": "train", "source": 59926},
    {"show": "error rate, prior", "arm": "student", "metric": "error_rate", "correction": "prior"},
    {"show": "mean of 1 and 2", "arm": "student", "metric": "accuracy", "classes": [1, 2], "source": 0.5},
    {"show": "what this run lacks", "arm": "gone", "metric": "errors", "source": 12},
    {"show": "half of it is lacking", "arm": "student", "metric": "accuracy", "classes": [1, 7]},
]


def results(**comparison: object) -> Results:
    rows = [
        Row("teacher", "test", "all", "none", "errors", 70, 10_000),
        Row("student", "train", "all", "none", "errors", 74.0, 60_000),
        Row("student", "test", "all", "prior", "errors", 132, 1000),
        Row("student", "test", "1", "none", "accuracy", 0.25, 40),
        Row("student", "test", "2", "none", "accuracy", 1.0, 4),
    ]
    settings = {"source": "someone 2015", "dataset": "mnist", "rows": ROWS} | comparison
    fits = [Fit(arm, "0", False, 1, 1.0, 1) for arm in ("teacher", "student")]
    inputs = Inputs([1, 28, 28], list("0123456789"), None)
    return Results("x", "mnist", 0, [], {"comparison": settings}, {}, fits, rows, inputs=inputs)


def test_each_line_holds_the_sources_figure_and_the_runs():
    found = {line.show: (line.source, line.kdlab) for line in comparison_lines(results())}
    assert found == {
        "teacher errors": (67, 70),
        "right, train": (59926, 59926),
        "error rate, prior": (None, 0.132),
        "mean of 1 and 2": (0.5, 0.625),
        "what this run lacks": (12, None),
        "half of it is lacking": (None, None),
    }


def test_an_experiment_without_a_comparison_has_no_lines():
    without = results()
    without.config["comparison"] = None
    assert comparison_lines(without) == []


def test_the_csv_file_leaves_blank_what_there_is_not(tmp_path):
    write_comparison(results(), comparison_lines(results()), tmp_path / "comparison.csv")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["kdlab"] for row in table] == ["70", "59926", "0.132", "0.625", "", ""]
    assert [row["source"] for row in table] == ["67", "59926", "", "0.5", "12", ""]
    assert table[3]["classes"] == "1+2"
    assert table[2]["correction"] == "prior"
    assert {(row["source_dataset"], row["dataset"]) for row in table} == {("mnist", "mnist")}


def printed_lines(found: Results) -> tuple[str, dict[str, list[str]]]:
    out = io.StringIO()
    Console(file=out, width=100).print(printed(comparison_table(found, comparison_lines(found))))
    cells = [[cell.strip() for cell in line.split("│")] for line in out.getvalue().splitlines() if "│" in line]
    return " ".join(out.getvalue().split()), {first: rest for first, *rest in cells}


def test_the_printed_table_has_both_columns():
    text, lines = printed_lines(results())
    assert "source: someone 2015" in text
    assert "left out" not in text
    assert lines["teacher errors"] == ["67", "70"]
    assert lines["error rate, prior"] == ["", "13.20 %"]
    assert lines["mean of 1 and 2"] == ["50.00 %", "62.50 %"]
    assert lines["right, train"] == ["59,926", "59,926"]


THREE_HELD_OUT = {"data.held_out_classes": [3], "student.net.widths": [800]}


@pytest.mark.parametrize(
    ("dataset", "about", "data", "reason"),
    [
        ("mnist", THREE_HELD_OUT, {"held_out_classes": ["3"]}, ""),  # the class of that name is the third
        ("cifar10", {}, {}, "for cifar10, and this run is on mnist"),
        ("mnist", THREE_HELD_OUT, {"held_out_classes": [7, 8]},
         "for data.held_out_classes=[3], and this run has [7,8]"),
        ("mnist", {"data.held_out_classes": [30]}, {"held_out_classes": []},  # other data have fewer classes
         "for data.held_out_classes=[30], and this run has []"),
        ("mnist", {"student.net.depth": 3}, {}, "for student.net.depth=3, which this run's config lacks"),
    ],
)  # fmt: skip
def test_a_sources_figures_stand_beside_a_result_only_where_the_run_did_what_the_source_did(
    tmp_path, dataset, about, data, reason
):
    found = results(dataset=dataset, about=about)
    found.config.update(data=data, student={"net": {"widths": [800]}})
    text, lines = printed_lines(found)
    assert [lines["teacher errors"], lines["right, train"]] == (
        [["", "70"], ["", "59,926"]] if reason else [["67", "70"], ["59,926", "59,926"]]
    )
    assert (f"its figures are left out: they are {reason}" if reason else "someone 2015 what") in text
    write_comparison(found, comparison_lines(found), tmp_path / "comparison.csv")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert table[0]["source"] == ("" if reason else "67")
    assert {row["left_out"] for row in table} == {reason}


def test_an_arm_that_the_comparison_does_not_name_is_shown_with_what_it_shows_of_others():
    found = results()
    found.fits.append(Fit("mine", "0", False, 1, 1.0, 1))
    found.rows.extend(
        [Row("mine", "test", "all", "none", "errors", 9, 10), Row("mine", "test", "all", "prior", "errors", 8, 10)]
    )
    _, lines = printed_lines(found)
    assert {name: line for name, line in lines.items() if name.startswith("mine")} == {
        "mine errors": ["", "9"],
        "mine error_rate, prior": ["", "80.00 %"],
    }


def test_costs_that_were_measured_are_a_table_of_what_each_network_takes_of_the_teachers():
    costs = {"teacher": (1000, 4000, 2.0), "student": (250, 1200, 0.5)}
    rows = [
        Row(arm, "cost", "all", "none", metric, value, 1)
        for arm, values in costs.items()
        for metric, value in zip(("parameters", "bytes", "latency_ms"), values, strict=True)
    ]
    table = cost_table(replace(results(), rows=rows))
    assert table.rows == [["teacher", "1,000", "4,000", "2"], ["student", "250 (25%)", "1,200 (30%)", "0.5 (25%)"]]
    assert cost_table(results()) is None
