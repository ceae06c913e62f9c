"""Data sets in memory, their held-out classes, and the batches of one fit."""

from kdlab.data.augment import Affine, HorizontalFlip, Jitter
from kdlab.data.blobs import BlobsData
from kdlab.data.cifar import CIFAR10Data, CIFAR100Data
from kdlab.data.digits import DigitsData
from kdlab.data.fallback import STAND_INS, load, stand_in
from kdlab.data.image_folder import ImageFolderData
from kdlab.data.mnist import MNISTData
from kdlab.data.mnist5k import MNIST5kData
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Batch, Samples
from kdlab.data.table import TableData

__all__ = [
    "STAND_INS",
    "Affine",
    "Batch",
    "BlobsData",
    "CIFAR10Data",
    "CIFAR100Data",
    "ClassificationData",
    "DigitsData",
    "HorizontalFlip",
    "ImageFolderData",
    "Jitter",
    "MNIST5kData",
    "MNISTData",
    "Samples",
    "TableData",
    "load",
    "stand_in",
]
