"""One fit's progress: a bar on a terminal, a line now and then elsewhere."""

import logging
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)


class FitProgress(Callback):
    """Show a fit's epoch, mean training loss and validation accuracy.

    Args:
        name: of the fit: `teacher`, or the arm.
        console: where to show it; a terminal gets a bar, anything else gets log lines.
        line_seconds: the least time between two log lines; the last epoch always gets one.
    """

    def __init__(self, name: str, console: Console | None = None, line_seconds: float = 10.0) -> None:
        self.name = name
        self.console = console
        self.line_seconds = line_seconds
        self._bar: Progress | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Open the bar, or note the time."""
        self._last_line = time.monotonic()
        self._steps = int(trainer.num_training_batches)
        self._stride = max(1, self._steps // 50)
        self.console = self.console or Console(stderr=True)  # made here, since it cannot be pickled for another process
        if trainer.is_global_zero and self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(16), TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(elapsed_when_finished=True), console=self.console,
            )  # fmt: skip
            self._task = self._bar.add_task(self.name, total=self._steps * (trainer.max_epochs or 1), figures="")
            self._bar.start()

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Show the figures of the epoch that has just ended; they are complete only now."""
        if self._bar:
            epoch = f"{self.name} epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._bar.update(self._task, description=epoch, figures=_figures(trainer))
        elif trainer.current_epoch and time.monotonic() - self._last_line >= self.line_seconds:
            self._line(trainer, trainer.current_epoch)

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        """Move the bar, a few dozen times in an epoch."""
        if self._bar and trainer.fit_loop.batch_idx % self._stride == 0:
            done = trainer.current_epoch * self._steps + trainer.fit_loop.batch_idx + 1
            self._bar.update(self._task, completed=done)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Show the last epoch."""
        if self._bar:
            self._bar.update(self._task, completed=self._bar.tasks[0].total, figures=_figures(trainer))
            self._bar.stop()
            self._bar = None
        else:
            self._line(trainer, trainer.current_epoch)

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Stop the bar."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _line(self, trainer: Trainer, epochs: int) -> None:
        self._last_line = time.monotonic()
        if trainer.is_global_zero:
            log.info("%s: epoch %d/%d  %s", self.name, epochs, trainer.max_epochs, _figures(trainer))


def _figures(trainer: Trainer) -> str:
    metrics = trainer.callback_metrics
    figures = []
    if "train/loss" in metrics:
        figures.append(f"loss {metrics['train/loss'].item():.3g}")
    if "val/accuracy_seen" in metrics:
        of_seen = " (seen)" if "val/accuracy_unseen" in metrics else ""
        figures.append(f"val accuracy{of_seen} {metrics['val/accuracy_seen'].item():.2%}")
    return "  ".join(figures)
