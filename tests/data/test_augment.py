"""Jitter: whole pixels, both axes, nothing invented."""

import pytest
import torch

from kdlab.data import Jitter


def test_each_image_is_the_original_shifted_by_at_most_two_pixels_with_zeros_moving_in():
    torch.manual_seed(0)
    images = torch.randint(1, 255, (64, 2, 10, 12), dtype=torch.uint8)
    seen = set()
    for original, shifted in zip(images, Jitter(2)(images), strict=True):
        padded = torch.nn.functional.pad(original, (2, 2, 2, 2))
        windows = {(y, x): padded[:, y : y + 10, x : x + 12] for y in range(5) for x in range(5)}
        matching = [shift for shift, window in windows.items() if torch.equal(window, shifted)]
        assert len(matching) == 1
        seen.update(matching)
    assert len(seen) > 15  # of the 25 shifts, drawn independently for 64 images


def test_type_and_shape_stay():
    images = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    assert Jitter(1)(images).dtype == torch.uint8
    assert Jitter(1)(images).shape == images.shape


@pytest.mark.parametrize("pixels", [0, -1, 1.5])
def test_a_wrong_size_is_refused(pixels):
    with pytest.raises(ValueError, match=f"pixels={pixels}"):
        Jitter(pixels)
