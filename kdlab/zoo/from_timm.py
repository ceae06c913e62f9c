"""timm's networks."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from kdlab.models.normalization import Normalization
from kdlab.zoo.refusals import not_had, unknown

NEEDED = "timm is needed: pip install 'kdlab[models]'"


def from_timm(*, name: str, outputs: int, image_channels: int, pretrained: bool = False) -> nn.Module:
    """Return one of timm's networks: images (N, `image_channels`, H, W) → logits (N, `outputs`).

    It normalizes images by the mean and standard deviation of its published weights; it resizes them to the size of
    these, if it has them or takes no other.

    Args:
        name: as timm calls it, such as `resnet18` or `vit_tiny_patch16_224.augreg_in21k`.
        outputs: the number of classes.
        image_channels: 3 for colour, 1 for grey.
        pretrained: with the published weights, but for the last layer; they are downloaded.

    Raises:
        ImportError: when timm is not installed.
        ValueError: when timm has no such network, or its weights cannot be had.
    """
    try:
        import timm
    except ImportError as error:
        raise ImportError(NEEDED) from error
    if not timm.is_model(name):
        raise ValueError(f"name={name}: {unknown('timm', name, timm.list_models())}")
    try:
        net: Any = timm.create_model(name, pretrained=pretrained, num_classes=outputs, in_chans=image_channels)
    except Exception as error:  # its hub raises many kinds
        if not pretrained:
            raise
        raise ValueError(not_had(error)) from error
    published: Any = net.pretrained_cfg
    fixed = pretrained or published.get("fixed_input_size", False)
    mean, std = (_of_channels(published[key], image_channels) for key in ("mean", "std"))
    net.input_normalization = Normalization(mean, std, published["input_size"][-1] if fixed else None)
    return net


def _of_channels(values: Sequence[float], channels: int) -> list[float]:
    """Return numbers of colour channels for as many channels; for another number, their mean."""
    return list(values) if len(values) == channels else [sum(values) / len(values)]
