"""Square windows at random places of a batch, as random-search attacks use them."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Grid", "corners", "share_at", "window_places"]

# Halved after these shares of 10,000 queries (Andriushchenko et al., section 4.1).
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


class Grid:
    """Inputs of any shape, seen as images: what is no image is folded into a near-square.

    Attributes:
        shape: channels, height, width.
    """

    def __init__(self, x: Float[Tensor, "batch *input"]) -> None:
        """Choose the grid.

        Args:
            x: the inputs.
        """
        self._input = x.shape[1:]
        self._dims = x[0].numel() if len(x) else 1
        if x.ndim == 4:
            self.shape: tuple[int, ...] = tuple(x.shape[1:])
        else:
            side = math.ceil(math.sqrt(self._dims))
            self.shape = (1, side, side)

    def unfold(self, cells: Tensor) -> Tensor:
        """Give images the inputs' own shape; cells beyond the inputs are dropped.

        Args:
            cells: on the grid.
        """
        return cells.flatten(1)[:, : self._dims].view(len(cells), *self._input)


def share_at(query: int, n_queries: int, first: float) -> float:
    """Say which share of an image the window of a query covers.

    Args:
        query: number of the query, from 0.
        n_queries: of the whole attack, to which the paper's schedule is stretched.
        first: share at the start.

    Example:
        >>> [share_at(query, 10_000, 0.8) for query in (0, 11, 51, 9_999)]
        [0.8, 0.4, 0.2, 0.0015625]
    """
    of_paper = query / n_queries * 10_000
    return first / 2 ** sum(of_paper > halving for halving in _HALVINGS)


def corners(
    n: int, room: int, *, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """Draw where windows begin, uniformly.

    Args:
        n: windows.
        room: places that a window may begin at.
        generator: source of the draw.
        device: where it draws.
    """
    return torch.randint(room, (n,), generator=generator, device=device).float()


def window_places(starts: Tensor, side: int, length: int) -> Tensor:
    """Mark the cells of one axis that lie in each window.

    Args:
        starts: first cell of each window.
        side: cells of a window.
        length: cells of the axis.
    """
    cells = torch.arange(length, device=starts.device)
    return (cells >= starts[:, None]) & (cells < starts[:, None] + side)
