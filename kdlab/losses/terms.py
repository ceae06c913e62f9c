"""What losses share: what they return, and their precision."""

from typing import NamedTuple

import torch
from torch import Tensor


class LossTerms(NamedTuple):
    """One batch's loss: `total` is what is minimized, `soft` and `hard` are its unweighted terms (scalars, nats).

    `soft` is None for a loss without soft targets.
    """

    total: Tensor
    soft: Tensor | None
    hard: Tensor


def at_least_float32(logits: Tensor) -> Tensor:
    """Return the logits in float32; float64 ones stay float64."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
