"""TrivialAugment's operations, each against Pillow's, which the paper's authors used."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from netwright.learn import _augment_trivial as operations
from netwright.learn import trivial


def images(n=8, channels=3, height=12, width=12):
    levels = torch.randint(
        0, 256, (n, channels, height, width), generator=torch.Generator().manual_seed(3)
    )
    return levels.float() / 255


def applied(operation, strength, x):
    return operation(x, torch.full((len(x), 1, 1, 1), strength))


def by_pillow(change, x):
    """Apply a change of Pillow's to each image."""
    found = []
    for image in x:
        pixels = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        found.append(torch.from_numpy(np.array(change(Image.fromarray(pixels)))).permute(2, 0, 1))
    return torch.stack(found).float() / 255


@pytest.mark.oracle
@pytest.mark.parametrize("strength", [-1.0, -0.4, 0.7])
@pytest.mark.parametrize(
    ("operation", "change", "levels"),
    [
        # Pillow rounds and cuts to whole levels, and takes its own grey: a few levels' difference.
        (operations._brightness, ImageEnhance.Brightness, 1.01),
        (operations._contrast, ImageEnhance.Contrast, 12.0),
        (operations._sharpness, ImageEnhance.Sharpness, 2.01),
    ],
)
def test_enhancements_are_pillows(operation, change, levels, strength):
    x = images()
    theirs = by_pillow(lambda image: change(image).enhance(1 + 0.9 * strength), x)
    inner = (..., slice(1, -1), slice(1, -1))  # Pillow leaves edges as sharp as they were
    difference = (applied(operation, strength, x) - theirs)[inner].abs().max()
    assert difference <= levels / 255


@pytest.mark.oracle
def test_operations_on_levels_are_pillows():
    x = images()
    solarized = by_pillow(lambda image: ImageOps.solarize(image, 256 - 128), x)
    ours = applied(operations._solarize, 0.5, x)
    # Only a level of exactly 127.5 could fall to the other side.
    torch.testing.assert_close(ours, solarized, atol=1e-6, rtol=0)
    posterized = by_pillow(lambda image: ImageOps.posterize(image, 6), x)
    torch.testing.assert_close(
        applied(operations._posterize, 0.5, x), posterized, atol=1e-6, rtol=0
    )
    stretched = by_pillow(ImageOps.autocontrast, x)  # rounds down to a level
    assert (applied(operations._autocontrast, 1.0, x) - stretched).abs().max() <= 1.01 / 255
    # Pillow counts in whole 255ths of the pixels, of 65,536 in 256: that is one level too many at
    # the end, beside the rounding to levels.
    x = images(n=1, height=256, width=256)
    difference = applied(operations._equalize, 1.0, x) - by_pillow(ImageOps.equalize, x)
    assert difference.abs().max() <= 2.01 / 255


def test_turns_and_shears_keep_angles_on_oblong_images():
    # A line through the middle of an image twice as wide as high, turned by 30 degrees.
    x = torch.zeros(1, 1, 21, 41)
    x[..., 10, :] = 1.0
    turned = applied(operations._rotate, 1.0, x)[0, 0]
    rows, columns = (turned > 0.4).nonzero().T.float()
    slope = ((rows - 10) * (columns - 20)).sum() / (columns - 20).square().sum()
    assert abs(slope) == pytest.approx(np.tan(np.radians(30)), abs=0.03)
    upright = torch.zeros(1, 1, 21, 41)
    upright[..., 20] = 1.0
    sheared = applied(operations._shear_x, 1.0, upright)[0, 0]
    rows, columns = (sheared > 0.4).nonzero().T.float()
    slope = ((rows - 10) * (columns - 20)).sum() / (rows - 10).square().sum()
    assert abs(slope) == pytest.approx(0.3, abs=0.03)


def test_moves_are_shares_of_the_edge():
    x = images(height=16, width=32)
    across = applied(operations._move_x, 1.0, x)  # by 10 of 32 pixels
    torch.testing.assert_close(across[..., :22], x[..., 10:], atol=1e-4, rtol=0)
    down = applied(operations._move_y, -1.0, x)  # by 5 of 16
    torch.testing.assert_close(down[..., 5:, :], x[..., :11, :], atol=1e-4, rtol=0)


@pytest.mark.parametrize("operation", operations._OPERATIONS, ids=lambda f: f.__name__)
def test_no_strength_leaves_the_image_or_its_levels(operation):
    x = images(channels=1)
    if operation in (operations._autocontrast, operations._equalize):
        order = x.flatten(1).argsort(dim=1)
        changed = applied(operation, 0.0, x).flatten(1).gather(1, order)
        assert (changed.diff(dim=1) >= 0).all()  # brighter stays brighter
    else:
        # Sampling between pixels rounds.
        torch.testing.assert_close(applied(operation, 0.0, x), x, atol=1e-4, rtol=0)


def test_all_operations_are_drawn_alike(generator):
    # The share of images that are left as they were: identity, colour (grey), and level 0.
    x = images(n=2000, channels=1, height=6, width=6)
    kept = (trivial(x, generator=generator) - x).abs().amax(dim=(1, 2, 3)) < 1e-4
    expected = 2 / 14 + 10 / 14 / 31
    # Posterised and solarised images may stay, too, at the lowest levels: up to 2 of 31 of 2 of 14.
    assert expected - 0.03 <= kept.float().mean() <= expected + 0.05
