"""What modules under training share: an epoch's sums, and the precision in which they are made."""

import torch
from torch import Tensor


class EpochSums:
    """Means over batches, added up on the device and read once in an epoch; a mean may have any shape."""

    def __init__(self) -> None:
        self.count = 0
        self._totals: dict[str, Tensor] = {}

    def add(self, means: dict[str, Tensor], size: int) -> None:
        """Add a batch's means over `size` samples."""
        for name, value in means.items():
            total = value.detach() * size
            self._totals[name] = self._totals[name] + total if name in self._totals else total
        self.count += size

    def means(self) -> dict[str, Tensor]:
        """Return the means over all samples."""
        return {name: total / self.count for name, total in self._totals.items()}


def full_precision(device: torch.device) -> torch.autocast:
    """Suspend bf16 autocast, under which a matrix product in a loss or a count would keep 8 bits."""
    return torch.autocast(device.type, enabled=False)
