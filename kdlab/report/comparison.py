"""Compare a run with published numbers: the experiment's `comparison` as a table and as a CSV file."""

from pathlib import Path
from typing import Any, NamedTuple

from kdlab.config.comparison import DEFAULTS
from kdlab.files import write_csv
from kdlab.report.tables import Table, per_cent
from kdlab.results import Results

# Metrics shown in per cent.
SHARES = ("accuracy", "error_rate", "agreement", "bayes_agreement")


class Line(NamedTuple):
    """One number: what it is, the source's value and this run's value; None for a missing value."""

    show: str
    arm: str
    split: str
    classes: str
    correction: str
    metric: str
    source: float | None
    kdlab: float | None


def comparison_lines(results: Results) -> list[Line]:
    """Return the lines of the experiment's comparison; an empty list if it has no comparison.

    `metric` is a row's metric, `correct` (n − errors) or `error_rate` (errors / n). A list of `classes` gives the mean
    over these classes.
    """
    comparison = results.config.get("comparison") or {"rows": []}
    return [_line(results, DEFAULTS | row) for row in comparison["rows"]]


def _line(results: Results, row: dict[str, Any]) -> Line:
    classes = row["classes"] if isinstance(row["classes"], list) else [row["classes"]]
    values = [_value(results, row, str(c)) for c in classes]
    found = [value for value in values if value is not None]
    mean = sum(found) / len(found) if len(found) == len(values) else None
    shown = "+".join(map(str, classes))
    return Line(row["show"], row["arm"], row["split"], shown, row["correction"], row["metric"], row["source"], mean)


def _value(results: Results, row: dict[str, Any], classes: str) -> float | None:
    derived = {"correct": "errors", "error_rate": "errors"}
    metric = derived.get(row["metric"], row["metric"])
    found = results.find(row["arm"], classes, metric, row["correction"], row["split"])
    if found is None:
        return None
    if row["metric"] == "correct":
        return found.n - found.value
    return found.value / found.n if row["metric"] == "error_rate" else found.value


def write_comparison(results: Results, lines: list[Line], path: Path) -> None:
    """Write the lines as a CSV file; missing values are blank.

    `source_dataset` and `dataset` are the data sets of the source and of this run.
    """
    about = results.config["comparison"]["dataset"], results.dataset
    write_csv(
        path,
        [*Line._fields, "source_dataset", "dataset"],
        ([*line[:-2], _plain(line.source), _plain(line.kdlab), *about] for line in lines),
    )


def _plain(value: float | None) -> float | str:
    if value is None:
        return ""
    return int(value) if float(value).is_integer() else value


def comparison_table(results: Results, lines: list[Line]) -> Table:
    """Return the lines as a table; the caption names the source."""
    about = results.config["comparison"]
    other = "" if about["dataset"] == results.dataset else f" (its numbers are for {about['dataset']})"
    rows = [[line.show, _written(line.source, line.metric), _written(line.kdlab, line.metric)] for line in lines]
    return Table("comparison", f"source: {about['source']}{other}", ["what", "source", "kdlab"], rows)


def _written(value: float | None, metric: str) -> str:
    if value is None:
        return ""
    if metric in SHARES:
        return per_cent(value)
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
