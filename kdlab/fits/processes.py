"""Processes that work for another one, with threads of their own, and end with it."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def can_fork() -> bool:
    """Tell whether this process, which has computed with torch, can fork others that compute: on Linux, without a GPU.

    A worker of a pool of `multiprocessing` may have none.
    """
    import torch

    return sys.platform == "linux" and not torch.cuda.is_available() and not multiprocessing.current_process().daemon


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result | None]:
    """Call `work` for all items at the same time; return the results in the order of the items.

    Each call has a process of its own, forked from this one, with one thread: torch's other threads do not survive a
    fork. A process that cannot be started, raises or is killed gives None. A result holds no tensors, whose memory ends
    with the process.
    """
    context = multiprocessing.get_context("fork")
    started: list[tuple[BaseProcess, Connection]] = []
    try:
        for item in items:
            mine, of_process = context.Pipe(duplex=False)
            process: BaseProcess = context.Process(target=_send, args=(work, item, of_process))
            started.append((process, mine))
            with suppress(OSError):  # no memory, or too many processes
                process.start()
            of_process.close()  # before the next process is forked, which would keep it open
        return [_received(mine) for _, mine in started]
    finally:
        for process, mine in started:
            if process.pid:
                process.kill()
                process.join()
            mine.close()


def _send(work: Callable[[Item], Result], item: Item, channel: Connection) -> None:
    serve(threads=1)
    os.environ["TTY_COMPATIBLE"] = "0"  # no progress bars: those of several processes would write over each other
    channel.send(work(item))


def _received(channel: Connection) -> Result | None:
    try:
        return channel.recv()
    except (EOFError, OSError):  # it ended before it had sent the whole of a result
        return None


def serve(threads: int) -> None:
    """Make this new process one of its parent's: it ends with it, leaves Ctrl-C to it, and has so many threads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _use_threads(threads)


def _end_with_parent() -> None:
    """Wait until the parent has ended for any reason, then end this process at once."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _use_threads(count: int) -> None:
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(count)
    threadpool_limits(count)
