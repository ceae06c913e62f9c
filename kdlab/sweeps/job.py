"""One job of a sweep, in its own process or in the launcher's."""

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from hydra._internal.callbacks import Callbacks
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction

from kdlab.config.commands import given_at
from kdlab.config.compose import ComposedConfig, compose_point, without_hydra
from kdlab.fits.processes import serve
from kdlab.outcome import LONGEST, Outcome, mark_failed
from kdlab.sweeps.finished import is_finished
from kdlab.sweeps.slots import Slot

CONSOLE = "console.log"
log = logging.getLogger(__name__)
# The networks of so many points are planned, and in memory, at once.
WINDOW = 128


class Job(NamedTuple):
    """One point: its number in the sweep, its overrides, and the sweep's folder."""

    number: int
    overrides: tuple[str, ...]
    sweep: Path

    @property
    def folder(self) -> Path:
        """The point's folder, unless hydra.sweep.subdir says otherwise."""
        return self.sweep / str(self.number)

    def composed(self, loader: ConfigLoader, config: ComposedConfig) -> ComposedConfig:
        """Return the job's config."""
        return compose_point(loader, config, number=self.number, overrides=self.overrides, sweep=self.sweep)


def run_here(hydra_context: HydraContext, task_function: TaskFunction, composed: ComposedConfig) -> Outcome:
    """Run a composed job in this process; return its outcome."""
    returned: JobReturn = run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=composed,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    if returned.status == JobStatus.COMPLETED:
        return returned.return_value
    message = f"{type(returned._return_value).__name__}: {returned._return_value}"[:LONGEST]
    mark_failed(folder_of(composed), message)
    return Outcome("failed", message)


def folder_of(composed: ComposedConfig) -> Path:
    """Return the folder of a composed job."""
    return Path(composed.hydra.sweep.dir) / str(composed.hydra.sweep.subdir)


def work(loader: ConfigLoader, config: ComposedConfig, slot: Slot, channel: Connection) -> None:
    """Run the jobs that `channel` brings in this new process; report each job's folder, then its outcome.

    The process ends with its parent, and after a job that spent it.
    """
    _settle(slot)
    train = importlib.import_module("kdlab.train")
    context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
    for job in iter(channel.recv, None):
        outcome = run_job_here(context, train.main.__wrapped__, config, job, begun=channel.send)
        channel.send(outcome)
        if outcome.spent:
            break


def work_ahead(
    loader: ConfigLoader,
    config: ComposedConfig,
    jobs: Sequence[Job],
    slot: Slot,
    share: int,
    shares: int,
    channel: Connection,
) -> None:
    """Train this process's share of the stacks of all jobs, with its output in a file of the sweep's folder.

    Sends how many of its fits are done, and how many there are, when that changes.
    """
    _settle(slot)
    with _writing_to(ahead_log(jobs[0].sweep, share)):
        train_ahead_here(loader, config, jobs, share, shares, tell=lambda done, count: channel.send((done, count)))


def ahead_log(sweep: Path, share: int) -> Path:
    """Return the file with the output of the process that trains a share of the stacks."""
    return sweep / f"ahead_{share}.log"


def train_ahead_here(
    loader: ConfigLoader,
    config: ComposedConfig,
    jobs: Sequence[Job],
    share: int = 0,
    shares: int = 1,
    *,
    tell: Callable[[int, int], None],
) -> None:
    """Train a share of the stacks of these jobs in this process; tell how many of the fits planned so far are done."""
    ahead = importlib.import_module("kdlab.sweeps.ahead")
    sweep, earlier, planned = jobs[0].sweep, 0, 0

    def count(done: int, of: int) -> None:
        nonlocal planned
        planned = of
        tell(earlier + done, earlier + of)

    for part in (jobs[start : start + WINDOW] for start in range(0, len(jobs), WINDOW)):
        configs = (composed for job in part if (composed := _composed_if_possible(job, loader, config)))
        try:
            ahead.train_ahead(configs, sweep, began=given_at(sweep), share=share, shares=shares, tell=count)
        except (Exception, SystemExit):  # a network or loss of the user's may do anything
            log.exception("training ahead failed; the points train their fits themselves")
        earlier, planned = earlier + planned, 0


def _composed_if_possible(job: Job, loader: ConfigLoader, config: ComposedConfig) -> ComposedConfig | None:
    try:
        return without_hydra(job.composed(loader, config))
    except Exception:  # the job itself will say so
        return None


def _settle(slot: Slot) -> None:
    """Make this new process one of the launcher's, with its slot's threads and GPU."""
    os.environ.update(slot.environment)
    serve(slot.threads)
    setup_globals()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)


def run_job_here(
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: ComposedConfig,
    job: Job,
    begun: Callable[[Path], None] = lambda _: None,
) -> Outcome:
    """Compose a job and run it in this process, with its output in its folder; tell the folder when it begins."""
    try:
        composed = job.composed(hydra_context.config_loader, config)
        folder = folder_of(composed)
    except Exception as error:  # Hydra's and OmegaConf's have no base in common
        message = f"the config cannot be composed: {error}"[:LONGEST]
        mark_failed(job.folder, message)
        return Outcome("failed", message)
    folder.mkdir(parents=True, exist_ok=True)
    begun(folder)
    if is_finished(composed, hydra_context.callbacks, folder):
        return Outcome("reused", spent=False)
    with _writing_to(folder / CONSOLE):
        return run_here(hydra_context, task_function, composed)


@contextlib.contextmanager
def _writing_to(path: Path) -> Iterator[None]:
    """Redirect this process's output to a file: on the terminal, parallel jobs would write over each other."""
    streams = (sys.stdout, sys.stderr)
    before = [os.dup(number) for number in (1, 2)]
    with path.open("w") as file:
        for number, stream in enumerate(streams, start=1):
            stream.flush()
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            for number, (stream, saved) in enumerate(zip(streams, before, strict=True), start=1):
                stream.flush()
                os.dup2(saved, number)
                os.close(saved)
