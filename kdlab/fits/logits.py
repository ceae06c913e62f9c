"""A network's logits for many inputs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


@torch.no_grad()
def logits_of(
    net: nn.Module, inputs: Tensor, scale: Callable[[Tensor], Tensor], device: torch.device, batch_size: int
) -> Tensor:
    """Return `net`'s logits (N, C) for the stored `inputs` (N, …), in float32, on the CPU.

    Args:
        net: moved to `device` and put into eval mode meanwhile; restored afterwards.
        inputs: as the data set stores them.
        scale: the scaling that training uses.
        device: where to compute.
        batch_size: inputs in one forward pass.
    """
    was_training = net.training
    net.eval().to(device)
    try:
        return torch.cat([net(scale(part.to(device))).float().cpu() for part in inputs.split(batch_size)])
    finally:
        net.cpu().train(was_training)
