"""scikit-learn's handwritten digits: 1,797 real images that come with the library."""

from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from kdlab.data.held_out import split_ids
from kdlab.data.module import ClassificationData
from kdlab.data.samples import Samples


class DigitsData(ClassificationData):
    """The 8×8 digits (UCI, E. Alpaydin and C. Kaynak, 1998), scaled up to MNIST's 28×28.

    They have no official split; a fixed, stratified quarter of them is the test set.
    """

    name = "digits"
    class_names = tuple("0123456789")
    input_shape = (1, 28, 28)

    def __init__(self, *, passes_per_epoch: int = 5, **kwargs: Any) -> None:
        super().__init__(passes_per_epoch=passes_per_epoch, **kwargs)

    def read(self) -> tuple[Samples, Samples]:
        """Return 1,347 training and 450 test images (N, 1, 28, 28) uint8."""
        digits = load_digits()
        small = torch.from_numpy(digits.images).float().unsqueeze(1) * (255 / 16)
        # As in MNIST, a digit fills a box of 20×20 in the centre of the image.
        large = F.interpolate(small, size=(20, 20), mode="bilinear", align_corners=False)
        images = F.pad(large, (4, 4, 4, 4)).round().to(torch.uint8)
        labels = torch.from_numpy(digits.target).long()
        train, test = split_ids(labels, val_size=0.25, seed=0)
        return Samples(images[train], labels[train]), Samples(images[test], labels[test])
