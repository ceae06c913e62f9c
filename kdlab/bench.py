"""What all fits of a run share, and what comes out of one."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import instantiate
from lightning import seed_everything
from torch import Tensor, nn

from kdlab.curves import Point
from kdlab.data import ClassificationData
from kdlab.hardware import Hardware
from kdlab.inference import logits_of
from kdlab.recipes import Recipe
from kdlab.results import Fit
from kdlab.seeds import derive
from kdlab.store import Store


class Bench(NamedTuple):
    """The data, the hardware, the folder of the run, the store, and the sweep's folder where the run is a point of one.

    `store` is None for a run that keeps and reuses no fit, `sweep` for a run of its own.
    """

    data: ClassificationData
    hardware: Hardware
    folder: Path
    store: Store | None = None
    sweep: Path | None = None

    def holding(self, key: str, arm: str) -> AbstractContextManager[None]:
        """Hold a fit, with its TensorBoard files, for this process alone, where there is a store to share it by."""
        return self.store.locked(key, arm) if self.store else nullcontext()

    def logits(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Return `net`'s logits (N, C) for stored inputs (N, …)."""
        return logits_of(net, inputs, self.data.scale, self.hardware.device)

    def board(self, arm: str, key: str) -> Path:
        """Return the folder of a fit's TensorBoard files: one, too, for all points of a sweep that share the fit."""
        if self.sweep and self.store:
            return self.sweep / "tensorboard" / f"{arm}_{key[:8]}"
        return self.folder / "tensorboard" / arm


@dataclass
class Trained:
    """A finished fit: its network, its entry in the results, its curve, and the classes that it has never seen."""

    net: nn.Module
    record: Fit
    bench: Bench
    curve: list[Point]
    held_out: list[int]

    @cached_property
    def train_logits(self) -> Tensor:
        """Logits (N, C) for the whole official training set, computed once for all students."""
        return self.bench.logits(self.net, self.bench.data.train.inputs)


def new_network(recipe: Recipe, seed: int) -> nn.Module:
    """Build the recipe's network; its initial weights are a function of the network and the seed alone."""
    seed_everything(derive(seed, "weights"), verbose=False)
    net: Any = instantiate(recipe["net"], _convert_="all")
    return net
