"""Multilayer perceptrons, including the two networks of the 2015 paper's MNIST section."""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdlab.limits import integer, is_integer, positive, share
from kdlab.models.dropout import Dropout


class MLP(nn.Module):
    """Fully connected layers with ReLU between them: inputs (N, …) → logits (N, `outputs`).

    Args:
        inputs: a sample's size or shape, such as 784 or [1, 28, 28]; each sample is flattened.
        widths: units of each hidden layer; empty for a linear classifier.
        outputs: the number of classes.
        input_dropout: probability of dropping an input, in [0, 1).
        hidden_dropout: probability of dropping a hidden unit, in [0, 1).
        max_norm: the largest Euclidean norm of a hidden unit's incoming weights, enforced before each forward pass in
            training; null for none. Source: Srivastava et al. 2014, section 5.1.

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
        if not (isinstance(shape, Sequence) and shape and all(map(is_integer, shape))):
            problems.append(f"inputs={inputs}: must be an integer of at least 1, or a list of them")
        problems += size_problems(
            widths=widths, outputs=outputs, input_dropout=input_dropout, hidden_dropout=hidden_dropout
        )
        problems += [] if max_norm is None else [f"{line}, or null for none" for line in positive("max_norm", max_norm)]
        if problems:
            raise ValueError("\n".join(problems))
        self.max_norm = max_norm

        sizes = [math.prod(shape), *widths, outputs]
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        if input_dropout:
            layers["input_dropout"] = Dropout(input_dropout)
        for i, (fan_in, width) in enumerate(zip(sizes, widths, strict=False), start=1):
            layers[f"hidden{i}"] = nn.Linear(fan_in, width)
            layers[f"relu{i}"] = nn.ReLU()
            if hidden_dropout:
                layers[f"dropout{i}"] = Dropout(hidden_dropout)
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
    problems = integer("outputs", outputs)
    if not (isinstance(widths, Sequence) and all(map(is_integer, widths))):
        problems.append(f"widths={widths}: must be a list of layer sizes, integers of at least 1")
    for name, value in dropouts.items():
        problems += share(name, value, "a dropout probability", one=False)
    return problems
