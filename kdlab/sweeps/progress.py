"""What a sweep shows while it is under way: one line."""

import logging
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kdlab.outcome import Outcome

# The longest time between two looks at what is under way.
REFRESH_SECONDS = 0.5

log = logging.getLogger(__name__)


class ChangingLine:
    """A line of text that changes: redrawn if the output is a terminal, else logged now and then.

    Args:
        line_seconds: the shortest time between two lines of the log.
    """

    def __init__(self, line_seconds: float = 10.0) -> None:
        self.line_seconds = line_seconds
        self._last = time.monotonic()
        console = Console(stderr=True)
        self._live = Live(console=console, auto_refresh=False, transient=False) if console.is_terminal else None
        if self._live:
            self._live.start()

    @property
    def drawn(self) -> bool:
        """Whether the line is redrawn, on a terminal."""
        return self._live is not None

    def show(self, text: str, *, last: bool = False) -> None:
        """Show the text; the last one is always logged."""
        if self._live:
            self._live.update(Text(text), refresh=True)
        elif last or time.monotonic() - self._last >= self.line_seconds:
            self._last = time.monotonic()
            log.info("%s", text)

    def close(self) -> None:
        """Stop drawing; the last text stays."""
        if self._live:
            self._live.stop()


class SweepProgress:
    """Counts points that are done, reused, failed and running; estimates the time left.

    Args:
        total: number of points.
        each: log a line for each point, instead of one that changes.
    """

    def __init__(self, total: int, *, each: bool = False) -> None:
        self.total = total
        self.running = 0
        self.counts = {"trained": 0, "reused": 0, "failed": 0}
        self._began = time.monotonic()
        self._line = None if each else ChangingLine()

    def started(self) -> None:
        """Count a point that starts."""
        self.running += 1

    def ended(self, outcome: Outcome, point: str = "") -> None:
        """Count a point that has ended."""
        self.running -= 1
        self.counts[outcome.status] += 1
        if self._line:
            self._line.show(str(self), last=not self._left())
        else:
            log.info("%s: %s; %s", point, outcome.status, self)

    def refresh(self) -> None:
        """Redraw the line, where it is drawn."""
        if self._line and self._line.drawn:
            self._line.show(str(self))

    def close(self) -> None:
        """Stop drawing; the last line stays."""
        if self._line:
            self._line.close()

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


def ahead_of(done: int, count: int) -> str:
    """Return how far the distinct fits are that are trained before the points that need them."""
    return f"ahead: {done}/{count} fits trained, {count - done} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
