"""What the folders of runs hold beside their rows: counts and curves; and the classes that the rows are about."""

import csv
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kdlab.curves import Point, read_curves
from kdlab.measure.confusion import Counts, read_confusion
from kdlab.report.rows import Run
from kdlab.results import Results


class Numbers(NamedTuple):
    """A run's results, and for each of its networks which class it takes for which, and its curve."""

    results: Results
    confusion: Mapping[str, Counts]
    curves: Mapping[str, Sequence[Point]]


def numbers_of(runs: Sequence[Run]) -> tuple[list[Numbers], list[str]]:
    """Return the numbers of runs, and a sentence for each file that is missing or cannot be read.

    Nothing but results.json and CSV files is read: no network is built.
    """
    problems: list[str] = []

    def content(path: Path, read: Callable[[Path], Any]) -> Any:
        try:
            return read(path)
        except (OSError, ValueError, LookupError, TypeError, csv.Error) as error:
            problems.append(f"{path} is left out: {'it is missing' if isinstance(error, FileNotFoundError) else error}")
            return {}

    classes = len(class_names_of([run.results for run in runs]))
    found = []
    for folder, results in runs:
        confusion = content(folder / "confusion.csv", partial(read_confusion, classes=classes))
        found.append(Numbers(results, confusion, content(folder / "curves.csv", read_curves)))
    return found, problems


def class_names_of(results: Sequence[Results]) -> list[str]:
    """Return the names of all classes; the indices of those in the rows for results of an earlier kdlab."""
    if results[0].inputs:
        return list(results[0].inputs.class_names)
    indices = [int(row.classes) for found in results for row in found.rows if row.classes.isdecimal()]
    return [str(c) for c in range(max(indices, default=-1) + 1)]


def held_out_of(results: Sequence[Results]) -> dict[str, list[int]]:
    """Return for each arm the classes that it never saw: those that a correction adds an offset to."""
    rows = (row for found in results for row in found.rows)
    held_out: dict[str, set[int]] = {}
    for row in rows:
        if row.metric == "offset" and row.classes.isdecimal():
            held_out.setdefault(row.arm, set()).add(int(row.classes))
    return {arm: sorted(classes) for arm, classes in held_out.items()}
