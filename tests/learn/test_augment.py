import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from netwright.learn import _augment, cutout, flip, noise, rotate_scale, shift

ALL = [getattr(_augment, name) for name in _augment.__all__]


def images(n=64, channels=3, height=8, width=12):
    drawn = torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(7))
    return drawn.clamp(0.01, 0.99)


@pytest.mark.parametrize("augment", ALL, ids=lambda f: f.__name__)
def test_kind_is_kept_and_input_left_alone(augment, generator):
    x = images()
    before = x.clone()
    changed = augment(x, generator=generator)
    assert (changed.shape, changed.dtype) == (x.shape, x.dtype)
    assert changed.min() >= 0.0 and changed.max() <= 1.0
    assert torch.equal(x, before)
    assert not torch.equal(changed, x)


@pytest.mark.parametrize("augment", ALL, ids=lambda f: f.__name__)
def test_same_generator_same_result(augment):
    first, again, other = (
        augment(images(), generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shift_moves_every_image_by_its_own_whole_pixels(generator):
    x = images(n=400)
    moved = shift(x, generator=generator, reach=0.25)  # up to 2 rows and 3 columns
    found = set()
    for before, after in zip(x, moved, strict=True):
        padded = np.pad(before.numpy(), ((0, 0), (2, 2), (3, 3)), mode="edge")
        at = [
            (dy, dx)
            for dy in range(5)
            for dx in range(7)
            if np.array_equal(padded[:, dy : dy + 8, dx : dx + 12], after.numpy())
        ]
        assert len(at) == 1
        found.add(at[0])
    assert len(found) == 35  # 400 draws miss one of 35 moves with a chance of 35*(34/35)**400: 3e-4


def test_flip_mirrors_about_half(generator):
    x = images(n=1000, channels=1)
    flipped = flip(x, generator=generator)
    mirrored = (flipped == x.flip(3)).all(dim=(1, 2, 3))
    kept = (flipped == x).all(dim=(1, 2, 3))
    assert (mirrored | kept).all()
    assert mirrored.sum().item() == pytest.approx(500, abs=63)  # 4 standard deviations


def test_cutout_covers_one_square_with_the_mean_colour(generator):
    x = images(n=300, height=16, width=16)
    cut = cutout(x, generator=generator)
    covered = (cut != x).any(dim=1)  # (B, H, W)
    height, width = covered.any(dim=2).sum(dim=1), covered.any(dim=1).sum(dim=1)
    assert torch.equal(covered.sum(dim=(1, 2)), height * width)  # a full rectangle
    assert height.max() == 8 and height.min() >= 4  # centres lie inside, so at least half is
    colour = x.mean(dim=(0, 2, 3))
    assert torch.allclose(cut.permute(0, 2, 3, 1)[covered], colour, atol=1e-6)


def test_rotate_scale_by_nothing_changes_nothing(generator):
    x = images()
    still = rotate_scale(x, generator=generator, degrees=0.0, zoom=0.0)
    assert torch.allclose(still, x, atol=1e-5)  # bilinear weights in float32


@pytest.mark.oracle
def test_rotate_scale_agrees_with_scipy():
    # A smooth picture, wider than high: true angles show, interpolation hardly matters.
    H, W = 24, 36
    rows, columns = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    x = (0.5 + 0.4 * torch.sin(rows / 4) * torch.cos(columns / 5))[None, None].expand(5, 1, H, W)
    changed = rotate_scale(x, generator=torch.Generator().manual_seed(3), degrees=30.0, zoom=0.2)
    turn, grow = torch.rand(2, 5, generator=torch.Generator().manual_seed(3)) * 2 - 1
    for i in range(5):
        angle, scale = math.radians(30.0 * turn[i]), 1 / (1 + 0.2 * float(grow[i]))
        to_source = scale * np.array(
            [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
        )
        centre = np.array([(H - 1) / 2, (W - 1) / 2])
        expected = ndimage.affine_transform(
            x[i, 0].numpy(), to_source, centre - to_source @ centre, order=1, mode="nearest"
        )
        # both interpolate linearly between the same pixels; float32 coordinates differ by 1e-5
        assert np.abs(changed[i, 0].numpy() - expected).max() < 1e-4


def test_noise_has_its_standard_deviation(generator):
    x = torch.full((100, 1, 10, 10), 0.5)
    drawn = noise(x, generator=generator) - x
    # 10,000 draws: the standard error of a standard deviation is 0.7%; x4
    assert drawn.std().item() == pytest.approx(0.05, rel=0.03)


def test_noise_stays_inside_the_range_of_images(generator):
    extremes = torch.cat([torch.zeros(5, 1, 4, 4), torch.ones(5, 1, 4, 4)])
    noisy = noise(extremes, generator=generator)
    assert noisy.min() == 0.0 and noisy.max() == 1.0
