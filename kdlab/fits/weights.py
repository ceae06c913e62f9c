"""A network's weights as files: state_dicts, in which nothing but tensors is pickled."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kdlab.errors import KdlabError
from kdlab.files import whole

SHOWN = 5
# Where files of other frameworks keep the weights, and what they put before each name.
INSIDE = ("state_dict", "model")
PREFIXES = ("module.", "model.", "net.", "_orig_mod.")


class CheckpointError(KdlabError):
    """A file of weights that cannot be read, or that does not fit the network."""


def save(net: nn.Module, path: Path) -> None:
    """Write `net`'s state_dict."""
    path.parent.mkdir(exist_ok=True)
    # Given a path, torch writes its name into the file: equal weights would not be equal files.
    with whole(path) as scratch, scratch.open("wb") as file:
        torch.save(net.state_dict(), file)


def load(net: nn.Module, path: Path, *, classes: int | None = None, new_head: bool = False) -> None:
    """Load the weights in `path`, a state_dict by torch.save or a .safetensors file, into `net`.

    A state_dict inside of a checkpoint is found, and a prefix that all its names have, such as `module.`, is left out.

    Args:
        net: the network.
        path: the file.
        classes: the number of classes, by which the last layer is known; None where it is of no interest.
        new_head: leave the last layer as it is where the file's has another number of classes.

    Raises:
        CheckpointError: naming the file and what is wrong with it.
    """
    own = net.state_dict()
    state = _without_prefix(read(path), own)
    heads = [name for name in own if name in state and _is_other_head(state[name], own[name], classes)]
    if heads and new_head:
        state = {name: value for name, value in state.items() if name not in heads}
        own = {name: value for name, value in own.items() if name not in heads}
    problems = [f"it lacks {name}" for name in own if name not in state]
    problems += [f"the network has no {name}" for name in state if name not in own]
    problems += [f"{name} is {unlike}" for name in own if name in state and (unlike := _unlike(state[name], own[name]))]
    if problems and len(problems) == len(heads):
        found = len(state[heads[0]])
        raise CheckpointError(
            f"{path}: its last layer has {found} classes, the data have {classes}; teacher.new_head=true replaces it, "
            "and trains the network from there"
        )
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise CheckpointError(f"{path} holds other weights than the network's: {'; '.join(problems[:SHOWN] + more)}")
    net.load_state_dict(state, strict=not heads)


def _without_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the weights without what all their names begin with, where the network's own names do not."""
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state) and not all(name.startswith(prefix) for name in own):
            return _without_prefix({name.removeprefix(prefix): value for name, value in state.items()}, own)
    return state


def _is_other_head(value: Tensor, own: Tensor, classes: int | None) -> bool:
    """Tell whether a tensor is that of a last layer for another number of classes."""
    return own.ndim > 0 and len(own) == classes != len(value) and value.shape[1:] == own.shape[1:]


def _unlike(value: Tensor, own: Tensor) -> str | None:
    """Return what keeps a tensor from taking the place of a network's own; None where nothing does."""
    if value.shape != own.shape:
        return f"{tuple(value.shape)}, in the network {tuple(own.shape)}"
    if value.is_meta:
        return "without values, on torch's meta device"
    if value.layout != own.layout or value.is_quantized:
        return "quantized" if value.is_quantized else f"of layout {value.layout}"
    if (value.is_floating_point(), value.is_complex()) != (own.is_floating_point(), own.is_complex()):
        return f"of {value.dtype}, in the network {own.dtype}"
    # A mask of a network's own may hold infinity.
    if own.isfinite().all() and not value.to(own.dtype).isfinite().all():
        return "not finite everywhere"
    return None


def read(path: Path) -> Mapping[str, Tensor]:
    """Return the state_dict in a file.

    Raises:
        CheckpointError: naming the file and what is wrong with it.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # torch.load raises many kinds of errors for a foreign file
        raise CheckpointError(f"{path} is no state_dict that torch.load(weights_only=True) reads: {error}") from error
    for key in INSIDE:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not (isinstance(state, Mapping) and state and all(isinstance(value, Tensor) for value in state.values())):
        raise CheckpointError(f"{path} is no state_dict, names with tensors: save one with net.state_dict()")
    return state


def checksum(net: nn.Module) -> str:
    """Return a hash of `net`'s weights, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
