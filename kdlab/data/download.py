"""Downloads that are given up when the network falls silent, and that leave nothing half-written behind."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from torchvision.datasets.utils import check_md5

SILENCE = 20.0
BYTES_PER_READ = 2**16


class DownloadFailed(Exception):
    """The network fell silent, no source has the file, or the folder cannot be written to."""


@contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """Give a scratch folder inside `folder`; move its files into `folder` when the block ends without an error.

    On an error the scratch folder is removed, and `folder` stays as it was.

    Raises:
        DownloadFailed: when `folder` cannot be written to.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder, ignore_cleanup_errors=True) as scratch:
            yield Path(scratch)
            for file in [path for path in Path(scratch).rglob("*") if path.is_file()]:
                target = folder / file.relative_to(scratch)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    except OSError as error:
        raise DownloadFailed(f"cannot write to {folder}: {error}") from error
    finally:
        if made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def download(urls: Sequence[str], path: Path, *, md5: str, silence: float = SILENCE) -> None:
    """Download a file from the first of `urls` that serves it.

    Args:
        urls: of copies of the same file, in the order in which they are tried.
        path: the file to write; its folder is made.
        md5: the file's checksum.
        silence: seconds without a new byte, over all `urls` together, after which the network is given up.

    Raises:
        DownloadFailed: when the network falls silent, or with the reason why each URL failed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    problems = []
    deadline = time.monotonic() + silence
    for url in urls:
        try:
            with _opened(url, deadline - time.monotonic(), silence) as response, path.open("wb") as file:
                while chunk := response.read1(BYTES_PER_READ):
                    file.write(chunk)
                    deadline = time.monotonic() + silence
        except TimeoutError as error:
            raise DownloadFailed(f"no answer from the network within {silence:g} seconds") from error
        except HTTPError as error:
            error.close()
            problems.append(f"{url}: {error}")
        except (OSError, HTTPException) as error:
            problems.append(f"{url}: {error}")
        else:
            if check_md5(path, md5):
                return
            problems.append(f"{url}: the file's MD5 is not {md5}")
    raise DownloadFailed("; ".join(problems))


def _opened(url: str, patience: float, silence: float) -> Any:
    """Return the open response, whose reads time out after `silence` seconds.

    Raises:
        TimeoutError: when there is no response within `patience` seconds.
    """
    response: Future[Any] = Future()

    def ask() -> None:
        try:
            response.set_result(urlopen(Request(url, headers={"User-Agent": "kdlab"}), timeout=silence))
        except Exception as error:
            response.set_exception(error)

    # A name lookup has no timeout and delays Ctrl-C, so it runs in a thread that can be abandoned; it writes no file.
    Thread(target=ask, daemon=True).start()
    return response.result(max(0, patience))
