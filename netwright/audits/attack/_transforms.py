"""Turning, moving and zooming images, each by its own amount, so that gradients pass."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

__all__ = ["turned"]


def turned(
    x: Float[Tensor, "batch channels height width"],
    *,
    degrees: Float[Tensor, "batch"] | None = None,
    down: Float[Tensor, "batch"] | None = None,
    right: Float[Tensor, "batch"] | None = None,
    zoom: Float[Tensor, "batch"] | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Turn images about their middle, zoom and move them; what comes in from outside is zero.

    Args:
        x: images.
        degrees: angle of each, counter-clockwise.
        down: pixels to move down.
        right: pixels to move to the right.
        zoom: factor of size, above 0.
    """
    n, _, H, W = x.shape
    none = x.new_zeros(n)
    angle = (none if degrees is None else degrees) * (math.pi / 180)
    factor = x.new_ones(n) if zoom is None else zoom
    down, right = none if down is None else down, none if right is None else right
    cos, sin = angle.cos() / factor, angle.sin() / factor
    # Where each pixel comes from, in coordinates from -1 to 1: move back, then turn back.
    to_x, to_y = -2 * right / W, -2 * down / H
    rows = [
        torch.stack([cos, -sin * H / W, cos * to_x - sin * H / W * to_y], dim=1),
        torch.stack([sin * W / H, cos, sin * W / H * to_x + cos * to_y], dim=1),
    ]
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)
