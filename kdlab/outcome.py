"""The outcome of one point of a sweep; its folder has results.json, failure.txt, or neither yet."""

from pathlib import Path
from typing import Literal, NamedTuple

from kdlab.files import write_text

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
    return path.read_text().strip() if path.exists() else None
