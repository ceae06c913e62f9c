"""The command that tells the classes of images by a network of a finished run.

python -m kdlab.predict RUN_DIR IMAGE…
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from kdlab.api import load
from kdlab.api.finished import FinishedRun
from kdlab.errors import KdlabError
from kdlab.report.tables import Table
from kdlab.report.terminal import printed

# Classes that are told of each image, the most probable first.
SHOWN = 3


def main() -> None:
    """Print the most probable classes of each image; with --csv the probabilities of all, as CSV."""
    parser = argparse.ArgumentParser(
        prog="python -m kdlab.predict", description="Tell the classes of images by a network of a finished run."
    )
    parser.add_argument("run_dir", type=Path, help="the run's folder, which holds results.json and checkpoints/")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument("--arm", default="distilled", help="the network; default: distilled")
    parser.add_argument("--csv", action="store_true", help="print the probability of every class, as CSV")
    given = parser.parse_args()
    try:
        found = load(given.run_dir)
        if not isinstance(found, FinishedRun):
            raise KdlabError(f"{given.run_dir} is a sweep: give one of its points")
        if given.arm not in found.networks:
            raise KdlabError(f"--arm {given.arm}: there are {', '.join(found.networks)}")
        probabilities = found.networks[given.arm].predict(given.images)
    except KdlabError as error:
        sys.exit(str(error))
    if given.csv:
        print(probabilities.to_csv(index_label="image", lineterminator="\n"), end="")
        return
    shown = min(SHOWN, probabilities.shape[1])
    rows = []
    for image, of_image in probabilities.iterrows():
        best = of_image.nlargest(shown)
        rows.append([str(image), *(f"{name} {100 * share:.1f} %" for name, share in best.items())])
    Console().print(
        printed(Table("classes", f"by {given.arm}", ["image", "class", *[""] * (shown - 1)], rows, labels=shown + 1))
    )


if __name__ == "__main__":
    main()
