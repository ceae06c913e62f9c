"""What a network does to its inputs before all else: another size, and normalization of each channel."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import integer, is_finite, is_positive, shown


class Normalization:
    """Images (N, C, H, W) in [0, 1] → (x − mean) / std in each channel, resized before; other inputs (N, C) likewise.

    Args:
        mean: one number for all channels, or one for each. With three, a grey image becomes a colour image.
        std: likewise.
        size: height and width in pixels that images are resized to (bilinear, antialiased); None leaves them.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    def __init__(
        self, mean: float | Sequence[float] = 0.0, std: float | Sequence[float] = 1.0, size: int | None = None
    ) -> None:
        problems = [] if size is None else integer("size", size)
        self.mean, self.std = (list(it) if isinstance(it, Sequence) else [it] for it in (mean, std))
        if not (self.mean and all(map(is_finite, self.mean))):
            problems.append(f"mean={shown(mean)}: must be a number, or one for each channel")
        if not (self.std and all(map(is_positive, self.std))):
            problems.append(f"std={shown(std)}: must be a number above 0, or one for each channel")
        if not problems and 1 not in (len(self.mean), len(self.std)) and len(self.mean) != len(self.std):
            problems.append(f"std={shown(std)}: there are {len(self.std)} numbers, but {len(self.mean)} in mean")
        if problems:
            raise ValueError("\n".join(problems))
        self.size = size
        self._tensors = torch.tensor(self.mean), torch.tensor(self.std)

    def __call__(self, net: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return what `net` sees; the form of a module's forward pre-hook."""
        (x,) = inputs
        if self.size is not None and x.shape[-2:] != (self.size, self.size):
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        if self._tensors[0].device != x.device:
            self._tensors = self._tensors[0].to(x.device), self._tensors[1].to(x.device)
        mean, std = (it.view(-1, *[1] * (x.ndim - 2)) for it in self._tensors)
        return (x - mean) / std

    def __repr__(self) -> str:
        resized = [] if self.size is None else [f"size={self.size}"]
        return ", ".join([f"mean={shown(self.mean)}", f"std={shown(self.std)}", *resized])


def with_normalization(net: nn.Module, normalization: Normalization | None) -> nn.Module:
    """Let a network normalize its inputs itself, whoever calls it; its parameters keep their names."""
    if normalization is not None:
        net.register_forward_pre_hook(normalization)
    net.input_normalization = normalization  # type: ignore[assignment]
    return net


def stated(net: Any) -> Normalization | None:
    """Return the normalization that a network's weights were trained with, if its class says so."""
    found = getattr(net, "input_normalization", None)
    return found if isinstance(found, Normalization) else None
