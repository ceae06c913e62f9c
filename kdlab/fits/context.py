"""What all fits of a run share."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kdlab.data import ClassificationData
from kdlab.fits.logits import logits_of
from kdlab.fits.trained import Trained
from kdlab.hardware import Hardware
from kdlab.modules import CachedTeacher, LiveTeacher, Teacher
from kdlab.store import Store

# The folder in a sweep's that names the fits that were trained ahead.
AHEAD = ".ahead"


@dataclass(frozen=True)
class Context:
    """The data, the hardware, the run's folder, the store of fits, and the folder of the sweep that the run belongs to.

    `store` is None for a run that neither keeps nor reuses fits, `sweep` for a single run. `stack` says how many fits
    are trained at once: `auto`, `off`, or a number. `measured_on` holds the splits on which the run measures its fits.
    """

    data: ClassificationData
    hardware: Hardware
    folder: Path
    store: Store | None = None
    sweep: Path | None = None
    stack: int | str = "auto"
    measured_on: set[str] = field(default_factory=set)
    _teachers: dict[str, Teacher] = field(default_factory=dict, repr=False)

    def locked(self, key: str, name: str) -> AbstractContextManager[None]:
        """Lock a fit and its TensorBoard files for this process; does nothing without a store."""
        return self.store.locked(key, name) if self.store else nullcontext()

    def logits_on(self, trained: Trained, split: str, *, keep: bool = False) -> Tensor:
        """Return a network's logits (N, C) for a split: `test`, `val`, `train`, or the `official` training set.

        With `keep`, they are kept in the store, beside its weights, for later runs and for other points of a sweep.
        """
        key, of, store = trained.record.key, self.data.split_key(split), self.store
        if not keep or store is None:
            return self.logits(trained.net, self.data.split(split).inputs)
        with self.locked(key, trained.record.arm):
            entry = store.entry(key)
            if path := entry.logits(of):
                return load_file(path)["logits"]
            logits = self.logits(trained.net, self.data.split(split).inputs)
            if entry.folder.is_dir():  # it may have been pruned meanwhile
                with store.adding_logits(key, of) as path:
                    save_file({"logits": logits}, path)
        return logits

    def logits(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Return `net`'s logits (N, C) for stored inputs (N, …)."""
        return logits_of(net, inputs, self.data.scale, self.hardware.device, self.data.inference_size)

    def teacher(self, trained: Trained, *, live: bool) -> Teacher:
        """Return a network as a teacher, the same for all students.

        Its logits for the official training set are computed once. A live one computes them for each batch.
        """
        key = f"{trained.record.key} {live}"
        if key not in self._teachers:
            teacher = (
                LiveTeacher(trained.net) if live else CachedTeacher(self.logits_on(trained, "official", keep=True))
            )
            self._teachers[key] = teacher
        return self._teachers[key]

    def bayes_teacher(self, *, live: bool) -> Teacher:
        """Return the data's Bayes rule as a teacher, the same for all students."""
        rule = self.data.bayes_rule
        assert rule
        key = f"bayes {live}"
        if key not in self._teachers:
            self._teachers[key] = (
                LiveTeacher(rule) if live else CachedTeacher(self.logits(rule, self.data.train.inputs))
            )
        return self._teachers[key]

    def forget_teachers(self) -> None:
        """Free the logits of all teachers."""
        self._teachers.clear()

    def mark_ahead(self, key: str) -> None:
        """Note that a fit was trained ahead of the sweep's points: to the first that takes it, it is not reused."""
        assert self.sweep
        (self.sweep / AHEAD).mkdir(parents=True, exist_ok=True)
        (self.sweep / AHEAD / key).touch()

    def claims(self, key: str) -> bool:
        """Tell whether this is the first point of its sweep to take a fit that was trained ahead."""
        if self.sweep is None or self.folder == self.sweep:
            return False
        try:
            (self.sweep / AHEAD / key).unlink()
        except FileNotFoundError:
            return False
        return True

    def board(self, name: str, key: str) -> Path:
        """Return the folder of a fit's TensorBoard files; points of a sweep that share a fit share its folder."""
        if self.sweep and self.store:
            return self.sweep / "tensorboard" / f"{name}_{key[:8]}"
        return self.folder / "tensorboard" / name
