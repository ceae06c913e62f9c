"""A network from its config: built, and with the normalization of its inputs."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from torch import nn

from kdlab.config.experiment import Node
from kdlab.config.nodes import NORMALIZE, arguments_of
from kdlab.models.normalization import Normalization, stated, with_normalization

ARGUMENTS = ("mean", "std", "size")


def network_of(node: Node, of_data: Normalization | None) -> nn.Module:
    """Build a network that takes inputs as the data set scales them, images in [0, 1], and normalizes them itself.

    Its numbers are those of the config's `normalize`; where it has none, those that the network states in
    `input_normalization`; where that has none either, the data set's.

    Args:
        node: the network's `_target_` with its arguments, and `normalize`.
        of_data: the data set's normalization.

    Raises:
        ValueError: one line for each wrong number of `normalize`.
        TypeError: when the config makes no network.
    """
    if not isinstance(node, Mapping):
        raise TypeError(f"is {node!r}; a mapping with a _target_ is needed")
    net: nn.Module = instantiate(arguments_of("net", node), _convert_="all")
    if not isinstance(net, nn.Module):
        raise TypeError(f"makes a {type(net).__name__}; a torch.nn.Module is needed")
    return with_normalization(net, _resolved(node.get(NORMALIZE) or {}, stated(net) or of_data))


def _resolved(asked: Node, base: Normalization | None) -> Normalization | None:
    wanted: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if not wanted:
        return base
    known = {name: getattr(base, name) for name in ARGUMENTS} if base else {}
    try:
        return Normalization(**known | wanted)
    except ValueError as error:
        raise ValueError("\n".join(f"{NORMALIZE}.{line}" for line in str(error).split("\n"))) from error
