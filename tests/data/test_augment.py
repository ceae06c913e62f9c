"""Augmentation: the effect of each random draw on an image."""

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as tv

from kdlab.data import Affine, HorizontalFlip, Jitter


def test_jitter_shifts_each_image_by_its_own_whole_number_of_pixels_and_fills_with_zeros():
    torch.manual_seed(0)
    images = torch.randint(1, 256, (200, 1, 6, 6), dtype=torch.uint8)
    padded = F.pad(images, (2, 2, 2, 2))
    seen = set()
    for image, shifted in zip(padded, Jitter(2)(images), strict=True):
        places = [
            (y, x) for y in range(5) for x in range(5) if torch.equal(image[:, y : y + 6, x : x + 6], shifted)
        ]  # fmt: skip
        assert len(places) == 1
        seen.update(places)
    assert len(seen) == 25


@pytest.mark.parametrize("augment", [Jitter(1), HorizontalFlip(), Affine(), Affine(0, 0, 0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_dtype_and_shape_stay_and_the_batch_is_not_changed(augment, channels):
    images = torch.randint(0, 256, (8, channels, 5, 7), dtype=torch.uint8)
    before = images.clone()
    changed = augment(images)
    assert changed.dtype == torch.uint8
    assert changed.shape == images.shape
    assert torch.equal(images, before)


@pytest.mark.parametrize("pixels", [0, -1, 1.5])
def test_a_jitter_by_no_positive_number_of_pixels_is_refused(pixels):
    with pytest.raises(ValueError, match=f"pixels={pixels}"):
        Jitter(pixels)


def test_a_flip_mirrors_about_half_of_the_images_left_to_right():
    torch.manual_seed(0)
    images = torch.arange(1000 * 12, dtype=torch.int32).reshape(1000, 1, 3, 4)
    flipped = HorizontalFlip()(images)
    mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(flipped, images, strict=True)])
    same = torch.tensor([torch.equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert (mirrored ^ same).all()
    assert 430 < mirrored.sum() < 570
    assert torch.equal(HorizontalFlip(0)(images), images)
    assert torch.equal(HorizontalFlip(1)(images), images.flip(3))


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_an_affine_draw_equals_torchvisions_with_the_same_angle_scale_and_shift(size, monkeypatch):
    images = F.interpolate(torch.rand(1, 3, 4, 4), size=size, mode="bicubic")  # smooth, so that interpolation is close
    height, width = size
    draws = torch.tensor([[0.5], [-0.6], [0.4], [-0.2]])  # angle, scale, shift to the left, shift upwards
    monkeypatch.setattr(torch, "rand", lambda *shape, device: (draws + 1) / 2)
    augment = Affine(degrees=30, scale=0.25, translate=0.25)
    found = augment(images)
    scale = 1 / (1 / (1 - 0.6 * 0.25))
    # The shift moves the source of a pixel, after the rotation about the centre.
    angle = math.radians(0.5 * 30)
    dx, dy = -0.4 * 0.25 * width, 0.2 * 0.25 * height
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    shift = [cos * dx + sin * dy, -sin * dx + cos * dy]
    expected = tv.affine(
        images, angle=-15, translate=shift, scale=scale, shear=[0.0], interpolation=tv.InterpolationMode.BILINEAR
    )
    inside = (slice(None), slice(None), slice(5, -5), slice(5, -5))
    assert torch.allclose(found[inside], expected[inside], atol=0.05)
    assert not torch.allclose(found[inside], images[inside], atol=0.05)


def test_an_affine_with_all_limits_zero_changes_nothing():
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(Affine(0, 0, 0)(images), images)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"degrees": 200}, "degrees=200"), ({"scale": 1.0}, "scale=1.0"), ({"translate": -0.1}, "translate=-0.1")],
)
def test_an_affine_out_of_range_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Affine(**wrong)
    with pytest.raises(ValueError, match="probability=2"):
        HorizontalFlip(2)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("augment", [Jitter(2), HorizontalFlip(), Affine()], ids=str)
def test_an_augmentation_stays_on_the_device_and_keeps_its_digits_under_autocast(arithmetic, augment, dtype):
    images = (torch.rand(8, 3, 12, 12, generator=torch.Generator().manual_seed(0)) * 255).to(dtype)
    images = images.to(arithmetic.device)
    torch.manual_seed(1)
    plain = augment(images)
    torch.manual_seed(1)
    with arithmetic.autocast():
        inside = augment(images)
    assert (inside.dtype, inside.device, inside.shape) == (dtype, images.device, images.shape)
    assert torch.equal(inside, plain)
