"""Offsets whose coordinates change by a limited amount in total.

Paper:    Duchi, Shalev-Shwartz, Singer, Chandra. Efficient Projections onto the l1-Ball for
          Learning in High Dimensions. ICML 2008. Figure 1 (`project`).
          Tramer, Boneh. Adversarial Training and Robustness for Multiple Perturbations. NeurIPS
          2019, arXiv:1904.13000. Section 3, the SLIDE attack (`step`).
Departs:  nothing.
Notation: share = 1 - q.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from netwright.audits.attack._ball import check_radius
from netwright.audits.attack._hyperplane import Crossing, cross_l1

__all__ = ["L1Ball"]

_SLACK = 1e-4  # of a pixel level, as for the other balls


@dataclass(frozen=True, slots=True)
class L1Ball:
    """Offsets whose absolute coordinates sum to at most `radius`.

    Attributes:
        radius: in units of the input.
        share: of the coordinates that a step moves at once, those of the largest gradient.
    """

    radius: float
    share: float = 0.05

    def __post_init__(self) -> None:
        """Refuse what no attack can use."""
        check_radius(self.radius)
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` of the coordinates must lie in (0, 1]; got {self.share}.")

    def random(
        self, like: Float[Tensor, "batch *input"], generator: torch.Generator | None
    ) -> Float[Tensor, "batch *input"]:
        """Draw one offset for each row, uniformly over the ball.

        Args:
            like: gives shape, dtype and device.
            generator: source of the draw, on the device of `like`.
        """
        flat = like.flatten(1)
        kind = {"dtype": like.dtype, "device": like.device, "generator": generator}
        # Exponential lengths are uniform on the simplex; one more coordinate takes up the rest.
        shape = (len(flat), flat.shape[1] + 1)
        length = -torch.rand(shape, **kind).clamp_min(1e-30).log()
        length = length[:, :-1] / length.sum(1, keepdim=True)
        sign = torch.rand(flat.shape, **kind).sub(0.5).sign()
        return (self.radius * length * sign).view_as(like)

    def step(
        self, gradient: Float[Tensor, "batch *input"], step_size: float
    ) -> Float[Tensor, "batch *input"]:
        """Return an offset of norm `step_size`, shared among the coordinates of large gradient.

        One coordinate alone would gain most on a linear loss, and gets stuck on others.

        Args:
            gradient: of the loss, by the input.
            step_size: in units of the input.
        """
        flat = gradient.flatten(1)
        n = max(1, round(self.share * flat.shape[1]))
        least = flat.abs().topk(n, dim=1).values[:, -1:] if len(flat) else flat.abs()[:, :1]
        chosen = flat.sign() * (flat.abs() >= least)
        total = chosen.abs().sum(1, keepdim=True).clamp_min(1.0)
        return (step_size * chosen / total).view_as(gradient)

    def project(self, offset: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Return the nearest offsets, in Euclidean distance, inside the ball.

        Args:
            offset: in units of the input.
        """
        flat = offset.flatten(1)
        inside = self.length(offset)[:, None] <= self.radius
        falling = flat.abs().sort(dim=1, descending=True).values
        excess = falling.cumsum(1) - self.radius
        number = torch.arange(1, flat.shape[1] + 1, dtype=flat.dtype, device=flat.device)
        n_kept = (falling * number > excess).sum(1, keepdim=True).clamp_min(1)
        threshold = excess.gather(1, n_kept - 1) / n_kept
        shrunk = flat.sign() * (flat.abs() - threshold).clamp_min(0.0)
        return torch.where(inside, flat, shrunk).view_as(offset)

    def round(
        self, offset: Float[Tensor, "batch *input"], levels: int
    ) -> Float[Tensor, "batch *input"]:
        """Return nearby offsets inside the ball that are whole multiples of `1 / levels`.

        As for the Euclidean ball: towards zero first, then up again as long as the norm allows.

        Args:
            offset: in units of the input, inside the ball.
            levels: steps between 0 and 1, 255 for pixels of one byte.
        """
        scaled = (offset * levels).flatten(1).double()
        down = (scaled.abs() + _SLACK).floor()
        part = scaled.abs() - down
        order = part.argsort(dim=1, descending=True, stable=True)
        n_more = (self.radius * levels + _SLACK - down.sum(1, keepdim=True)).floor()
        rank = torch.empty_like(order).scatter_(
            1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
        )
        # Fewer than one level a coordinate would otherwise vanish altogether: no bar of one half.
        up = (part > _SLACK) & (rank < n_more)
        return ((down + up) * scaled.sign() / levels).to(offset.dtype).view_as(offset)

    def length(self, offset: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch"]:
        """Return the sum of the absolute coordinates of each offset.

        Args:
            offset: in units of the input.
        """
        return offset.flatten(1).abs().sum(1)

    def cross(self, way: Crossing) -> Float[Tensor, "batch dims"]:
        """Return the offsets of smallest norm that reach a hyperplane.

        Args:
            way: to the hyperplane.
        """
        return cross_l1(way)
