"""The report as a command, at any time, also while a sweep runs.

python -m kdlab.report DIR...
"""

import argparse
import sys
from pathlib import Path

from kdlab.report.collection import collect
from kdlab.report.sweep import write_report
from kdlab.report.terminal import print_report


def main() -> None:
    """Report on the folders that the command line names; exit status 1 if there is no finished run."""
    parser = argparse.ArgumentParser(
        prog="python -m kdlab.report", description="Tables and figures of a run, a sweep, or several."
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folders of runs or sweeps")
    parser.add_argument(
        "--to", type=Path, help="where to write report.html and report/; in DIR, or in ./report for more than one"
    )
    arguments = parser.parse_args()
    if absent := [str(folder) for folder in arguments.folders if not folder.is_dir()]:
        parser.error(f"no such folder: {', '.join(absent)}")
    only = arguments.folders[0] if len(arguments.folders) == 1 else None
    collection = collect(arguments.folders)
    if not (collection.runs or collection.missing or collection.skipped):
        sys.exit(f"no run in {', '.join(map(str, arguments.folders))}")
    print_report(collection, write_report(collection, arguments.to or only or Path("report")), only)
    sys.exit(0 if collection.runs else 1)


if __name__ == "__main__":
    main()
