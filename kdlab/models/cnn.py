"""Plain convolutional networks, including those of the founding works on MNIST and CIFAR-10."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdlab.limits import integer, is_integer
from kdlab.models.mlp import MLP, size_problems


class CNN(nn.Module):
    """3×3 convolutions with ReLU, then fully connected layers: images (N, C, H, W) → logits (N, `outputs`).

    Args:
        inputs: (C, H, W) of an image.
        channels: output channels of each convolution; there is at least one convolution.
        strides: the stride of each convolution.
        padding: pixels of zeros around each convolution's input, 0 or 1.
        pool: side of the max-pooling windows after each convolution; 1 for no pooling.
        batch_norm: whether to normalize after each convolution, before its ReLU.
        widths: units of each hidden fully connected layer.
        outputs: the number of classes.
        hidden_dropout: probability of dropping a hidden unit of the fully connected layers, in [0, 1).

    Raises:
        ValueError: one line for each argument out of its range, or one if an image is too small for the layers.
    """

    def __init__(
        self,
        *,
        inputs: Sequence[int],
        channels: Sequence[int],
        strides: Sequence[int],
        outputs: int,
        padding: int = 0,
        pool: int = 1,
        batch_norm: bool = True,
        widths: Sequence[int] = (),
        hidden_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        problems = integer("pool", pool)
        if not (isinstance(inputs, Sequence) and len(inputs) == 3 and all(map(is_integer, inputs))):
            problems.append(f"inputs={inputs}: must be [channels, height, width] of an image")
        if not (isinstance(channels, Sequence) and channels and all(map(is_integer, channels))):
            problems.append(f"channels={channels}: must be a list of at least one layer size, integers of at least 1")
        elif not (isinstance(strides, Sequence) and len(strides) == len(channels) and all(map(is_integer, strides))):
            problems.append(
                f"strides={strides}: must be a list of {len(channels)} integers of at least 1, one for each layer"
            )
        if padding not in (0, 1):
            problems.append(f"padding={padding}: must be 0 or 1")
        problems += size_problems(widths=widths, outputs=outputs, hidden_dropout=hidden_dropout)
        if problems:
            raise ValueError("\n".join(problems))
        layers: list[nn.Module] = []
        for fan_in, fan_out, stride in zip([inputs[0], *channels], channels, strides, strict=False):
            layers.append(nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=padding, bias=not batch_norm))
            layers += [nn.BatchNorm2d(fan_out)] if batch_norm else []
            layers.append(nn.ReLU())
            layers += [nn.MaxPool2d(pool)] if pool > 1 else []
        # On a CPU, channels last is 1.5 times as fast.
        self.features = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.classifier = MLP(
            inputs=_features(self.features, inputs),
            widths=widths,
            outputs=outputs,
            hidden_dropout=hidden_dropout,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C)."""
        return self.classifier(self.features(images))


def _features(layers: nn.Module, inputs: Any) -> int:
    """Return the number of features that `layers` compute from one image."""
    try:
        with torch.no_grad():
            return layers.eval()(torch.zeros(1, *inputs)).numel()
    except RuntimeError as error:
        raise ValueError(f"inputs={list(inputs)}: too small for the layers: {error}") from error
    finally:
        layers.train()
