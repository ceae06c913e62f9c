"""Data sets that are published as files: found on disk, or downloaded."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from kdlab.data.download import DownloadFailed, filled
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Samples
from kdlab.errors import DataNotFound
from kdlab.limits import shown


class OfficialData(ClassificationData):
    """A data set in its publisher's files.

    The files are searched for in `root`, then in the folder that the variable `KDLAB_DATA_DIR` names, then in `./data`.
    If no folder has them, they are downloaded into the first one that is set.

    Args:
        root: the folder that holds `files`.
        **kwargs: see `ClassificationData`.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    title: ClassVar[str]
    files: ClassVar[Sequence[Path]]
    remedy: ClassVar[str]

    def __init__(self, *, root: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if root is not None and not (isinstance(root, str | os.PathLike) and str(root)):
            raise ValueError(f"root={shown(root)}: must be a folder's path, or null")
        try:
            Path(root or ".").expanduser().exists()
        except OSError as error:  # a name too long for a folder, for example
            raise ValueError(f"root={shown(root)}: {error.strerror}") from error
        self.folders = [Path(p).expanduser() for p in (root, os.environ.get("KDLAB_DATA_DIR"), "data") if p]

    @abstractmethod
    def fetch(self, folder: Path) -> None:
        """Download all `files` into a folder.

        Raises:
            DownloadFailed: with the reason.
        """

    @abstractmethod
    def read_from(self, folder: Path) -> tuple[Samples, Samples]:
        """Return the training and test set from a folder that holds all `files`.

        Raises:
            DataError: when a file is corrupt; the message names it.
        """

    @property
    def download_place(self) -> str:
        """What is downloaded, and the folders that it is looked for in before."""
        return f"{self.title} in {', '.join(map(str, self.folders))}"

    def read(self) -> tuple[Samples, Samples]:
        """Return the official training and test set (N, C, H, W) uint8."""
        for folder in self.folders:
            if all((folder / file).is_file() for file in self.files):
                return self.read_from(folder)
        target = self.folders[0]
        try:
            with filled(target) as scratch:
                self.fetch(scratch)
        except DownloadFailed as error:
            raise DataNotFound(self._remedies(error)) from error
        return self.read_from(target)

    def _remedies(self, error: DownloadFailed) -> str:
        files = "\n".join(f"       {self.folders[0] / file}" for file in self.files)
        return (
            f"{self.title} was not found in {', '.join(str(f) for f in self.folders)}, and its download failed: "
            f"{error}.\n"
            "Any one of these helps:\n"
            "  1. data.root=FOLDER, or the variable KDLAB_DATA_DIR, set to the folder that holds "
            f"{self.files[0].parent}/\n"
            f"  2. these {len(self.files)} files, unpacked, put here:\n{files}\n"
            f"  3. {self.remedy}"
        )
