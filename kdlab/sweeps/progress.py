"""A sweep's progress in one line."""

import logging
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kdlab.outcome import Outcome

log = logging.getLogger(__name__)


class SweepProgress:
    """Counts points that are done, reused, failed and running; estimates the time left.

    Args:
        total: number of points.
        each: log a line for each point; otherwise redraw one line if the output is a terminal, or log one now and then.
        line_seconds: the shortest time between two such lines; the last point is always logged.
    """

    def __init__(self, total: int, *, each: bool = False, line_seconds: float = 10.0) -> None:
        self.total, self.each, self.line_seconds = total, each, line_seconds
        self.running = 0
        self.counts = {"trained": 0, "reused": 0, "failed": 0}
        self._began = self._last_line = time.monotonic()
        console = Console(stderr=True)
        drawn = console.is_terminal and not each
        self._live = Live(console=console, auto_refresh=False, transient=False) if drawn else None
        if self._live:
            self._live.start()

    def started(self) -> None:
        """Count a point that starts."""
        self.running += 1

    def ended(self, outcome: Outcome, point: str = "") -> None:
        """Count a point that has ended."""
        self.running -= 1
        self.counts[outcome.status] += 1
        due = time.monotonic() - self._last_line >= self.line_seconds or not self._left()
        if self.each:
            log.info("%s: %s; %s", point, outcome.status, self)
        elif self._live is None and due:
            self._last_line = time.monotonic()
            log.info("%s", self)

    def refresh(self) -> None:
        """Redraw the line."""
        if self._live:
            self._live.update(Text(str(self)), refresh=True)

    def close(self) -> None:
        """Stop drawing; the last line stays."""
        if self._live:
            self._live.stop()

    def _left(self) -> int:
        return self.total - sum(self.counts.values())

    def __str__(self) -> str:
        done = f"{sum(self.counts.values())}/{self.total} done, {self.counts['reused']} reused"
        return f"{done}, {self.counts['failed']} failed, {self.running} running, {self._time_left()}"

    def _time_left(self) -> str:
        """Estimate the time left from the points that were trained, as if no other could be reused."""
        elapsed = time.monotonic() - self._began
        if not self._left():
            return f"in {_duration(elapsed)}"
        if not self.counts["trained"]:
            return "time left unknown"
        return f"about {_duration(elapsed / self.counts['trained'] * self._left())} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
