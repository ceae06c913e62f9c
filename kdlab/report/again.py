"""Draw the page of a finished run, from its folder: its networks are built and measured again, nothing is trained."""

from pathlib import Path

from kdlab.measure.reopen import measure_again, reopen
from kdlab.report.run import illustrate
from kdlab.results import Results


def draw_again(folder: Path) -> tuple[Results, Path]:
    """Write a run's figures and page; return its results and the page's path.

    The classes that the run's config names are built: to draw a run is to run the code that it names.

    Raises:
        KdlabError: when the folder holds no finished run, or its data, networks or weights cannot be had.
    """
    results, context, fits = reopen(folder)
    return results, illustrate(context, fits, measure_again(results, context, fits), results)
