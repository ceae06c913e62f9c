"""A download that gives up when nothing arrives, and leaves nothing half-written behind."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FAILURE = "the download failed: "
# Runs in a process of its own, since a socket that waits for an answer can be interrupted in no other way.
SCRIPT = f"""
import sys
try:
    exec(sys.argv[1], {{"folder": sys.argv[2]}})
except Exception as error:
    sys.exit({FAILURE!r} + " ".join(str(error).split()))
"""


class DownloadFailed(Exception):
    """The download raised an error, or went silent."""


def bounded_download(code: str, into: Path, silence: float = 20.0) -> None:
    """Run Python `code` that writes files below the folder named `folder`, and move them into `into` when it is done.

    Args:
        code: may block for ever.
        into: where the files go; made if need be.
        silence: seconds without a single new byte after which the network is given up.

    Raises:
        DownloadFailed: with the reason.
    """
    made = not into.exists()
    try:
        into.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".download-", dir=into))
    except OSError as error:
        raise DownloadFailed(f"cannot write to {into}: {error}") from error
    try:
        _run(code, scratch, silence)
        for file in [path for path in scratch.rglob("*") if path.is_file()]:
            target = into / file.relative_to(scratch)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if made and not any(into.iterdir()):
            into.rmdir()


def _run(code: str, folder: Path, silence: float) -> None:
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, code, str(folder)], stdout=subprocess.DEVNULL, stderr=said
        ) as process,
    ):
        try:
            size, last_growth = 0, time.monotonic()
            while process.poll() is None:
                time.sleep(0.1)
                if (now_there := _bytes_below(folder)) > size:
                    size, last_growth = now_there, time.monotonic()
                elif time.monotonic() - last_growth > silence:
                    raise DownloadFailed(f"no answer from the network within {silence:g} seconds")
        finally:
            process.kill()
        if process.returncode:
            said.seek(0)
            raise DownloadFailed(said.read().strip().split(FAILURE)[-1].split("\n")[-1])


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed or removed between the listing and the look
            continue
    return total
