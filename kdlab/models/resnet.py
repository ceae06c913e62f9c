"""Residual networks for small images: the usual teachers and students on CIFAR."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import choice, integer, is_integer, shown

# The deepest that its authors tried.
DEEPEST = 1202
SHORTCUTS = ("pad", "convolution")


class ResNet(nn.Module):
    """ResNet of depth 6n + 2 for images of about 32×32: images (N, C, H, W) → logits (N, `outputs`).

    Three stages of n residual blocks have 16, 32 and 64 channels, each stage at half the resolution of the one before.
    Convolutions are initialized after He et al.
    Source: He, Zhang, Ren and Sun 2016 (arXiv:1512.03385), section 4.2. `depth=20` has 269,722 parameters for three
    channels and ten classes, `depth=56` has 853,018.

    Args:
        depth: 6n + 2.
        image_channels: 3 for colour, 1 for grey.
        outputs: the number of classes.
        channels: of the first convolution and of each stage. Networks called 8x4 and 32x4 have 32, 64, 128 and 256.
        shortcut: where a block has other channels than the one before, `pad` (option A, without parameters) or
            `convolution` (option B, 1×1 with batch norm). Tables of distillation on CIFAR-100 are of option B.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    def __init__(
        self,
        *,
        depth: int,
        image_channels: int,
        outputs: int,
        channels: Sequence[int] = (16, 16, 32, 64),
        shortcut: str = "pad",
    ) -> None:
        super().__init__()
        problems = integer("image_channels", image_channels) + integer("outputs", outputs)
        if not is_integer(depth, least=8) or depth % 6 != 2 or depth > DEEPEST:
            problems.append(f"depth={depth}: must be 6n + 2, such as 20, 32, 44, 56 or 110, at most {DEEPEST}")
        if not (isinstance(channels, Sequence) and len(channels) == 4 and all(map(is_integer, channels))):
            problems.append(f"channels={shown(channels)}: must be four integers of at least 1")
        problems += choice("shortcut", shortcut, SHORTCUTS)
        if problems:
            raise ValueError("\n".join(problems))
        blocks: list[nn.Module] = []
        fan_in, *widths = channels
        for stage, width in enumerate(widths):
            for i in range((depth - 2) // 6):
                blocks.append(_Block(fan_in, width, stride=2 if i == 0 and stage else 1, shortcut=shortcut))
                fan_in = width
        self.stem = nn.Sequential(_convolution(image_channels, channels[0]), nn.BatchNorm2d(channels[0]), nn.ReLU())
        self.blocks = nn.Sequential(*blocks)
        self.logits = nn.Linear(fan_in, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C)."""
        features: Tensor = self.blocks(self.stem(images))
        return self.logits(features.mean(dim=(2, 3)))


class _Block(nn.Module):
    def __init__(self, fan_in: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _convolution(fan_in, width, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _convolution(width, width),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if shortcut == "pad" and (stride > 1 or fan_in != width):
            self.shortcut = _Pad(width - fan_in, stride)
        elif stride > 1 or fan_in != width:
            self.shortcut = nn.Sequential(nn.Conv2d(fan_in, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.residual(x))


class _Pad(nn.Module):
    """Option A: every other pixel; new channels are zero, half of them before and half after the old ones."""

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = new_channels // 2
        self.after = new_channels - self.before

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def _convolution(fan_in: int, fan_out: int, stride: int = 1) -> Any:
    return nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False)
