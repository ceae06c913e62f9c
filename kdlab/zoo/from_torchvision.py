"""torchvision's networks."""

from torch import nn

from kdlab.models.normalization import Normalization
from kdlab.zoo.refusals import not_had, unknown


def from_torchvision(*, name: str, outputs: int, pretrained: bool = False) -> nn.Module:
    """Return one of torchvision's networks: images (N, 3, H, W) → logits (N, `outputs`).

    It normalizes images by the mean and standard deviation of its published weights, and makes colour images of grey
    ones; it resizes them to the size of these weights, if it has them or takes no other.

    Args:
        name: as torchvision calls it, such as `resnet18`.
        outputs: the number of classes.
        pretrained: with the published weights, but for the last layer; they are downloaded.

    Raises:
        ValueError: when torchvision has no such network, or its weights cannot be had.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"name={name}: {unknown('torchvision', name, known)}")
    # Two networks have further outputs in training, which a distilled student has no use for.
    further = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    net: nn.Module = models.get_model(name, weights=None, num_classes=outputs, **further)
    published = models.get_model_weights(name).DEFAULT
    transforms = published.transforms()
    if pretrained:
        try:
            state = published.get_state_dict(progress=False, check_hash=True)
        except Exception as error:  # a download fails in many ways
            raise ValueError(not_had(error)) from error
        own = net.state_dict()
        net.load_state_dict({k: v for k, v in state.items() if k in own and v.shape == own[k].shape}, strict=False)
    size = transforms.crop_size[0] if pretrained else getattr(net, "image_size", None)
    net.input_normalization = Normalization(transforms.mean, transforms.std, size)  # type: ignore[assignment]
    return net
