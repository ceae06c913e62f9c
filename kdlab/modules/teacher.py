"""The teacher as a student sees it: a frozen source of logits for a batch, without gradients."""

import torch
from torch import Tensor, nn

from kdlab.data import Batch


class CachedTeacher:
    """Logits computed once and looked up by sample id, for inputs that are the same in every epoch.

    Args:
        logits: (N, C); row i belongs to the sample with id i.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def to(self, device: torch.device) -> None:
        """Move the logits."""
        self.logits = self.logits.to(device)

    def __call__(self, batch: Batch) -> Tensor:
        """Return the logits (B, C) of the batch's samples."""
        return self.logits[batch.ids]


class LiveTeacher:
    """A frozen network that computes logits for the inputs that the student sees, for augmented inputs.

    Args:
        net: the teacher. It is put into eval mode, and its parameters need no gradient any more.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net.eval().requires_grad_(False)

    def to(self, device: torch.device) -> None:
        """Move the network."""
        self.net.to(device)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Return the logits (B, C) for the batch's inputs, in float32 like the cached ones."""
        with torch.autocast(batch.inputs.device.type, enabled=False):
            return self.net(batch.inputs)


Teacher = CachedTeacher | LiveTeacher
