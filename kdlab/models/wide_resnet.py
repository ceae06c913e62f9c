"""Wide residual networks for small images."""

import math
from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import integer, is_integer
from kdlab.models.resnet import DEEPEST


class WideResNet(nn.Module):
    """WRN of depth 6n + 4 for images of about 32×32: images (N, C, H, W) → logits (N, `outputs`).

    Three stages of n blocks have 16, 32 and 64 times `width` channels; each block normalizes before it convolves.
    Source: Zagoruyko and Komodakis 2016 (arXiv:1605.07146). With three channels and a hundred classes, WRN-40-2 has
    2,255,156 parameters, WRN-16-2 703,284, WRN-40-1 569,780.

    Args:
        depth: 6n + 4.
        width: the widening factor.
        image_channels: 3 for colour, 1 for grey.
        outputs: the number of classes.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    def __init__(self, *, depth: int, width: int, image_channels: int, outputs: int) -> None:
        super().__init__()
        problems = integer("width", width) + integer("image_channels", image_channels) + integer("outputs", outputs)
        if not is_integer(depth, least=10) or depth % 6 != 4 or depth > DEEPEST:
            problems.append(f"depth={depth}: must be 6n + 4, such as 16, 22, 28 or 40, at most {DEEPEST}")
        if problems:
            raise ValueError("\n".join(problems))
        self.stem = nn.Conv2d(image_channels, 16, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*_blocks(depth, width))
        self.norm = nn.BatchNorm2d(64 * width)
        self.logits = nn.Linear(64 * width, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan_out))
        nn.init.zeros_(self.logits.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C)."""
        features = F.relu(self.norm(self.blocks(self.stem(images))))
        return self.logits(features.mean(dim=(2, 3)))


def _blocks(depth: int, width: int) -> Iterator[nn.Module]:
    fan_in = 16
    for stage, fan_out in enumerate((16 * width, 32 * width, 64 * width)):
        for i in range((depth - 4) // 6):
            yield _Block(fan_in, fan_out, stride=2 if i == 0 and stage else 1)
            fan_in = fan_out


class _Block(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(fan_in), nn.BatchNorm2d(fan_out)
        self.convolution1 = nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False)
        self.convolution2 = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False)
        self.shortcut = None if fan_in == fan_out else nn.Conv2d(fan_in, fan_out, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        normed = F.relu(self.norm1(x))
        residual = self.convolution2(F.relu(self.norm2(self.convolution1(normed))))
        return residual + (x if self.shortcut is None else self.shortcut(normed))
