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
from kdlab.modules import CachedTeacher
from kdlab.store import Store


@dataclass(frozen=True)
class Context:
    """The data, the hardware, the run's folder, the store of fits, and the folder of the sweep that the run belongs to.

    `store` is None for a run that neither keeps nor reuses fits, `sweep` for a single run.
    """

    data: ClassificationData
    hardware: Hardware
    folder: Path
    store: Store | None = None
    sweep: Path | None = None
    _teachers: dict[str, CachedTeacher] = field(default_factory=dict, repr=False)

    def locked(self, key: str, name: str) -> AbstractContextManager[None]:
        """Lock a fit and its TensorBoard files for this process; does nothing without a store."""
        return self.store.locked(key, name) if self.store else nullcontext()

    def logits(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Return `net`'s logits (N, C) for stored inputs (N, …)."""
        return logits_of(net, inputs, self.data.scale, self.hardware.device, self.data.inference_size)

    def cached_teacher(self, trained: Trained) -> CachedTeacher:
        """Return a network's logits for the whole official training set, computed once for all students.

        They are kept in the store, beside the network's weights, for later runs and for the other points of a sweep.
        """
        key = trained.record.key
        if key not in self._teachers:
            self._teachers[key] = CachedTeacher(self._train_logits(trained))
        return self._teachers[key]

    def forget_teachers(self) -> None:
        """Free the logits of all cached teachers."""
        self._teachers.clear()

    def _train_logits(self, trained: Trained) -> Tensor:
        key, inputs = trained.record.key, self.data.train.inputs
        if self.store is None:
            return self.logits(trained.net, inputs)
        with self.locked(key, trained.record.arm):
            entry = self.store.entry(key)
            if entry.logits:
                return load_file(entry.logits)["logits"]
            logits = self.logits(trained.net, inputs)
            if entry.folder.is_dir():  # it may have been pruned meanwhile
                with self.store.adding_logits(key) as path:
                    save_file({"logits": logits}, path)
        return logits

    def board(self, name: str, key: str) -> Path:
        """Return the folder of a fit's TensorBoard files; points of a sweep that share a fit share its folder."""
        if self.sweep and self.store:
            return self.sweep / "tensorboard" / f"{name}_{key[:8]}"
        return self.folder / "tensorboard" / name
