"""Data sets in memory, their held-out classes, and the batches of one fit."""

from kdlab.data.augment import Jitter
from kdlab.data.digits import DigitsData
from kdlab.data.fallback import load
from kdlab.data.mnist import MNISTData
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Batch, Samples

__all__ = [
    "Batch",
    "ClassificationData",
    "DigitsData",
    "Jitter",
    "MNISTData",
    "Samples",
    "load",
]
