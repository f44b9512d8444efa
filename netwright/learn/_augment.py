"""Random changes to whole batches of images that keep their class.

Paper:    shift, flip: Krizhevsky, Sutskever, Hinton. ImageNet Classification with Deep
          Convolutional Neural Networks. NIPS 2012, section 4.1. cutout: DeVries, Taylor. 2017,
          arXiv:1708.04552, section 3.
Departs:  shift repeats the edge pixels; cutout fills with the batch's mean colour.
Notation: images are float in [0, 1]; B, C, H, W = batch, channels, height, width.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from netwright.learn._augment_trivial import trivial

__all__ = ["cutout", "flip", "noise", "rotate_scale", "shift", "trivial"]

Images = Float[Tensor, "batch channels height width"]


def shift(x: Images, *, generator: torch.Generator | None = None, reach: float = 1 / 8) -> Images:
    """Move each image by whole pixels, repeating the pixels at the edge.

    Args:
        x: images.
        generator: source of the moves, on the device of `x`; torch's global one if None.
        reach: largest move, as a share of height and width; at least one pixel.
    """
    B, _, H, W = x.shape
    rows = _moved(H, B, max(1, round(H * reach)), generator, x.device)
    columns = _moved(W, B, max(1, round(W * reach)), generator, x.device)
    batch = torch.arange(B, device=x.device)[:, None, None]
    moved = x[batch, :, rows[:, :, None], columns[:, None, :]]  # (B, H, W, C)
    return moved.permute(0, 3, 1, 2)  # (B, C, H, W)


def flip(x: Images, *, generator: torch.Generator | None = None) -> Images:
    """Mirror half of the images left to right.

    Args:
        x: images.
        generator: source of the choice, on the device of `x`; torch's global one if None.
    """
    mirrored = torch.rand(len(x), 1, 1, 1, device=x.device, generator=generator) < 0.5
    return torch.where(mirrored, x.flip(3), x)


def cutout(x: Images, *, generator: torch.Generator | None = None, side: float = 0.5) -> Images:
    """Cover one square of each image, centred anywhere, with the batch's mean colour.

    Args:
        x: images.
        generator: source of the centres, on the device of `x`; torch's global one if None.
        side: side of the square, as a share of the shorter edge; the paper's is 16 pixels of 32.
    """
    B, _, H, W = x.shape
    length = max(1, round(min(H, W) * side))
    covered = _span(H, B, length, generator, x.device)[:, None, :, None]
    covered = covered & _span(W, B, length, generator, x.device)[:, None, None, :]  # (B, 1, H, W)
    return torch.where(covered, x.mean(dim=(0, 2, 3), keepdim=True), x)


def rotate_scale(
    x: Images, *, generator: torch.Generator | None = None, degrees: float = 12.0, zoom: float = 0.1
) -> Images:
    """Turn and zoom each image about its centre, by bilinear sampling, repeating the edge.

    Args:
        x: images.
        generator: source of angles and zooms, on the device of `x`; torch's global one if None.
        degrees: largest angle, either way.
        zoom: largest relative change of size, either way.
    """
    B, _, H, W = x.shape
    turn, grow = torch.rand(2, B, device=x.device, dtype=x.dtype, generator=generator) * 2 - 1
    angle = turn * math.radians(degrees)
    scale = 1 / (1 + grow * zoom)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    zero = torch.zeros_like(cos)
    # Grid coordinates span [-1, 1] along both axes; the ratio of the edges keeps angles true.
    theta = torch.stack([cos, -sin * (H / W), zero, sin * (W / H), cos, zero], dim=1)
    grid = functional.affine_grid(theta.view(B, 2, 3), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def noise(x: Images, *, generator: torch.Generator | None = None, std: float = 0.05) -> Images:
    """Add Gaussian noise to every pixel, and clip to [0, 1].

    Args:
        x: images.
        generator: source of the noise, on the device of `x`; torch's global one if None.
        std: standard deviation, in units of `x`.
    """
    drawn = torch.randn(x.shape, device=x.device, dtype=x.dtype, generator=generator)
    return (x + std * drawn).clamp_(0.0, 1.0)


def _moved(
    length: int, n: int, reach: int, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    by = torch.randint(-reach, reach + 1, (n, 1), device=device, generator=generator)
    return (torch.arange(length, device=device) + by).clamp_(0, length - 1)  # (n, length)


def _span(
    length: int, n: int, side: int, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    centre = torch.randint(0, length, (n, 1), device=device, generator=generator)
    offset = torch.arange(length, device=device) - (centre - side // 2)
    return (offset >= 0) & (offset < side)  # (n, length)
