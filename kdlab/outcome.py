"""What becomes of one point of a sweep, and how its folder says so: results.json, or failure.txt, or neither yet."""

from pathlib import Path
from typing import Literal, NamedTuple

from kdlab.files import write_text

FAILURE = "failure.txt"
LONGEST = 4000


class Outcome(NamedTuple):
    """`trained`, `reused` when nothing had to be trained, or `failed`, and then why, in LONGEST characters at most."""

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
    """Return why the point failed; None where it has not."""
    path = folder / FAILURE
    return path.read_text().strip() if path.exists() else None
