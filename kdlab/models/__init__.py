"""Networks: inputs in, logits out."""

from kdlab.models.cnn import CNN
from kdlab.models.mlp import MLP
from kdlab.models.resnet import ResNet

__all__ = ["CNN", "MLP", "ResNet"]
