"""The teacher as a student sees it: a source of logits for a batch, without gradients, never changed."""

import torch
from torch import Tensor, nn

from kdlab.data import Batch


class CachedTeacher:
    """Logits computed once, looked up by sample id: for inputs that are the same in every epoch.

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
    """A frozen network that answers for the very inputs the student sees: for augmented inputs.

    Args:
        net: the teacher; put into eval mode, for good, and kept out of the gradient.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net.eval().requires_grad_(False)

    def to(self, device: torch.device) -> None:
        """Move the network."""
        self.net.to(device)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Return the logits (B, C) for the batch's inputs, in float32 as the cached ones are."""
        with torch.autocast(batch.inputs.device.type, enabled=False):
            return self.net(batch.inputs)


Teacher = CachedTeacher | LiveTeacher
