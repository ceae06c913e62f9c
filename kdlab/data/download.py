"""A download that gives up when nothing arrives, and leaves nothing half-written behind."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path


class DownloadFailed(Exception):
    """The download raised an error, or went silent."""


def bounded_download(download: Callable[[str], object], into: Path, silence: float = 20.0) -> None:
    """Run `download(folder)` and move what it wrote into `into` once it is complete.

    Args:
        download: writes its files below the folder it is given; may block for ever.
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
    errors: list[BaseException] = []

    def work() -> None:
        try:
            download(str(scratch))
        except BaseException as error:
            errors.append(error)

    # A thread, since a blocked socket cannot be interrupted; a daemon, so that it never holds up the exit.
    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
        size, last_growth = 0, time.monotonic()
        while thread.is_alive():
            thread.join(0.2)
            if (now_there := _bytes_below(scratch)) > size:
                size, last_growth = now_there, time.monotonic()
            elif time.monotonic() - last_growth > silence:
                raise DownloadFailed(f"no answer from the network within {silence:g} seconds")
        if errors:
            raise DownloadFailed(str(errors[0]).strip().replace("\n", " ")) from errors[0]
        for file in [path for path in scratch.rglob("*") if path.is_file()]:
            target = into / file.relative_to(scratch)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
    except DownloadFailed:
        shutil.rmtree(scratch, ignore_errors=True)
        if made and not any(into.iterdir()):
            into.rmdir()
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed or removed between the listing and the look
            continue
    return total
