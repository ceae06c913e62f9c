"""The end of a sweep under any launcher: write its report and set the exit status."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from kdlab.config.compose import ComposedConfig, one_folder
from kdlab.errors import DiskFull, KdlabError
from kdlab.outcome import if_interrupted, reason, stage

if TYPE_CHECKING:
    from kdlab.report.rows import Run

log = logging.getLogger(__name__)


class SweepEnd(Callback):
    """Writes the report into the sweep's folder; exits with status 1 if a point lacks results, or the report fails.

    Hydra turns any other exception of a callback into a warning.
    """

    def on_multirun_start(self, config: ComposedConfig, **kwargs: Any) -> None:
        """Refuse a folder that all points would share."""
        if_interrupted("Interrupted. The same command goes on where it was cut off.")
        if one_folder(config):
            sys.exit(
                f"hydra.sweep.subdir={config.hydra.sweep.subdir}: all points would be written into one folder; "
                "leave it out, or let it hold ${hydra.job.num}"
            )

    def on_multirun_end(self, config: ComposedConfig, **kwargs: Any) -> None:
        """Write, print and log the report."""
        sweep = Path(config.hydra.sweep.dir)
        if_interrupted(f"Interrupted, with all points at their end; python -m kdlab.report {sweep} writes the report.")
        try:
            whole = _reported(sweep)
        except KdlabError as error:
            log.error("%s", error)
            whole = False
        except Exception:
            log.exception("the sweep's report could not be written; python -m kdlab.report %s tries again", sweep)
            whole = False
        if not whole:
            sys.exit(1)


def _reported(sweep: Path) -> bool:
    """Write, print and log the report; return whether no point lacks results."""
    from kdlab.report.collection import collect
    from kdlab.report.overview import log_overview
    from kdlab.report.sweep import write_report
    from kdlab.report.terminal import print_report

    collection = collect([sweep])
    if collection.over_seeds:
        _draw_first(collection.runs[0])
    with stage(f"the report in {sweep}"):
        page, report = write_report(collection, sweep), sweep / "report"
        figures = {path.stem: path.read_bytes() for path in sorted(report.glob("*.png"))}
        log_overview(sweep / "tensorboard", {"report": (report / "report.md").read_text()}, figures)
        print_report(collection, page, sweep)
    return not collection.missing


def _draw_first(first: "Run") -> None:
    """Draw the page of the first seed's run, whose images the sweep's page shows, unless it is there or not wanted."""
    if (first.folder / "report.html").exists() or first.results.config.get("figures") is False:
        return
    from kdlab.report.again import draw_again  # imports torch and lightning

    try:
        with stage("the first seed's page"):
            draw_again(first.folder)
    except DiskFull:
        raise
    except Exception as error:  # figures meet data that nobody thought of, and the data may be on other machines
        log.warning(
            "the page of %s could not be drawn (%s); python -m kdlab.report %s tries again",
            first.folder, reason(error), first.folder,
        )  # fmt: skip
