"""Which class each network takes for which: a matrix of counts for each, and the CSV file that holds them."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdlab.files import write_csv

if TYPE_CHECKING:  # the report of a sweep reads these files without torch
    from torch import Tensor

# (C, C): in row i and column j, the number of samples of class i whose first choice is class j.
Counts = NDArray[np.int64]


def confusion(logits: "Tensor", labels: "Tensor") -> Counts:
    """Return the counts of one network, from logits (N, C) and labels (N,)."""
    classes = logits.shape[1]
    places = labels * classes + logits.argmax(dim=1)
    return places.bincount(minlength=classes**2).reshape(classes, classes).numpy()


def write_confusion(counts: Mapping[str, Counts], path: Path) -> None:
    """Write the counts of several networks as a CSV file with the columns arm, true, choice, samples, without zeros."""
    rows = ([arm, i, j, int(own[i, j])] for arm, own in counts.items() for i, j in np.argwhere(own).tolist())
    write_csv(path, ["arm", "true", "choice", "samples"], rows)


def read_confusion(path: Path, classes: int) -> dict[str, Counts]:
    """Read the counts of several networks, (C, C) for each.

    Args:
        path: of the CSV file.
        classes: C.

    Raises:
        ValueError: when the file is not as `write_confusion` writes it.
    """
    counts: dict[str, Counts] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                true, choice, samples = (int(row[name]) for name in ("true", "choice", "samples"))
                matrix = counts.setdefault(row["arm"], np.zeros((classes, classes), dtype=np.int64))
            except (KeyError, TypeError) as error:
                raise ValueError(f"a line of {path} lacks a column") from error
            if not (0 <= true < classes and 0 <= choice < classes and samples > 0):
                raise ValueError(f"{path}: {samples} samples of class {true} as {choice}, of {classes} classes")
            matrix[true, choice] = samples
    return counts
