"""Networks: inputs in, logits out."""

from kdlab.models.cnn import CNN
from kdlab.models.mlp import MLP
from kdlab.models.normalization import Normalization
from kdlab.models.resnet import ResNet
from kdlab.models.vgg import VGG
from kdlab.models.wide_resnet import WideResNet

__all__ = ["CNN", "MLP", "VGG", "Normalization", "ResNet", "WideResNet"]
