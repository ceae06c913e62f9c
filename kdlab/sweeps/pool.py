"""`hydra/launcher=pool`: run the jobs of a sweep side by side on one machine, each in its own slot.

A slot's process takes one job after the other until one has trained something; then a new one takes its place. A job
that raises, exits or is killed is one failed point; the others go on. With one slot the jobs run in the launcher's own
process, so that a signal that kills a job kills the sweep.
"""

import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction

from kdlab.config.compose import ComposedConfig, worth_stacking
from kdlab.errors import ConfigError
from kdlab.outcome import Outcome, mark_failed
from kdlab.sweeps.job import Job, run_job_here, train_ahead_here, work
from kdlab.sweeps.order import teachers_first
from kdlab.sweeps.progress import REFRESH_SECONDS, SweepProgress, ahead_of
from kdlab.sweeps.shares import train_in_shares
from kdlab.sweeps.slots import Slot, cores, slots_for, visible_gpus

# The exit status that multiprocessing reports where its fork server was killed.
UNKNOWN = 255

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
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    sweep = Path(config.hydra.sweep.dir)
    sweep.mkdir(parents=True, exist_ok=True)
    try:
        places = slots_for(len(job_overrides), _gpus(config, gpus), cores(), slots=slots, jobs_per_gpu=jobs_per_gpu)
    except ConfigError as error:
        raise CompactHydraException(str(error)) from None
    jobs = [
        Job(number, tuple(overrides), sweep) for number, overrides in enumerate(job_overrides, start=initial_job_idx)
    ]
    log.info("%d points, %s, results in %s", len(jobs), _described(places), sweep)
    if len(places) == 1:
        outcomes = _one_by_one(hydra_context, task_function, config, jobs, places[0])
    else:
        outcomes = Pool(hydra_context, config, places).run(jobs)
    return [_returned(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]


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
    if ahead := _for_stacks(config, jobs):
        train_ahead_here(hydra_context.config_loader, config, ahead, tell=lambda *count: log.info(ahead_of(*count)))
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    progress = SweepProgress(len(jobs), each=True)
    outcomes = []
    for job in jobs:
        progress.started()
        outcomes.append(run_job_here(hydra_context, task_function, config, job))
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        progress.ended(outcomes[-1], f"point {job.number} [{' '.join(filter_overrides(job.overrides))}]")
    return outcomes


def _for_stacks(config: ComposedConfig, jobs: list[Job]) -> list[Job]:
    """Return the jobs whose fits may be trained ahead: those without results, if there are several."""
    new = [job for job in jobs if not (job.folder / "results.json").exists()]
    if len(new) < 2 or not worth_stacking(config):
        return []
    log.info("first the fits of %d points that can be trained at once", len(new))
    return new


@dataclass
class Worker:
    """A slot's process, the connection that brings it jobs and brings back their folders and outcomes, and its job."""

    process: BaseProcess
    channel: Connection
    slot: Slot
    job: Job
    folder: Path

    def begin(self, job: Job) -> None:
        """Give it its next job."""
        self.job, self.folder = job, job.folder
        with suppress(OSError):  # it has been killed: `outcome` tells
            self.channel.send(job)

    def outcome(self) -> Outcome | None:
        """Return the outcome of its job; None while it is running."""
        with suppress(EOFError, OSError):  # it was killed while it reported
            while self.channel.poll():
                said = self.channel.recv()
                if isinstance(said, Outcome):
                    return said
                self.folder = said
        if self.process.is_alive():
            return None
        status = self.process.exitcode or 0
        if status == UNKNOWN and self.process.pid:  # the process that forked it was killed; it may still run
            with suppress(OSError):
                os.kill(self.process.pid, signal.SIGKILL)
        outcome = Outcome("failed", _death(status))
        mark_failed(self.folder, outcome.message)
        return outcome


class Pool:
    """Runs jobs in processes that are forked from one that has done the slow imports."""

    def __init__(self, hydra_context: HydraContext, config: ComposedConfig, slots: list[Slot]) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["kdlab.sweeps.preload"])
        self.hydra_context = hydra_context
        self.config = config
        self.free = list(slots)
        self.workers: list[Worker] = []

    def run(self, jobs: list[Job]) -> list[Outcome]:
        """Run the jobs; return their outcomes in the same order."""
        if ahead := _for_stacks(self.config, jobs):
            train_in_shares(self.context, self.hydra_context.config_loader, self.config, ahead, self.free)
        waiting, outcomes = deque(teachers_first(jobs)), dict[int, Outcome]()
        progress = SweepProgress(len(jobs))
        try:
            while waiting or self.workers:
                while waiting and self.free:
                    self._start(waiting.popleft())
                    progress.started()
                wait([of for it in self.workers for of in (it.channel, it.process.sentinel)], timeout=REFRESH_SECONDS)
                for worker in list(self.workers):
                    if (outcome := worker.outcome()) is None:
                        continue
                    outcomes[worker.job.number] = outcome
                    progress.ended(outcome)
                    if waiting and not outcome.spent:
                        worker.begin(waiting.popleft())
                        progress.started()
                    else:
                        self._end(worker)
                progress.refresh()
        finally:
            progress.close()
            for worker in self.workers:
                worker.process.kill()
                worker.process.join()
        return [outcomes[job.number] for job in jobs]

    def _start(self, job: Job) -> None:
        slot = self.free.pop(0)
        try:
            process, channel = self._forked(slot)
        except (OSError, EOFError):  # the fork server was killed; a new one takes its place
            process, channel = self._forked(slot)
        worker = Worker(process, channel, slot, job, job.folder)
        worker.begin(job)
        self.workers.append(worker)

    def _forked(self, slot: Slot) -> tuple[BaseProcess, Connection]:
        channel, of_worker = self.context.Pipe()
        process = self.context.Process(
            target=work, args=(self.hydra_context.config_loader, self.config, slot, of_worker)
        )
        process.start()
        of_worker.close()
        return process, channel

    def _end(self, worker: Worker) -> None:
        with suppress(OSError):
            worker.channel.send(None)
        worker.process.join()
        worker.channel.close()
        self.workers.remove(worker)
        self.free.append(worker.slot)


def _death(status: int) -> str:
    if status < 0:
        return f"killed by signal {-status} ({signal.strsignal(-status)}); perhaps out of memory"
    if status == UNKNOWN:
        return "the process that forks the jobs was killed; perhaps out of memory"
    return f"ended with exit status {status} before it was done"
