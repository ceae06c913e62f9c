"""A table that answers known inputs with given logits, so that it can stand in for a network."""

import torch
from torch import Tensor, nn

# Inputs are told apart at this resolution. Images k / 255 lie on whole numbers of it whatever the device's rounding.
RESOLUTION = 255 * 256
# Inputs whose keys are computed at once.
AT_ONCE = 1024


class LogitsTable(nn.Module):
    """Answers known inputs (N, …) with the logits (N, C) that were given for them.

    Args:
        keys: (M,), of the known inputs, see `keys_of`.
        logits: (M, C). Of equal inputs, the first counts.
    """

    keys: Tensor
    logits: Tensor

    def __init__(self, keys: Tensor, logits: Tensor) -> None:
        super().__init__()
        order = keys.argsort(stable=True)
        self.register_buffer("keys", keys[order].contiguous())
        self.register_buffer("logits", logits[order].contiguous())

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits.

        Raises:
            ValueError: when an input is none of the known ones.
        """
        asked = keys_of(inputs)
        places = torch.searchsorted(self.keys, asked).clamp_max(len(self.keys) - 1)
        if unknown := int((self.keys[places] != asked).sum()):
            raise ValueError(f"there are no logits for {unknown} of {len(inputs)} inputs: they were given for others")
        return self.logits[places]


def keys_of(inputs: Tensor) -> Tensor:
    """Return a hash (N,) of each input, in 64 bits."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.empty(inputs[0].numel(), dtype=torch.int64).random_(-(2**63), None, generator=generator) | 1
    factors = factors.to(inputs.device)
    parts = inputs.flatten(1).split(AT_ONCE)
    return torch.cat([((part.double() * RESOLUTION).round().long() * factors).sum(dim=1) for part in parts])
