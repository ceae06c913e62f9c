"""The end of a sweep under any launcher: write its report and set the exit status."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback

from kdlab.config.compose import ComposedConfig


class SweepEnd(Callback):
    """Writes the report into the sweep's folder; exits with status 1 if a point has no results."""

    def on_multirun_end(self, config: ComposedConfig, **kwargs: Any) -> None:
        """Write, print and log the report."""
        from kdlab.report.collection import collect
        from kdlab.report.overview import log_overview
        from kdlab.report.sweep import write_report
        from kdlab.report.terminal import print_report

        sweep = Path(config.hydra.sweep.dir)
        collection = collect([sweep])
        try:
            page, report = write_report(collection, sweep), sweep / "report"
            figures = {path.stem: path.read_bytes() for path in sorted(report.glob("*.png"))}
            log_overview(sweep / "tensorboard", {"report": (report / "report.md").read_text()}, figures)
            print_report(collection, page, sweep)
        finally:
            if collection.missing:
                sys.exit(1)
