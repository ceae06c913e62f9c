"""How a run ends: the stage in which it failed, and for a point of a sweep its outcome.

A point's folder has results.json, failure.txt, both where some of its fits failed, or neither yet.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from kdlab.errors import DiskFull, KdlabError
from kdlab.files import full_disk, write_text

FAILURE = "failure.txt"
LONGEST = 4000


class Outcome(NamedTuple):
    """A status (`reused` if nothing had to be trained) and, for a failure, its reason in at most LONGEST characters."""

    status: Literal["trained", "reused", "failed"]
    message: str = ""


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


def reason(error: BaseException) -> str:
    """Return an error's kind and message, and the stage in which it was raised."""
    return " ".join([f"{type(error).__name__}: {error}", *(f"({note})" for note in getattr(error, "__notes__", []))])
