"""Rows at equal distances: a source's order, often by class, decides nothing of what is read."""

import torch
from jaxtyping import Int
from torch import Tensor

__all__ = ["spread_places"]


def spread_places(n: int, most: int) -> Int[Tensor, "places"]:
    """Return places at equal distances, the first and the last among them; all if they are few.

    Args:
        n: places there are.
        most: places that are returned at most, positive; one of several is the first.

    Example:
        >>> spread_places(7, 3)
        tensor([0, 3, 6])
    """
    # float64: whole numbers above 2**24 have no place of their own in float32.
    return torch.linspace(0, n - 1, min(n, most), dtype=torch.float64).round().long()
