"""One random change to each image, as strong as chance has it: nothing to tune.

Paper:    Müller, Hutter. TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation. ICCV
          2021, arXiv:2103.10158, algorithm 1; operations and strengths of its space "RA", which is
          that of Cubuk et al. RandAugment. 2019, arXiv:1909.13719.
Departs:  whole batches on any device; what moves in from outside repeats the edge pixels; "colour"
          changes nothing on grey images, and "equalize" something on images of few pixels too.
Notation: operation = a, strength = m / 30; images are float in [0, 1]; B, C, H, W = batch,
          channels, height, width.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

__all__ = ["trivial", "warp"]

Images = Float[Tensor, "batch channels height width"]
# Strengths are columns (B, 1, 1, 1) in [-1, 1]; the sign is drawn where it has a meaning.
_Operation = Callable[[Tensor, Tensor], Tensor]

_LEVELS = 31
_MOST_DEGREES, _MOST_SHEAR, _MOST_MOVE, _MOST_CHANGE = 30.0, 0.3, 10 / 32, 0.9


def trivial(x: Images, *, generator: torch.Generator | None = None) -> Images:
    """Change each image by one of fourteen operations, with a strength of its own.

    Args:
        x: images.
        generator: source of operations and strengths, on the device of `x`; torch's global one if
            None.
    """
    B = len(x)
    which = torch.randint(len(_OPERATIONS), (B,), device=x.device, generator=generator)
    level = torch.randint(_LEVELS, (B,), device=x.device, generator=generator)
    sign = torch.randint(2, (B,), device=x.device, generator=generator) * 2 - 1
    strength = (sign * level / (_LEVELS - 1)).to(x.dtype).view(B, 1, 1, 1)
    changed = x.clone()
    for number, operation in enumerate(_OPERATIONS):
        places = (which == number).nonzero()[:, 0]
        if len(places):
            changed[places] = operation(x[places], strength[places])
    return changed


def warp(x: Images, theta: Float[Tensor, "batch 2 3"]) -> Images:
    """Sample each image along an affine map, bilinearly, repeating the edge.

    Args:
        x: images.
        theta: where each pixel comes from; both axes span [-1, 1].
    """
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _map(x: Tensor, *rows: tuple[Tensor | float, ...]) -> Tensor:
    """Build an affine map from its six numbers, each one for all images or one an image."""
    numbers = (number for row in rows for number in row)
    flat = [torch.as_tensor(v, dtype=x.dtype, device=x.device).expand(len(x)) for v in numbers]
    return torch.stack(flat, dim=1).view(len(x), 2, 3)


def _rotate(x: Tensor, strength: Tensor) -> Tensor:
    angle = strength.view(-1) * math.radians(_MOST_DEGREES)
    ratio = x.shape[2] / x.shape[3]  # the map's axes span the edges, whatever their lengths
    cos, sin = angle.cos(), angle.sin()
    return warp(x, _map(x, (cos, -sin * ratio, 0.0), (sin / ratio, cos, 0.0)))


def _shear_x(x: Tensor, strength: Tensor) -> Tensor:
    by = strength.view(-1) * _MOST_SHEAR * x.shape[2] / x.shape[3]
    return warp(x, _map(x, (1.0, by, 0.0), (0.0, 1.0, 0.0)))


def _shear_y(x: Tensor, strength: Tensor) -> Tensor:
    by = strength.view(-1) * _MOST_SHEAR * x.shape[3] / x.shape[2]
    return warp(x, _map(x, (1.0, 0.0, 0.0), (by, 1.0, 0.0)))


def _move_x(x: Tensor, strength: Tensor) -> Tensor:
    return warp(x, _map(x, (1.0, 0.0, 2 * _MOST_MOVE * strength.view(-1)), (0.0, 1.0, 0.0)))


def _move_y(x: Tensor, strength: Tensor) -> Tensor:
    return warp(x, _map(x, (1.0, 0.0, 0.0), (0.0, 1.0, 2 * _MOST_MOVE * strength.view(-1))))


def _away(x: Tensor, dull: Tensor, strength: Tensor) -> Tensor:
    """Blend towards a dull image, or beyond the original away from it."""
    return (dull + (1 + _MOST_CHANGE * strength) * (x - dull)).clamp(0.0, 1.0)


def _brightness(x: Tensor, strength: Tensor) -> Tensor:
    return _away(x, torch.zeros_like(x), strength)


def _contrast(x: Tensor, strength: Tensor) -> Tensor:
    return _away(x, x.mean(dim=(1, 2, 3), keepdim=True), strength)


def _colour(x: Tensor, strength: Tensor) -> Tensor:
    return _away(x, x.mean(dim=1, keepdim=True), strength)


def _sharpness(x: Tensor, strength: Tensor) -> Tensor:
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    mean = functional.avg_pool2d(padded, 3, stride=1)
    return _away(x, (9 * mean + 4 * x) / 13, strength)  # weights 1, in the middle 5, of 13


def _solarize(x: Tensor, strength: Tensor) -> Tensor:
    return torch.where(255 * x >= 256 * (1 - strength.abs()), 1 - x, x)


def _posterize(x: Tensor, strength: Tensor) -> Tensor:
    steps = 2.0 ** (8 - (4 * strength.abs()).round())  # 8 to 4 bits
    return (x * 255 / 256 * steps).floor() * 256 / (255 * steps)


def _autocontrast(x: Tensor, strength: Tensor) -> Tensor:
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp_min(1e-6), x)


def _equalize(x: Tensor, strength: Tensor) -> Tensor:
    B, C, H, W = x.shape
    levels = (x * 255).round().long().clamp(0, 255).view(B, C, H * W)
    counts = torch.zeros(B, C, 256, device=x.device, dtype=x.dtype)
    counts.scatter_add_(2, levels, torch.ones_like(levels, dtype=x.dtype))
    below = counts.cumsum(dim=2) - counts
    spread = (H * W - counts.gather(2, levels.amax(dim=2, keepdim=True))).clamp_min(1.0)
    return (below / spread).clamp(0.0, 1.0).gather(2, levels).view(B, C, H, W)


def _identity(x: Tensor, strength: Tensor) -> Tensor:
    return x


_OPERATIONS: tuple[_Operation, ...] = (
    _identity, _autocontrast, _equalize, _rotate, _solarize, _colour, _posterize, _contrast,
    _brightness, _sharpness, _shear_x, _shear_y, _move_x, _move_y,
)  # fmt: skip
