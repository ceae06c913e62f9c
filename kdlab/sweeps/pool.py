"""`hydra/launcher=pool`: run the jobs of a sweep side by side on one machine, each in a new process and its own slot.

A job that raises, exits or is killed is one failed point; the others go on. With one slot the jobs run in the
launcher's own process, so that a signal that kills a job kills the sweep.
"""

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction

from kdlab.config.compose import ComposedConfig
from kdlab.errors import ConfigError, Terminated, stop_status
from kdlab.outcome import Outcome, mark_failed
from kdlab.sweeps.job import Job, run_here, work
from kdlab.sweeps.progress import SweepProgress
from kdlab.sweeps.slots import Slot, cores, slots_for, visible_gpus

REFRESH_SECONDS = 0.5

log = logging.getLogger(__name__)


def launch(
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: ComposedConfig,
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
    *,
    slots: Any,
    jobs_per_gpu: Any,
    gpus: Any,
) -> list[JobReturn]:
    """Run the jobs; return an `Outcome` for each. A failed job is not an error here, since the others' results count.

    Raises:
        CompactHydraException: when the launcher's settings are wrong; Hydra shows it without a traceback.
        SystemExit: with status 130 on Ctrl-C, 143 on SIGTERM, after all jobs have been stopped.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    sweep = Path(config.hydra.sweep.dir)
    sweep.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        places = slots_for(len(job_overrides), _gpus(config, gpus), cores(), slots=slots, jobs_per_gpu=jobs_per_gpu)
    except ConfigError as error:
        raise CompactHydraException(str(error)) from None
    jobs = [
        Job(number, tuple(overrides), sweep) for number, overrides in enumerate(job_overrides, start=initial_job_idx)
    ]
    log.info("%d points, %s, results in %s", len(jobs), _described(places), sweep)
    try:
        if len(places) == 1:
            outcomes = _one_by_one(hydra_context, task_function, config, jobs, places[0])
        else:
            outcomes = Pool(hydra_context, config, places).run(jobs)
    except (KeyboardInterrupt, Terminated) as stop:
        log.error("Interrupted. The same command goes on where it was cut off.")
        sys.exit(stop_status(stop))
    return [_returned(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]


def _terminated(*_: Any) -> None:
    raise Terminated


def _gpus(config: ComposedConfig, gpus: Any) -> list[str]:
    if gpus != "auto":
        if not isinstance(gpus, Sequence) or isinstance(gpus, str) or not gpus:
            raise ConfigError(
                [f"hydra.launcher.gpus={gpus}: must be auto or a list such as [0,2]; to use no GPU, trainer=cpu"]
            )
        return [str(gpu) for gpu in gpus]
    return [] if config.get("trainer", {}).get("accelerator") == "cpu" else visible_gpus()


def _described(places: list[Slot]) -> str:
    on = f" on GPU {', '.join(str(place.gpu) for place in places)}" if places[0].gpu is not None else ""
    threads = f", threads each: {places[0].threads}" if len(places) > 1 else ""
    return f"{len(places)} at once{on}{threads}"


def _returned(job: Job, outcome: Outcome) -> JobReturn:
    returned = JobReturn(overrides=list(job.overrides), status=JobStatus.COMPLETED)
    returned.return_value = outcome
    return returned


def _one_by_one(
    hydra_context: HydraContext, task_function: TaskFunction, config: ComposedConfig, jobs: list[Job], place: Slot
) -> list[Outcome]:
    """Run the jobs in this process, one after the other, with as many threads as a single run."""
    if place.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = place.gpu
    progress = SweepProgress(len(jobs), on_terminal=False)
    outcomes = []
    for job in jobs:
        log.info("point %d: %s", job.number, " ".join(filter_overrides(job.overrides)))
        progress.started()
        outcomes.append(run_here(hydra_context, task_function, job.composed(hydra_context.config_loader, config)))
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        progress.ended(outcomes[-1])
    return outcomes


@dataclass
class Running:
    """A job, its process, the connection on which it reports its folder and then its outcome, and its slot."""

    job: Job
    process: BaseProcess
    reports: Connection
    slot: Slot


class Pool:
    """Runs each job in a new process, forked from one that has done the slow imports, as slots become free."""

    def __init__(self, hydra_context: HydraContext, config: ComposedConfig, slots: list[Slot]) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["kdlab.sweeps.preload"])
        self.hydra_context = hydra_context
        self.config = config
        self.free = list(slots)
        self.running: list[Running] = []

    def run(self, jobs: list[Job]) -> list[Outcome]:
        """Run the jobs; return their outcomes in the same order."""
        waiting, outcomes = list(reversed(jobs)), dict[int, Outcome]()
        progress = SweepProgress(len(jobs))
        try:
            while waiting or self.running:
                while waiting and self.free:
                    self._start(waiting.pop())
                    progress.started()
                wait([running.process.sentinel for running in self.running], timeout=REFRESH_SECONDS)
                for running in [running for running in self.running if not running.process.is_alive()]:
                    outcomes[running.job.number] = self._end(running)
                    progress.ended(outcomes[running.job.number])
                progress.refresh()
        finally:
            progress.close()
            for running in self.running:
                running.process.kill()
                running.process.join()
        return [outcomes[job.number] for job in jobs]

    def _start(self, job: Job) -> None:
        slot = self.free.pop(0)
        reports, channel = self.context.Pipe(duplex=False)
        process = self.context.Process(
            target=work, args=(self.hydra_context.config_loader, self.config, job, slot, channel)
        )
        process.start()
        channel.close()
        self.running.append(Running(job, process, reports, slot))

    def _end(self, running: Running) -> Outcome:
        self.running.remove(running)
        self.free.append(running.slot)
        running.process.join()
        folder, outcome = running.job.folder, None
        try:
            while running.reports.poll():
                said = running.reports.recv()
                folder, outcome = (said, outcome) if isinstance(said, Path) else (folder, said)
        except (EOFError, OSError):  # the process was killed while it reported
            pass
        if outcome is None:
            outcome = Outcome("failed", _death(running.process.exitcode or 0))
            mark_failed(folder, outcome.message)
        return outcome


def _death(status: int) -> str:
    if status < 0:
        return f"killed by signal {-status} ({signal.strsignal(-status)}); perhaps out of memory"
    return f"ended with exit status {status} before it was done"
