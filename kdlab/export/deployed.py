"""A network as it is used outside: raw inputs in, logits and probabilities out; scaling and bias correction inside."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdlab.errors import KdlabError
from kdlab.fits.context import Context
from kdlab.fits.trained import Trained
from kdlab.measure.reopen import reopen
from kdlab.results import Results

# Which inputs a file takes: images as bytes, or floats as `data` divides them (images in [0, 1]).
INPUTS = ("uint8", "float")


class Deployed(nn.Module):
    """A trained network with the scaling of its data set before it and a bias correction behind it.

    logits = net(x / divisor) + offsets, where only bytes are divided; probabilities = softmax(logits).

    Args:
        net: the network as it was trained; it normalizes its inputs itself.
        divisor: of its data set's scaling.
        offsets: (C,), added to the logits.
    """

    offsets: Tensor

    def __init__(self, net: nn.Module, divisor: float, offsets: Tensor) -> None:
        super().__init__()
        self.net = net
        self.divisor = float(divisor)
        self.register_buffer("offsets", offsets)
        self.eval()

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities (N, C) of raw inputs (N, …)."""
        values = inputs if inputs.is_floating_point() else inputs.float() / self.divisor
        logits = self.net(values) + self.offsets
        return logits, logits.softmax(dim=1)


class Student(NamedTuple):
    """What is exported: an arm of a finished run, its module, and inputs and labels to check and calibrate it with.

    `correction` is the bias correction inside it, `none` or `prior`.
    """

    arm: str
    correction: str
    results: Results
    context: Context
    fits: dict[str, Trained]
    module: Deployed

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        corrected = f", correction {self.correction}" if self.correction != "none" else ""
        return f"{self.results.experiment}, arm {self.arm}{corrected}"

    def raw(self, split: str) -> Tensor:
        """Return a split's inputs as users have them: bytes, or floats for data that are none."""
        return self.context.data.split(split).inputs

    def labels(self, split: str) -> Tensor:
        """Return a split's labels."""
        return self.context.data.split(split).labels


def student_of(folder: Path, arm: str | None, correction: str) -> Student:
    """Open a finished run, and return one of its networks as it is to be used.

    Args:
        folder: of the run.
        arm: a name; None for `distilled`, or else the only arm.
        correction: `prior`, or `none`.

    Raises:
        KdlabError: when the run cannot be opened, has no such network, or its data scale inputs by code of their own.
    """
    results, context, fits = reopen(folder)
    name = arm or _only(results)
    if name not in fits:
        raise KdlabError(f"--arm {name}: there are {', '.join(fits)}")
    scaling = results.inputs.scaling if results.inputs else None
    if scaling is None:
        raise KdlabError(f"{context.data.name} scales its inputs by code of its own, which a file cannot hold")
    net = fits[name].net.cpu().eval()
    module = Deployed(net, scaling.divisor, _offsets(results, name, correction))
    return Student(name, correction, results, context, fits, module)


def _only(results: Results) -> str:
    arms = [fit.arm for fit in results.fits if fit.arm in results.config["arms"]]
    if "distilled" in arms:
        return "distilled"
    if len(arms) != 1:
        raise KdlabError(f"--arm NAME is needed: there are {', '.join(arms)}")
    return arms[0]


def _offsets(results: Results, arm: str, correction: str) -> Tensor:
    """Return the offsets (C,) that the run fitted to an arm's logits.

    Raises:
        KdlabError: when it has none.
    """
    assert results.inputs
    offsets = torch.zeros(len(results.inputs.class_names))
    if correction == "none":
        return offsets
    rows = [row for row in results.rows if (row.arm, row.correction, row.metric) == (arm, correction, "offset")]
    if not rows:
        raise KdlabError(f"--correction {correction}: {arm} has none in this run, which held no class out for it")
    for row in rows:
        offsets[int(row.classes)] = row.value
    return offsets
