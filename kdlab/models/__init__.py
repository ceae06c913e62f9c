"""Networks: images in, logits out, and nothing else."""

from kdlab.models.cnn import CNN
from kdlab.models.mlp import MLP
from kdlab.models.resnet import ResNet

__all__ = ["CNN", "MLP", "ResNet"]
