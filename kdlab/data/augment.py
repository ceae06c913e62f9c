"""Augmentation of whole batches, on whatever device they are on, before scaling.

A fit without augmentation uses `torch.nn.Identity`; its inputs are then the same in every epoch, and the teacher's
logits for them are computed once.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Jitter(nn.Module):
    """Shift each image by a whole number of pixels, uniform in [−pixels, pixels] along both axes; zeros move in.

    Source: the 2015 paper's teacher, "input images jittered by up to two pixels in any direction" (section 3).

    Raises:
        ValueError: when `pixels` is no integer above 0.
    """

    def __init__(self, pixels: int = 2) -> None:
        super().__init__()
        if not isinstance(pixels, int) or pixels < 1:
            raise ValueError(f"pixels={pixels}: must be an integer above 0")
        self.pixels = pixels

    def forward(self, images: Tensor) -> Tensor:
        """Return the shifted images (B, C, H, W), in the type they came in."""
        batch, _, height, width = images.shape
        p = self.pixels
        shifts = torch.randint(0, 2 * p + 1, (2, batch), device=images.device)
        padded = F.pad(images, (p, p, p, p))
        # Every shift of every image as a view (B, C, 2p+1, 2p+1, H, W); only the drawn ones are copied.
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        return windows[torch.arange(batch, device=images.device), :, shifts[0], shifts[1]]
