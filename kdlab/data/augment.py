"""Augmentation of whole batches, on their device, before scaling; each image gets its own random numbers.

`torch.nn.Identity` stands for no augmentation: inputs are then the same in every epoch, and the teacher's logits are
computed once. `torch.nn.Sequential` chains several augmentations.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.limits import integer, is_finite, share


class Jitter(nn.Module):
    """Shift each image by whole pixels, uniformly in [−pixels, pixels] along both axes; fill with zeros.

    Elsewhere this is called a random crop after padding. Source: the 2015 paper's teacher, "input images
    jittered by up to two pixels in any direction" (section 3).

    Raises:
        ValueError: when `pixels` is not an integer above 0.
    """

    def __init__(self, pixels: int = 2) -> None:
        super().__init__()
        if problems := integer("pixels", pixels):
            raise ValueError(*problems)
        self.pixels = pixels

    def forward(self, images: Tensor) -> Tensor:
        """Return the shifted images (B, C, H, W) in the same dtype."""
        batch, _, height, width = images.shape
        p = self.pixels
        if p >= min(height, width):
            raise ValueError(f"pixels={p}: must be less than the sides of the images, {height}×{width}")
        shifts = torch.randint(0, 2 * p + 1, (2, batch), device=images.device)
        padded = F.pad(images, (p, p, p, p))
        # Every shift of every image as a view (B, C, 2p+1, 2p+1, H, W); only the drawn ones are copied.
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        return windows[torch.arange(batch, device=images.device), :, shifts[0], shifts[1]]


class HorizontalFlip(nn.Module):
    """Mirror each image left to right with a given probability.

    Raises:
        ValueError: when `probability` is not in [0, 1].
    """

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        if problems := share("probability", probability):
            raise ValueError(*problems)
        self.probability = probability

    def forward(self, images: Tensor) -> Tensor:
        """Return the images (B, C, H, W) in the same dtype."""
        mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < self.probability
        return torch.where(mirrored, images.flip(3), images)


class Affine(nn.Module):
    """Shift each image, then rotate and scale it about its centre, by bilinear interpolation; fill with zeros.

    Args:
        degrees: the largest rotation in either direction.
        scale: the largest relative change of size, in [0, 1); the factor is uniform in [1 − scale, 1 + scale].
        translate: the largest shift along each axis, as a share of the image's width or height, in [0, 1). The scaling
            that follows multiplies it.

    Raises:
        ValueError: one line for each argument out of its range.
    """

    def __init__(self, degrees: float = 10.0, scale: float = 0.1, translate: float = 0.1) -> None:
        super().__init__()
        problems = [*share("scale", scale, one=False), *share("translate", translate, one=False)]
        if not (is_finite(degrees) and 0 <= degrees <= 180):
            problems.insert(0, f"degrees={degrees}: must lie in [0, 180]")
        if problems:
            raise ValueError("\n".join(problems))
        self.degrees = degrees
        self.scale = scale
        self.translate = translate

    def forward(self, images: Tensor) -> Tensor:
        """Return the transformed images (B, C, H, W) in the same dtype."""
        batch, _, height, width = images.shape
        draws = torch.rand(4, batch, device=images.device) * 2 - 1  # (4, B), uniform in [−1, 1]
        angle = draws[0] * math.radians(self.degrees)
        # The grid maps output pixels to input pixels: it is the inverse of what happens to the image.
        zoom = 1 / (1 + draws[1] * self.scale)
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        shift_x, shift_y = 2 * self.translate * draws[2], 2 * self.translate * draws[3]
        matrix = torch.stack(
            [
                torch.stack([cos, -sin * height / width, shift_x], dim=1),
                torch.stack([sin * width / height, cos, shift_y], dim=1),
            ],
            dim=1,
        )  # (B, 2, 3)
        with torch.autocast(images.device.type, enabled=False):  # which would round places to 8 bits
            grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
            moved = F.grid_sample(images.float(), grid, align_corners=False)
        return moved.to(images.dtype) if images.is_floating_point() else moved.round().to(images.dtype)
