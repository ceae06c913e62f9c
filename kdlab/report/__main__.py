"""Command: write the page of a run, a sweep or several of them, without training; works while a sweep runs, too.

python -m kdlab.report DIR...
"""

import argparse
import sys
from pathlib import Path

from kdlab.errors import KdlabError
from kdlab.report.collection import collect
from kdlab.report.sweep import write_report
from kdlab.report.terminal import print_report, print_run


def main() -> None:
    """Report on the folders given on the command line; exit with status 1 if they hold no finished run."""
    parser = argparse.ArgumentParser(
        prog="python -m kdlab.report",
        description="Write the page of a finished run or of one point of a sweep, without training. For a sweep or "
        "several runs, write a report: tables, figures and a page.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folders of runs or sweeps")
    parser.add_argument(
        "--to",
        type=Path,
        help="folder for report.html and report/ of a sweep or several runs (default: DIR; ./report for several)",
    )
    arguments = parser.parse_args()
    if absent := [str(folder) for folder in arguments.folders if not folder.is_dir()]:
        parser.error(f"no such folder: {', '.join(absent)}")
    only = arguments.folders[0] if len(arguments.folders) == 1 else None
    if only and not arguments.to and (only / "results.json").exists():
        try:
            return _draw_run(only)
        except (KdlabError, OSError) as error:
            print(f"{error}\nCannot draw the page of this run; its tables follow:", file=sys.stderr)
    collection = collect(arguments.folders)
    if not (collection.runs or collection.missing or collection.skipped):
        sys.exit(f"no run in {', '.join(map(str, arguments.folders))}")
    print_report(collection, write_report(collection, arguments.to or only or Path("report")), only)
    sys.exit(0 if collection.runs else 1)


def _draw_run(folder: Path) -> None:
    from kdlab.report.again import draw_again

    results, page = draw_again(folder)
    print_run(results, page, folder)


if __name__ == "__main__":
    main()
