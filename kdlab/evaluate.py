"""The command that measures the networks of a finished run again, or those of a sweep over seeds together.

python -m kdlab.evaluate RUN_DIR
python -m kdlab.evaluate SWEEP_DIR
"""

import argparse
import sys
from collections.abc import Sequence, Set
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console

from kdlab import hardware
from kdlab.errors import KdlabError
from kdlab.files import write_csv
from kdlab.measure.bias_variance import NllLine, split_over_seeds
from kdlab.measure.reopen import measure_again, reopen
from kdlab.report.collection import collect
from kdlab.report.tables import Table
from kdlab.report.terminal import printed, summary
from kdlab.results import SPLITS, Results

SHOWN = 5


def main() -> None:
    """Measure a finished run again and compare with what it stored: exit status 0 if all rows are the same, else 1.

    Of a sweep over seeds, print the split of each arm's NLL into bias and variance, and write it to bias_variance.csv.
    """
    parser = argparse.ArgumentParser(
        prog="python -m kdlab.evaluate",
        description="Measure the networks of a finished run again, and compare with its results.json; "
        "of a sweep over seeds, split their NLL into bias and variance.",
    )
    parser.add_argument("run_dir", type=Path, help="the folder of a run, or of a sweep over seeds")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, help="measure on these instead of the run's own")
    arguments = parser.parse_args()
    try:
        if not (arguments.run_dir / "results.json").exists() and (runs := _over_seeds(arguments.run_dir)):
            _print_split(split_over_seeds(runs), arguments.run_dir / "bias_variance.csv")
            return
        stored, measured = reproduce(arguments.run_dir, tuple(arguments.splits or ()))
    except KdlabError as error:
        sys.exit(str(error))
    Console().print(summary(measured))
    of_run = stored.config["evaluation"]["splits"]
    sys.exit(_compare(stored, measured, set(of_run) & set(arguments.splits or of_run)))


def _over_seeds(folder: Path) -> list[Path]:
    """Return the folders of a sweep's runs; none where there is no run below `folder`.

    Raises:
        KdlabError: when more than seeds differs between them.
    """
    found = collect([folder])
    if found.runs and not found.over_seeds:
        swept = ", ".join(found.keys)
        raise KdlabError(f"{folder}: its runs differ in {swept}; give a run, or a sweep over seeds alone")
    return [run.folder for run in found.runs]


def _print_split(lines: Sequence[NllLine], path: Path) -> None:
    """Print the split of NLL as a table, and write it to a file."""
    header = ["arm", "classes", "nll", "bias", "variance", "n", "seeds"]
    cells = [[it.arm, it.classes, *(f"{part:.5f}" for part in it.split), f"{it.n:,}", str(it.seeds)] for it in lines]
    caption = "NLL (nats) = bias (of the seeds' mean) + variance (their KL from it)"
    Console().print(printed(Table("bias_variance", caption, header, cells, labels=2)))
    write_csv(path, header, [[it.arm, it.classes, *it.split, it.n, it.seeds] for it in lines])
    print(f"written to {path}")


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
