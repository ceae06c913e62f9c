"""Finished fits by content key: trained once, reused by every later run. Called by `kdlab.fits.obtain`.

    outputs/store/<key>/                a finished fit: weights.pt, config.json, metrics.json, curves.csv, SHA256SUMS;
                                        of a teacher also its logits for the training set, once a student needed them
    outputs/store/.unfinished/<key>/    the checkpoint from which an interrupted fit resumes
    outputs/store/.locks/<key>.lock     locked by the process that trains the fit

A rename publishes an entry, so that no process sees a half-written one. SHA256SUMS (as `sha256sum -c` reads it) shows
whether its files are intact.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from kdlab.errors import KdlabError
from kdlab.files import whole
from kdlab.hashing import short_hash

FILES = ("config.json", "curves.csv", "metrics.json", "weights.pt")
SUMS = "SHA256SUMS"
LOGITS = "train_logits.safetensors"

log = logging.getLogger(__name__)


class StoreError(KdlabError):
    """The store's folder cannot be used."""


class Entry(NamedTuple):
    """A finished fit on disk."""

    folder: Path

    @property
    def key(self) -> str:
        """The fit's content key."""
        return self.folder.name

    @property
    def weights(self) -> Path:
        """The file of the network's state_dict."""
        return self.folder / "weights.pt"

    @property
    def finished(self) -> float:
        """The time when the fit was finished, in seconds since the epoch, by the file system's clock."""
        try:
            return (self.folder / SUMS).stat().st_mtime
        except OSError:  # the entry is damaged, or is being replaced
            return 0.0

    def config(self) -> dict[str, Any]:
        """Return everything that the fit depends on; its hash is the key."""
        return json.loads((self.folder / "config.json").read_text())

    def metrics(self) -> dict[str, Any]:
        """Return the fit's name, its training time, and the figures of its last epoch."""
        return json.loads((self.folder / "metrics.json").read_text())

    @property
    def curve(self) -> Path:
        """The file of the figures of each epoch."""
        return self.folder / "curves.csv"

    def size(self) -> int:
        """Return the size on disk in bytes."""
        return size_of(self.folder)

    @property
    def logits(self) -> Path | None:
        """The file of a teacher's logits for the training set; None if it was not kept, or is damaged."""
        path = self.folder / LOGITS
        try:
            return path if self.sums().get(LOGITS) == _sha256(path) else None
        except (OSError, ValueError):
            return None

    def sums(self) -> dict[str, str]:
        """Return the checksum of each file, as it was written."""
        lines = [line.split("  ", 1) for line in (self.folder / SUMS).read_text().splitlines()]
        return {name: digest for digest, name in lines}

    def damage(self) -> list[str]:
        """Return a line for each damaged file; none for an intact entry."""
        try:
            listed = self.sums()
        except (OSError, ValueError) as error:
            return [f"{SUMS} cannot be read: {error}"]
        found = []
        for name in dict.fromkeys([*FILES, *listed]):
            path = self.folder / name
            if not path.is_file():
                found.append(f"{name} is missing")
            elif _sha256(path) != listed.get(name):
                found.append(f"{name} does not match {SUMS}")
        if not found and short_hash(self.config()) != self.key:
            found.append("config.json belongs to another key")
        return found


