"""Networks of other libraries, which state what their weights want to see."""

from kdlab.zoo.from_timm import from_timm
from kdlab.zoo.from_torchvision import from_torchvision

__all__ = ["from_timm", "from_torchvision"]
