"""The curves of fits, each a list of (epoch, figure, value), and the CSV files that hold them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from kdlab.files import write_csv

Point = tuple[int, str, float]
COLUMNS = ("epoch", "figure", "value")


def write_curves(curves: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Write the curves of several fits as a CSV file with the columns arm, epoch, figure, value."""
    write_csv(path, ["arm", *COLUMNS], ([arm, *point] for arm, points in curves.items() for point in points))


def write_curve(curve: Sequence[Point], path: Path) -> None:
    """Write the curve of one fit as a CSV file with the columns epoch, figure, value."""
    write_csv(path, COLUMNS, curve)


def read_curves(path: Path) -> dict[str, list[Point]]:
    """Read the curves of several fits."""
    curves: dict[str, list[Point]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            curves.setdefault(row["arm"], []).append((int(row["epoch"]), row["figure"], float(row["value"])))
    return curves


def read_curve(path: Path) -> list[Point]:
    """Read the curve of one fit."""
    with path.open(newline="") as file:
        return [(int(row["epoch"]), row["figure"], float(row["value"])) for row in csv.DictReader(file)]
