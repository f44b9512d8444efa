"""Turn and move images until one of the ways fools the classifier.

Paper:    Engstrom, Tran, Tsipras, Schmidt, Madry. Exploring the Landscape of Spatial Robustness.
          ICML 2019, arXiv:1712.02779. Section 3, grid search over rotation and translation.
Departs:  ways are tried from the smallest to the largest, and an image leaves once it is fooled;
          with `levels` the turned image is rounded to real pixels.
Notation: degrees = theta, pixels = delta u, delta v.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._hunt import require_count
from netwright.audits.attack._outcome import Attacked, check_inputs, fooled_by
from netwright.audits.attack._transforms import turned

__all__ = ["spatial"]


@torch.no_grad()
def spatial(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch channels height width"],
    y: Int[Tensor, "batch"],
    *,
    degrees: float = 30.0,
    pixels: float = 3.0,
    n_angles: int = 31,
    n_shifts: int = 5,
    levels: int | None = None,
) -> Attacked:
    """Attack a classifier of images by every rotation and shift of a grid.

    Args:
        network: maps images to logits, each row on its own; a module must be in eval mode.
        x: images in [0, 1]; what comes in from outside is zero.
        y: their true classes.
        degrees: largest angle, in either direction.
        pixels: largest shift, in each of the four directions.
        n_angles: angles of the grid, an odd number to include none.
        n_shifts: shifts of the grid along each axis, an odd number to include none.
        levels: round the images to multiples of `1 / levels` (255 for bytes); None does not.

    Returns:
        The turned images, which of them are misclassified, and the queries spent; images that no
        way fools are returned as they were.

    Raises:
        ValueError: if a count is not positive, `degrees` or `pixels` is negative, or as `pgd`.

    Cost: at most `n_angles * n_shifts ** 2` forward passes over what is not yet fooled.
    """
    require_count("n_angles", n_angles)
    require_count("n_shifts", n_shifts)
    for name, value in (("degrees", degrees), ("pixels", pixels)):
        if not value >= 0:
            raise ValueError(f"`{name}` must not be negative; got {value}.")
    check_inputs(network, x, 0.0, 1.0, levels)
    found, fooled, n_queries = x.clone(), fooled_by(network, x, y), len(x)
    for angle, down, right in _ways(degrees, pixels, n_angles, n_shifts):
        left = (~fooled).nonzero()[:, 0]
        if not len(left):
            break
        each = x.new_ones(len(left))
        moved = turned(x[left], degrees=angle * each, down=down * each, right=right * each)
        if levels is not None:
            moved = (moved * levels).round() / levels
        moved = moved.clamp(0.0, 1.0)
        wrong = fooled_by(network, moved, y[left])
        n_queries += len(left)
        found[left[wrong]], fooled[left[wrong]] = moved[wrong], True
    return Attacked(found, fooled, 0, n_queries)


def _ways(
    degrees: float, pixels: float, n_angles: int, n_shifts: int
) -> list[tuple[float, float, float]]:
    angles = torch.linspace(-degrees, degrees, n_angles).tolist() if n_angles > 1 else [0.0]
    shifts = torch.linspace(-pixels, pixels, n_shifts).tolist() if n_shifts > 1 else [0.0]
    ways = [(angle, down, right) for angle in angles for down in shifts for right in shifts]

    def size(way: tuple[float, float, float]) -> float:
        return abs(way[0]) / max(degrees, 1e-9) + (abs(way[1]) + abs(way[2])) / max(pixels, 1e-9)

    return sorted(ways, key=size)
