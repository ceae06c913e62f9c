"""Multilayer perceptrons, among them the two networks of the 2015 paper's MNIST section."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers with ReLU between them: inputs (N, …) → logits (N, `outputs`).

    Args:
        inputs: numbers per sample, or a sample's shape: 784 or [1, 28, 28]; each sample is flattened.
        widths: units of each hidden layer; empty for a linear classifier.
        outputs: the number of classes.
        input_dropout: probability of dropping an input, in [0, 1).
        hidden_dropout: probability of dropping a hidden unit, in [0, 1).
        max_norm: the largest Euclidean norm of a hidden unit's incoming weights, enforced before each training step's
            forward pass; null for none. Source: Srivastava et al. 2014, section 5.1.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    def __init__(
        self,
        *,
        inputs: int | Sequence[int],
        widths: Sequence[int],
        outputs: int,
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        max_norm: float | None = None,
    ) -> None:
        super().__init__()
        shape = [inputs] if isinstance(inputs, int) else inputs
        problems = []
        if not (isinstance(shape, Sequence) and shape and all(map(is_size, shape))):
            problems.append(f"inputs={inputs}: must be an integer above 0, or a list of them")
        problems += size_problems(
            widths=widths, outputs=outputs, input_dropout=input_dropout, hidden_dropout=hidden_dropout
        )
        if max_norm is not None and not (isinstance(max_norm, Real) and max_norm > 0):
            problems.append(f"max_norm={max_norm}: must be a number above 0, or null for none")
        if problems:
            raise ValueError("\n".join(problems))
        self.max_norm = max_norm

        sizes = [math.prod(shape), *widths, outputs]
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        if input_dropout:
            layers["input_dropout"] = nn.Dropout(input_dropout)
        for i, (fan_in, width) in enumerate(zip(sizes, widths, strict=False), start=1):
            layers[f"hidden{i}"] = nn.Linear(fan_in, width)
            layers[f"relu{i}"] = nn.ReLU()
            if hidden_dropout:
                layers[f"dropout{i}"] = nn.Dropout(hidden_dropout)
        layers["logits"] = nn.Linear(sizes[-2], outputs)
        self.layers = nn.Sequential(layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C)."""
        if self.training and self.max_norm is not None:
            self._enforce_max_norm(self.max_norm)
        return self.layers(images)

    @torch.no_grad()
    def _enforce_max_norm(self, max_norm: float) -> None:
        for name, layer in self.layers.named_children():
            if isinstance(layer, nn.Linear) and name != "logits":
                layer.weight.copy_(torch.renorm(layer.weight, p=2, dim=0, maxnorm=max_norm))


def size_problems(*, widths: Sequence[int], outputs: int, **dropouts: float) -> list[str]:
    """Return one line for each argument of fully connected layers that is out of its range."""
    problems = [] if is_size(outputs) else [f"outputs={outputs}: must be an integer above 0"]
    if not (isinstance(widths, Sequence) and all(map(is_size, widths))):
        problems.append(f"widths={widths}: must be a list of layer sizes, integers above 0")
    for name, value in dropouts.items():
        if not (isinstance(value, Real) and 0 <= value < 1):
            problems.append(f"{name}={value}: a dropout probability must lie in [0, 1)")
    return problems


def is_size(value: object) -> bool:
    """Tell whether `value` counts something: an integer above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
