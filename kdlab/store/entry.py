"""A finished fit on disk: its files, and whether they are what was written."""

import csv
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from kdlab.curves import read_curve
from kdlab.errors import KdlabError
from kdlab.files import SUMS, damage, read_sums, sha256
from kdlab.hashing import short_hash
from kdlab.limits import is_finite, is_integer

FILES = ("config.json", "curves.csv", "metrics.json", "weights.pt")
# The beginning of the names of files with logits.
LOGITS = "logits_"
# What reading a foreign file raises.
FOREIGN = (ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error, KdlabError)


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
    def curve(self) -> Path:
        """The file of the figures of each epoch."""
        return self.folder / "curves.csv"

    def logits(self, of: str) -> Path | None:
        """Return the file of the fit's logits for some samples; None if it was not kept, or is damaged."""
        path = self.folder / logits_file(of)
        try:
            return path if self.sums().get(path.name) == sha256(path) else None
        except (OSError, ValueError):
            return None

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

    def size(self) -> int:
        """Return the size on disk in bytes."""
        return size_of(self.folder)

    def sums(self) -> dict[str, str]:
        """Return the checksum of each file, as it was written."""
        return read_sums(self.folder)

    def damage(self) -> list[str]:
        """Return a line for each damaged or foreign file; none for an intact entry."""
        return damage(self.folder, FILES) or [*self._foreign()]

    def _foreign(self) -> list[str]:
        """Return a line for each file that has its checksum, and yet is none of this fit."""
        found = []
        try:
            if short_hash(self.config()) != self.key:
                found.append("config.json belongs to another key")
        except FOREIGN as error:
            found.append(f"config.json is none of a fit: {error}")
        try:
            metrics = self.metrics()
            if not (is_integer(metrics["epochs"], least=0) and is_finite(metrics["seconds"])):
                found.append("metrics.json has no numbers of epochs and seconds")
        except FOREIGN as error:
            found.append(f"metrics.json is none of a fit: {error!r}")
        try:
            read_curve(self.curve)
        except FOREIGN as error:
            found.append(f"curves.csv is none of a fit: {error!r}")
        return found


def logits_file(of: str) -> str:
    """Return the name of the file of a fit's logits for the samples with this key."""
    return f"{LOGITS}{of}.safetensors"


def size_of(folder: Path) -> int:
    """Return the bytes of all files below `folder`, while others may be removing some."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total
