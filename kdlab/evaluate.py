"""The command that measures the networks of a finished run again.

python -m kdlab.evaluate RUN_DIR
"""

import argparse
import sys
from collections.abc import Set
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console

from kdlab import hardware
from kdlab.errors import KdlabError
from kdlab.measure.reopen import measure_again, reopen
from kdlab.report.terminal import summary
from kdlab.results import SPLITS, Results

SHOWN = 5


def main() -> None:
    """Measure a finished run again and compare with what it stored: exit status 0 if all rows are the same, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m kdlab.evaluate",
        description="Measure the networks of a finished run again, and compare with its results.json.",
    )
    parser.add_argument("run_dir", type=Path, help="the run's folder, which holds results.json and checkpoints/")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, help="measure on these instead of the run's own")
    arguments = parser.parse_args()
    try:
        stored, measured = reproduce(arguments.run_dir, tuple(arguments.splits or ()))
    except KdlabError as error:
        sys.exit(str(error))
    Console().print(summary(measured))
    of_run = stored.config["evaluation"]["splits"]
    sys.exit(_compare(stored, measured, set(of_run) & set(arguments.splits or of_run)))


def reproduce(folder: Path, splits: tuple[str, ...] = ()) -> tuple[Results, Results]:
    """Measure the networks of a finished run again.

    Args:
        folder: of the run.
        splits: to measure on; empty for those of the run.

    Returns:
        (as stored, as measured now).

    Raises:
        KdlabError: when the folder holds no finished run, or its data, networks or weights cannot be had.
    """
    stored, context, fits = reopen(folder)
    rows = measure_again(stored, context, fits, splits or None).rows
    return stored, replace(stored, rows=rows, environment=hardware.environment(context.hardware))


def _compare(stored: Results, measured: Results, splits: Set[str]) -> int:
    """Print how the rows of these splits compare; return the exit status."""
    before, now = _rows_of(stored, splits), _rows_of(measured, splits)
    if not (before or now):
        print("no row to compare: results.json has none of what was measured now")
        return 0
    if before == now:
        print(f"all {len(now)} stored rows are reproduced exactly")
        return 0
    differing = [key for key in before.keys() | now.keys() if before.get(key) != now.get(key)]
    print(f"{len(differing)} of {len(before)} rows differ from results.json; the first:")
    for key in sorted(differing)[:SHOWN]:
        print(f"  {' '.join(key)}: stored {before.get(key)}, now {now.get(key)}")
    for name, value in measured.environment.items():
        if value != stored.environment.get(name):
            print(f"the run's {name} was {stored.environment.get(name)}, now it is {value}: last digits may differ")
    return 1


def _rows_of(results: Results, splits: Set[str]) -> dict[tuple[str, ...], tuple[float, int]]:
    """Return the rows of `splits`, and those that do not depend on them: `prior` offsets and the Bayes error."""
    return {
        (row.arm, row.split, row.classes, row.correction, row.metric): (row.value, row.n)
        for row in results.rows
        if row.split == "distribution" or (row.correction, row.metric) == ("prior", "offset") or row.split in splits
    }


if __name__ == "__main__":
    main()
