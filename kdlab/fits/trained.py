"""The one noun for a trained network."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from kdlab.config.experiment import Recipe
from kdlab.curves import Point
from kdlab.results import Fit


@dataclass(frozen=True)
class Trained:
    """A trained network, on the CPU and in eval mode: how it was made, its entry in the results, and its curve."""

    net: nn.Module
    recipe: Recipe
    record: Fit
    curve: Sequence[Point]

    @property
    def held_out(self) -> list[int]:
        """The classes that it has never seen."""
        return list(self.recipe.held_out_classes)
