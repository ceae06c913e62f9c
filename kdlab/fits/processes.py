"""Processes that work for another one, with threads of their own, and end with it."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def can_fork() -> bool:
    """Tell whether a process that has computed with torch can be forked, and compute on: on Linux, without a GPU."""
    import torch

    return sys.platform == "linux" and not torch.cuda.is_available()


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result | None]:
    """Call `work` for all items at the same time; return the results in the order of the items.

    Each call has a process of its own, forked from this one, with one thread: torch's other threads do not survive a
    fork. A process that raises or is killed gives None. A result holds no tensors, whose memory ends with the process.
    """
    context = multiprocessing.get_context("fork")
    started = []
    try:
        for item in items:
            mine, of_process = context.Pipe(duplex=False)
            process = context.Process(target=_send, args=(work, item, of_process))
            process.start()
            of_process.close()
            started.append((process, mine))
        return [_received(mine) for _, mine in started]
    finally:
        for process, mine in started:
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
    except EOFError:
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
