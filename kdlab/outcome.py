"""How a run ends: the stage in which it failed, and for a point of a sweep its outcome.

A point's folder has results.json, failure.txt, both where some of its fits failed, or neither yet.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kdlab.errors import DiskFull, KdlabError
from kdlab.files import full_disk, write_text

FAILURE = "failure.txt"
LONGEST = 4000


class Outcome(NamedTuple):
    """A status (`reused` if nothing had to be trained) and, for a failure, its reason in at most LONGEST characters.

    `spent`: whether something was trained in the point's process, or may have been. Training may leave memory and
    state, so that the process takes no further point.
    """

    status: Literal["trained", "reused", "failed"]
    message: str = ""
    spent: bool = True


def mark_failed(folder: Path, message: str) -> None:
    """Write failure.txt into a point's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(f"{message[:LONGEST]}\n", folder / FAILURE)


def unmark(folder: Path) -> None:
    """Delete failure.txt before a retry."""
    (folder / FAILURE).unlink(missing_ok=True)


def failure_of(folder: Path) -> str | None:
    """Return why the point failed; None if it did not."""
    path = folder / FAILURE
    return path.read_text(errors="replace").strip() if path.exists() else None


@contextmanager
def stage(what: str) -> Iterator[None]:
    """Name the stage of a run in what an error says.

    Raises:
        DiskFull: where the block met a full disk.
    """
    try:
        yield
    except KdlabError:  # says what it is about
        raise
    except Exception as error:
        if full := full_disk(error):
            raise DiskFull(f"{what}: {full}; make room, and the same command goes on") from error
        error.add_note(f"kdlab failed at this stage: {what}")
        raise


def hush_full_disk() -> None:
    """Let a full disk be told by the run alone, not by tracebacks of each line of a log and each thread that writes."""
    logging.raiseExceptions = False
    usual = threading.excepthook
    threading.excepthook = lambda args: None if full_disk(args.exc_value) else usual(args)


def reason(error: BaseException) -> str:
    """Return an error's kind and message, and the stage in which it was raised."""
    return " ".join([f"{type(error).__name__}: {error}", *(f"({note})" for note in getattr(error, "__notes__", []))])


_said = "Interrupted."


def end_plainly() -> None:
    """Let Ctrl-C and SIGTERM end this process at once with one line, by the shells' status, 128 + the signal's number.

    Nothing is unwound, as with SIGKILL: an exception in the middle of an import or of a library's own handling ends in
    a traceback or worse. What a run keeps is whole at any moment. A signal that the caller ignores is still ignored.
    """
    terminal = os.dup(2)  # a job's output may be redirected

    def end(number: int, _: Any) -> None:
        cursor = "\x1b[?25h" if os.isatty(terminal) else ""  # which a progress bar has hidden
        os.write(terminal, f"{cursor}\n{_said}\n".encode())
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def if_interrupted(message: str) -> None:
    """Set the line with which Ctrl-C and SIGTERM end this process from now on."""
    global _said
    _said = message
