"""The return type and the precision of all losses."""

from typing import NamedTuple

import torch
from torch import Tensor


class LossTerms(NamedTuple):
    """The loss of one batch: `total` is minimized, `soft` and `hard` are its unweighted terms (scalars, nats).

    `soft` is None for a loss without soft targets.
    """

    total: Tensor
    soft: Tensor | None
    hard: Tensor


def at_least_float32(logits: Tensor) -> Tensor:
    """Return the logits in float32; float64 ones stay float64."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
