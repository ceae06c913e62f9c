"""What all fits of a run share, and what comes out of one."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import instantiate
from lightning import seed_everything
from torch import Tensor, nn

from kdlab.data import ClassificationData
from kdlab.hardware import Hardware
from kdlab.inference import logits_of
from kdlab.recipes import Recipe
from kdlab.results import Fit
from kdlab.seeds import derive


class Bench(NamedTuple):
    """The data, the hardware, and the folder of the run."""

    data: ClassificationData
    hardware: Hardware
    folder: Path

    def logits(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Return `net`'s logits (N, C) for stored inputs (N, …)."""
        return logits_of(net, inputs, self.data.scale, self.hardware.device)


@dataclass
class Trained:
    """A finished fit: its network, its entry in the results, its curves, and the classes that it has never seen."""

    net: nn.Module
    record: Fit
    bench: Bench
    curves: list[tuple[int, str, float]]
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
