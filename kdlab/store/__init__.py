"""Finished fits by content key: trained once, reused by every later run. Called by `kdlab.fits.obtain`.

    outputs/store/<key>/                a finished fit: weights.pt, config.json, metrics.json, curves.csv, SHA256SUMS;
                                        of a teacher also its logits, once they were needed; of a student that
                                        was trained in a stack those on which it is measured
    outputs/store/.unfinished/<key>/    the checkpoint from which an interrupted fit resumes; of a stack also the keys
                                        of its fits
    outputs/store/.locks/<key>.lock     locked by the process that trains the fit

A rename publishes an entry, so that no process sees a half-written one. SHA256SUMS (as `sha256sum -c` reads it) shows
whether its files are intact.
"""

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kdlab.errors import KdlabError
from kdlab.files import SUMS, remove, remove_scratch, sha256, sums_text, whole, write_sums
from kdlab.store.entry import FILES, LOGITS, Entry, logits_file, size_of

__all__ = ["FILES", "SUMS", "Entry", "Store", "StoreError", "logits_file", "size_of"]

CHECKPOINT = "epoch.ckpt"
KEY = re.compile("[0-9a-f]{16}")
# Put before the name of a folder that is being removed, by the process that has locked its key.
REMOVED = ".removed-"

log = logging.getLogger(__name__)


class StoreError(KdlabError):
    """The store's folder cannot be used."""


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
        try:
            names = os.listdir(self.folder)
        except OSError:
            return []
        return sorted((self.entry(name) for name in names if KEY.fullmatch(name)), key=lambda entry: entry.finished)

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

    def has(self, key: str) -> bool:
        """Tell whether there is an entry with this key, not older than `redo_before`; `find` also checks its files."""
        entry = self.entry(key)
        return entry.folder.is_dir() and entry.finished >= self.redo_before

    def find(self, key: str) -> Entry | None:
        """Return the entry with this key; None if it is missing, older than `redo_before`, or damaged.

        A damaged entry is reported and removed, and so is what killed processes left. Of damaged logits alone, which
        the weights can give again, only they are. The caller holds the lock.
        """
        entry = self.entry(key)
        for folder in (entry.folder, self.folder / ".unfinished" / key):
            remove(_aside(folder))
        if not os.path.lexists(entry.folder):
            return None
        if damage := entry.damage():
            if not self._without_damaged_logits(entry, damage):
                self.discard(key, "; ".join(damage))
                return None
            log.warning("%s: %s; computed again where they are needed", entry.folder, "; ".join(damage))
        if entry.finished < self.redo_before:
            return None
        remove_scratch(entry.folder)
        self.abandon(key)
        return entry

    def _without_damaged_logits(self, entry: Entry, damage: Sequence[str]) -> bool:
        """Remove damaged logits from an entry; return False where other files are damaged too."""
        names = [line.partition(" ")[0] for line in damage]
        if not all(name.startswith(LOGITS) for name in names):
            return False
        self._write_sums(entry, {name: digest for name, digest in entry.sums().items() if name not in names})
        for name in names:
            remove(entry.folder / name)
        return True

    def discard(self, key: str, why: str) -> None:
        """Report and remove a damaged entry. The caller holds the lock."""
        folder = self.entry(key).folder
        log.warning("%s is damaged and will be trained anew: %s", folder, why)
        _remove(folder)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Give a folder for the entry's files; publish it when the block ends. The caller holds the lock."""
        scratch = Path(tempfile.mkdtemp(prefix="entry-", dir=self._unfinished(key)))
        try:
            yield scratch
            scratch.chmod(0o755)
            write_sums(scratch, [*FILES, *sorted(path.name for path in scratch.glob(logits_file("*")))])
        except BaseException:
            remove(scratch)
            raise
        _remove(self.entry(key).folder)
        scratch.rename(self.entry(key).folder)
        self.abandon(key)

    @contextmanager
    def adding_logits(self, key: str, of: str) -> Iterator[Path]:
        """Give a file for a teacher's logits for some samples; add it to the entry when the block ends.

        The caller holds the lock.
        """
        folder, name = self.entry(key).folder, logits_file(of)
        with whole(folder / name) as scratch:
            yield scratch
        # Listed last: a process that is killed before leaves a file that nobody reads.
        self._write_sums(self.entry(key), self.entry(key).sums() | {name: sha256(folder / name)})

    def _write_sums(self, entry: Entry, sums: Mapping[str, str]) -> None:
        with whole(entry.folder / SUMS) as scratch:
            scratch.write_text(sums_text(sums))
            shutil.copystat(entry.folder / SUMS, scratch)  # the entry is as old as before

    def checkpoint(self, key: str) -> Path:
        """Return the file from which an interrupted fit resumes; delete it if it is older than `redo_before`."""
        path = self._unfinished(key) / CHECKPOINT
        if path.exists() and path.stat().st_mtime < self.redo_before:
            remove(path)
        return path

    def is_cut_off(self, key: str) -> bool:
        """Tell whether an interrupted fit or stack can go on from a checkpoint."""
        return (self.folder / ".unfinished" / key / CHECKPOINT).exists()

    def abandon(self, key: str) -> None:
        """Delete what an interrupted or diverged fit left. The caller holds the lock."""
        _remove(self.folder / ".unfinished" / key)

    def _unfinished(self, key: str) -> Path:
        return self._made(self.folder / ".unfinished" / key)

    def interrupted(self) -> list[Path]:
        """Return the folders of unfinished fits."""
        folder = self.folder / ".unfinished"
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []

    def leftovers(self) -> list[Path]:
        """Return the remains of interrupted removals."""
        return [path for folder in (self.folder, self.folder / ".unfinished") for path in folder.glob(f"{REMOVED}*")]

    def remove(self, folder: Path) -> bool:
        """Delete an entry, an unfinished fit or a leftover; return False if a running process has locked its key."""
        try:
            with self._lock(folder.name.removeprefix(REMOVED)).acquire(timeout=0):
                _remove(folder) if KEY.fullmatch(folder.name) else remove(folder)
        except Timeout:
            return False
        return True

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


def _aside(folder: Path) -> Path:
    return folder.with_name(REMOVED + folder.name)


def _remove(folder: Path) -> None:
    """Delete a folder; rename it first, so that no process sees half of it. The caller holds the lock of its key."""
    if os.path.lexists(folder):
        remove(_aside(folder))
        folder.rename(_aside(folder))
        remove(_aside(folder))
