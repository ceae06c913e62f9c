"""Residual networks for small images: the usual teachers and students on CIFAR."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import integer, is_integer

# The deepest that its authors tried.
DEEPEST = 1202


class ResNet(nn.Module):
    """ResNet of depth 6n + 2 for images of about 32×32: images (N, C, H, W) → logits (N, `outputs`).

    Three stages of n residual blocks have 16, 32 and 64 channels, each stage at half the resolution of the one before.
    Shortcuts have no parameters (option A). Convolutions are initialized after He et al.
    Source: He, Zhang, Ren and Sun 2016 (arXiv:1512.03385), section 4.2. `depth=20` has 269,722 parameters for three
    channels and ten classes, `depth=56` has 853,018.

    Args:
        depth: 6n + 2.
        image_channels: 3 for colour, 1 for grey.
        outputs: the number of classes.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    def __init__(self, *, depth: int, image_channels: int, outputs: int) -> None:
        super().__init__()
        problems = integer("image_channels", image_channels) + integer("outputs", outputs)
        if not is_integer(depth, least=8) or depth % 6 != 2 or depth > DEEPEST:
            problems.append(f"depth={depth}: must be 6n + 2, such as 20, 32, 44, 56 or 110, at most {DEEPEST}")
        if problems:
            raise ValueError("\n".join(problems))
        blocks: list[nn.Module] = []
        fan_in = 16
        for width in (16, 32, 64):
            for i in range((depth - 2) // 6):
                blocks.append(_Block(fan_in, width, stride=2 if i == 0 and width > 16 else 1))
                fan_in = width
        self.stem = nn.Sequential(_convolution(image_channels, 16), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(*blocks)
        self.logits = nn.Linear(64, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C)."""
        features: Tensor = self.blocks(self.stem(images))
        return self.logits(features.mean(dim=(2, 3)))


class _Block(nn.Module):
    def __init__(self, fan_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _convolution(fan_in, width, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _convolution(width, width),
            nn.BatchNorm2d(width),
        )
        self.stride = stride
        self.new_channels = width - fan_in

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride]
        # Option A: the shortcut's new channels are zero, half of them before and half after the old ones.
        half = self.new_channels // 2
        shortcut = F.pad(shortcut, (0, 0, 0, 0, half, self.new_channels - half))
        return F.relu(shortcut + self.residual(x))


def _convolution(fan_in: int, fan_out: int, stride: int = 1) -> Any:
    return nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False)
