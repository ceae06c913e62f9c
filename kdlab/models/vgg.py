"""VGG networks for small images, with batch norm and one linear layer."""

import math
from collections import OrderedDict

from torch import Tensor, nn

from kdlab.limits import integer, shown

# Convolutions of each of the five blocks.
BLOCKS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)
# Pooling after so many blocks leaves 4×4 of 32×32 pixels.
POOLED = 3


class VGG(nn.Module):
    """VGG of 8 to 19 layers for images of about 32×32: images (N, C, H, W) → logits (N, `outputs`).

    Five blocks of 3×3 convolutions with batch norm; the first three end with pooling, the last is averaged over its
    pixels. Source: Simonyan and Zisserman 2015 (arXiv:1409.1556), in the form of the tables of distillation on
    CIFAR-100: with three channels and a hundred classes, VGG-8 has 3,965,028 parameters, VGG-13 9,462,180.

    Args:
        depth: 8, 11, 13, 16 or 19.
        image_channels: 3 for colour, 1 for grey.
        outputs: the number of classes.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    def __init__(self, *, depth: int, image_channels: int, outputs: int) -> None:
        super().__init__()
        problems = [] if depth in BLOCKS else [f"depth={shown(depth)}: must be one of {', '.join(map(str, BLOCKS))}"]
        problems += integer("image_channels", image_channels) + integer("outputs", outputs)
        if problems:
            raise ValueError("\n".join(problems))
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        fan_in = image_channels
        for block, (count, width) in enumerate(zip(BLOCKS[depth], CHANNELS, strict=True), start=1):
            for i in range(1, count + 1):
                layers[f"convolution{block}_{i}"] = nn.Conv2d(fan_in, width, 3, padding=1)
                layers[f"norm{block}_{i}"] = nn.BatchNorm2d(width)
                layers[f"relu{block}_{i}"] = nn.ReLU()
                fan_in = width
            if block <= POOLED:
                layers[f"pool{block}"] = nn.MaxPool2d(2)
        self.features = nn.Sequential(layers)
        self.logits = nn.Linear(fan_in, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, math.sqrt(2 / (9 * module.out_channels)))
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.logits.weight, 0.0, 0.01)
        nn.init.zeros_(self.logits.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C)."""
        features: Tensor = self.features(images)
        return self.logits(features.mean(dim=(2, 3)))
