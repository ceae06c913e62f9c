"""What all fits of a run share."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from kdlab.data import ClassificationData
from kdlab.fits.logits import logits_of
from kdlab.fits.trained import Trained
from kdlab.hardware import Hardware
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
    _train_logits: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def locked(self, key: str, name: str) -> AbstractContextManager[None]:
        """Lock a fit and its TensorBoard files for this process; does nothing without a store."""
        return self.store.locked(key, name) if self.store else nullcontext()

    def logits(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Return `net`'s logits (N, C) for stored inputs (N, …)."""
        return logits_of(net, inputs, self.data.scale, self.hardware.device)

    def train_logits(self, trained: Trained) -> Tensor:
        """Return a network's logits (N, C) for the whole official training set, computed once for all students."""
        key = trained.record.key
        if key not in self._train_logits:
            self._train_logits[key] = self.logits(trained.net, self.data.train.inputs)
        return self._train_logits[key]

    def board(self, name: str, key: str) -> Path:
        """Return the folder of a fit's TensorBoard files; points of a sweep that share a fit share its folder."""
        if self.sweep and self.store:
            return self.sweep / "tensorboard" / f"{name}_{key[:8]}"
        return self.folder / "tensorboard" / name