class Store:
    """The entries below one folder.

    Args:
        folder: the store's folder; it is made with the first entry.
        redo_before: ignore entries finished before this time, in seconds since the epoch; 0 ignores none.
    """

    def __init__(self, folder: Path, *, redo_before: float = 0.0) -> None:
        self.folder = folder
        self.redo_before = redo_before

    def entries(self) -> list[Entry]:
        """Return all finished fits, oldest first."""
        if not self.folder.is_dir():
            return []
        found = (Entry(path) for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        return sorted(found, key=lambda entry: entry.finished)

    @contextmanager
    def locked(self, key: str, what: str) -> Iterator[None]:
        """Lock the fit with this key for this process; wait if another process has locked it.

        The operating system holds the lock (flock) and releases it as soon as a process is killed.

        Args:
            key: the fit's content key.
            what: the fit's name, for messages.

        Raises:
            StoreError: when the folder cannot be written to.
        """
        lock = self._lock(key)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: another process is training it; waiting", what)
            lock.acquire(poll_interval=0.2)
        except OSError as error:
            raise self._error(error) from error
        try:
            yield
        finally:
            lock.release()

    def entry(self, key: str) -> Entry:
        """Return the entry with this key, whether it exists or not."""
        return Entry(self.folder / key)

    def find(self, key: str) -> Entry | None:
        """Return the entry with this key; None if it is missing, older than `redo_before`, or damaged.

        A damaged entry is reported and removed. The caller holds the lock.
        """
        entry = self.entry(key)
        if not entry.folder.is_dir():
            return None
        if damage := entry.damage():
            log.warning("%s is damaged and will be trained anew: %s", entry.folder, "; ".join(damage))
            _remove(entry.folder)
            return None
        return entry if entry.finished >= self.redo_before else None

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Give a folder for the entry's files; publish it when the block ends. The caller holds the lock."""
        scratch = Path(tempfile.mkdtemp(prefix="entry-", dir=self._unfinished(key)))
        yield scratch
        scratch.chmod(0o755)
        _write_sums({name: _sha256(scratch / name) for name in FILES}, scratch / SUMS)
        target = self.folder / key
        if target.exists():
            _remove(target)
        scratch.rename(target)
        _remove(self._unfinished(key))

    @contextmanager
    def adding_logits(self, key: str) -> Iterator[Path]:
        """Give a file for a teacher's logits; add it to the entry when the block ends. The caller holds the lock."""
        folder = self.entry(key).folder
        with whole(folder / LOGITS) as scratch:
            yield scratch
        # Listed last: a process that is killed before leaves a file that nobody reads.
        with whole(folder / SUMS) as scratch:
            _write_sums(self.entry(key).sums() | {LOGITS: _sha256(folder / LOGITS)}, scratch)
            shutil.copystat(folder / SUMS, scratch)  # the entry is as old as before

    def checkpoint(self, key: str) -> Path:
        """Return the file from which an interrupted fit resumes; delete it if it is older than `redo_before`."""
        path = self._unfinished(key) / "epoch.ckpt"
        if path.exists() and path.stat().st_mtime < self.redo_before:
            path.unlink()
        return path

    def _unfinished(self, key: str) -> Path:
        return self._made(self.folder / ".unfinished" / key)

    def interrupted(self) -> list[Path]:
        """Return the folders of unfinished fits."""
        folder = self.folder / ".unfinished"
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []

    def remove(self, folder: Path) -> bool:
        """Delete the folder of an entry or an unfinished fit; return False if a running process has locked it."""
        try:
            with self._lock(folder.name).acquire(timeout=0):
                _remove(folder)
        except Timeout:
            return False
        return True

    def leftovers(self) -> list[Path]:
        """Return the remains of interrupted removals."""
        return [path for folder in (self.folder, self.folder / ".unfinished") for path in folder.glob(".removed-*")]

    def _lock(self, key: str) -> FileLock:
        return FileLock(self._made(self.folder / ".locks") / f"{key}.lock")

    def _made(self, folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._error(error) from error
        return folder

    def _error(self, error: OSError) -> StoreError:
        return StoreError(f"store.folder={self.folder}: cannot be used ({error}); choose another folder, or store=off")


def size_of(folder: Path) -> int:
    """Return the bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove(folder: Path) -> None:
    """Delete a folder; rename it first, so that no process sees half of it under its name."""
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=".removed-", dir=folder.parent))
        folder.rename(aside / folder.name)
        shutil.rmtree(aside)


def _write_sums(sums: Mapping[str, str], path: Path) -> None:
    path.write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
