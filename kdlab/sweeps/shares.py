"""Training ahead in the slots of a sweep: a process for each, with its share of the stacks (`kdlab.sweeps.ahead`)."""

import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from hydra.core.config_loader import ConfigLoader

from kdlab.config.compose import ComposedConfig
from kdlab.sweeps.job import Job, ahead_log, work_ahead
from kdlab.sweeps.progress import REFRESH_SECONDS, ChangingLine, ahead_of
from kdlab.sweeps.slots import Slot

log = logging.getLogger(__name__)


def train_in_shares(
    context: ForkServerContext, loader: ConfigLoader, config: ComposedConfig, jobs: Sequence[Job], slots: Sequence[Slot]
) -> None:
    """Train the stacks of all jobs, a share in each slot; what fails is left to the jobs.

    A share whose process is killed is taken up once more, and goes on after the last epoch of its stack.
    """
    logs = [ahead_log(jobs[0].sweep, share) for share in range(len(slots))]
    log.info("their logs: %s", jobs[0].sweep / "ahead_*.log")

    def begun(share: int) -> BaseProcess:
        channels[share], of_share = context.Pipe(duplex=False)
        arguments = (loader, config, jobs, slots[share], share, len(slots), of_share)
        process = context.Process(target=work_ahead, args=arguments)
        with suppress(OSError, EOFError):  # the fork server was killed; a new one takes its place
            process.start()
        of_share.close()
        return process

    line = ChangingLine()
    channels: dict[int, Connection] = {}
    counts: dict[int, tuple[int, int]] = {}
    running = {share: begun(share) for share in range(len(slots))}
    tried_again = set()
    try:
        while running:
            wait([process.sentinel for process in running.values() if process.pid], timeout=REFRESH_SECONDS)
            for share, process in list(running.items()):
                if process.pid and process.is_alive():
                    continue
                del running[share]
                if _ended(process) and share not in tried_again:
                    tried_again.add(share)
                    log.info("the process of %s was killed; its share is taken up once more", logs[share].name)
                    running[share] = begun(share)
            counts |= {share: said for share, channel in channels.items() if (said := _last_said(channel))}
            if running:
                done, count = (sum(numbers) for numbers in zip(*counts.values(), strict=True)) if counts else (0, 0)
                line.show(" · ".join([ahead_of(done, count), *(_last_line(logs[share]) for share in running)]))
    finally:
        line.close()
        for process in running.values():
            _ended(process)


def _ended(process: BaseProcess) -> bool:
    """End a share's process, where it has not ended; return whether it was cut off before it was done."""
    if not process.pid:
        return True
    if process.exitcode != 0:
        with suppress(OSError):  # where the fork server was killed, its children may still run
            os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode != 0


def _last_said(channel: Connection) -> tuple[int, int] | None:
    """Return the last of what a share has sent since the last look."""
    said = None
    with suppress(EOFError, OSError):
        while channel.poll():
            said = channel.recv()
    return said


def _last_line(path: Path) -> str:
    with suppress(OSError):
        if lines := path.read_text(errors="replace").split("\n")[-2:-1]:
            return lines[0]
    return "planning"
