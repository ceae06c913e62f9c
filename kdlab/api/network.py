"""A trained network for use outside of its run: raw inputs in, class probabilities out."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from kdlab.data.decode import ImageFormat
from kdlab.errors import DataError, KdlabError
from kdlab.results import Inputs


class Network(nn.Module):
    """A trained network with the scaling of its data set inside, in eval mode.

    Args:
        net: the network as it was trained; `network.net` is this one.
        inputs: what it takes and tells.
    """

    def __init__(self, net: nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.net = net
        self.inputs = inputs
        self.eval()

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, in the order of the logits."""
        return self.inputs.class_names

    def forward(self, raw: Tensor) -> Tensor:
        """Return logits (N, C).

        Args:
            raw: (N, …) as the data set stores them: images as uint8, or as floats in [0, 1].

        Raises:
            KdlabError: when the data set scales its inputs by code of its own; scale them, and call `.net`.
        """
        scaling = self.inputs.scaling
        if scaling is None:
            raise KdlabError("the data set scales its inputs by code of its own: scale them so, and call .net on them")
        in_unit_range = raw.is_floating_point()
        return self.net(raw.float() if in_unit_range else raw.float() / scaling.divisor)

    @torch.no_grad()
    def predict(self, inputs: Sequence[str | os.PathLike[str]] | Tensor | np.ndarray) -> pd.DataFrame:
        """Return the probability of each class: a row for each input, a column for each class name.

        Args:
            inputs: paths of image files, prepared as `data=image_folder` prepares them; or (N, …) as `forward` takes.

        Raises:
            DataError: when an image cannot be read.
        """
        if isinstance(inputs, Tensor | np.ndarray):
            raw, index = torch.as_tensor(inputs), None
        else:
            paths = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
            raw, index = torch.stack([self._read(Path(path)) for path in paths]), [str(path) for path in paths]
        return pd.DataFrame(self(raw).softmax(dim=1).numpy(), index, self.class_names)

    def _read(self, path: Path) -> Tensor:
        channels, *sides = self.inputs.shape
        if len(set(sides)) != 1 or len(sides) != 2:
            raise DataError(f"{path}: this network takes inputs of shape {tuple(self.inputs.shape)}, not images")
        try:
            return torch.from_numpy(ImageFormat(sides[0], channels).read(path).copy())
        except Exception as error:  # Pillow raises many kinds of errors for a damaged file
            raise DataError(f"{path} cannot be read: {error}") from error
