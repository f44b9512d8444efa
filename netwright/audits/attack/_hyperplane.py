"""The shortest way from a point of a box to a hyperplane, inside the box, for each norm.

Paper:    Croce, Hein. Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary
          Attack. ICML 2020, arXiv:1907.02044. Equation 4 and its appendix (projection on the
          intersection of a hyperplane and a box).
Departs:  nothing; where the hyperplane misses the box, the point of the box nearest to it.
Notation: normal = w, gap = -(<w, x> + b), room = distance to the box along the wanted direction.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Crossing", "crossing", "cross_l1", "cross_l2", "cross_linf"]


@dataclass(frozen=True, eq=False)
class Crossing:
    """A hyperplane seen from points of a box; everything is flat and not negative but `sign`.

    Attributes:
        sign: direction, -1, 0 or 1, in which each coordinate approaches the hyperplane.
        weight: how much a unit of each coordinate closes of the gap.
        room: how far each coordinate may move in that direction.
        gap: what is to be closed.
    """

    sign: Float[Tensor, "batch dims"]
    weight: Float[Tensor, "batch dims"]
    room: Float[Tensor, "batch dims"]
    gap: Float[Tensor, "batch 1"]


def crossing(
    x: Float[Tensor, "batch *input"],
    normal: Float[Tensor, "batch *input"],
    gap: Float[Tensor, "batch"],
    *,
    low: float,
    high: float,
) -> Crossing:
    """Describe the way from `x` to where `normal` times the offset equals `gap`.

    Args:
        x: points of the box.
        normal: of the hyperplanes.
        gap: what `normal` times the offset must be.
        low: smallest coordinate of the box.
        high: largest coordinate of the box.
    """
    flat, start = normal.flatten(1), x.flatten(1)
    # Only the direction of (normal, gap) matters; large and tiny gradients are brought to one.
    scale = flat.abs().amax(1, keepdim=True)
    scale = torch.where(scale > 0, scale, 1.0)
    flat, gap = flat / scale, gap[:, None] / scale
    sign = flat.sign() * torch.where(gap < 0, -1.0, 1.0)
    room = torch.where(sign > 0, high - start, start - low).clamp_min(0.0)
    return Crossing(sign, flat.abs(), room, gap.abs())


def cross_linf(way: Crossing) -> Float[Tensor, "batch dims"]:
    """Offset whose largest coordinate is smallest: all move by one length, as room allows.

    Args:
        way: from `crossing`.
    """
    length = _length(way, torch.ones_like(way.room))
    return way.sign * torch.minimum(length, way.room)


def cross_l2(way: Crossing) -> Float[Tensor, "batch dims"]:
    """Offset of smallest Euclidean length: along the normal, as room allows.

    Args:
        way: from `crossing`.
    """
    length = _length(way, way.weight)
    return way.sign * torch.minimum(length * way.weight, way.room)


def cross_l1(way: Crossing) -> Float[Tensor, "batch dims"]:
    """Offset of smallest sum: the coordinates of the largest weights move first, all the way.

    Args:
        way: from `crossing`.
    """
    weight, order = way.weight.sort(dim=1, descending=True)
    room = way.room.gather(1, order)
    closed = weight * room
    left = way.gap - (closed.cumsum(1) - closed)  # before each coordinate moves
    moved = torch.minimum((left / weight.clamp_min(1e-30)).clamp_min(0.0), room)
    moved = torch.where(weight > 0, moved, 0.0)
    return way.sign * torch.zeros_like(moved).scatter(1, order, moved)


def _length(way: Crossing, speed: Tensor) -> Tensor:
    # The t at which coordinates that move by min(t * speed, room) have closed the gap.
    stop = torch.where(speed > 0, way.room / speed.clamp_min(1e-30), 0.0)
    stop, order = stop.sort(dim=1)
    closed = (way.weight * way.room).gather(1, order)
    rate = (way.weight * speed).gather(1, order)
    before = closed.cumsum(1) - closed  # by what stops earlier
    rates = rate.flip(1).cumsum(1).flip(1)  # of what still moves
    reached = before + stop * rates >= way.gap
    first = reached.int().argmax(1, keepdim=True)  # 0 where none is
    length = (way.gap - before.gather(1, first)) / rates.gather(1, first).clamp_min(1e-30)
    return torch.where(reached.any(1, keepdim=True), length.clamp_min(0.0), stop[:, -1:])
