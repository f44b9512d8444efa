"""Fool a classifier by random squares, asking only for its logits: largest change of a pixel.

Paper:    Andriushchenko, Croce, Flammarion, Hein. Square Attack: a Query-Efficient Black-Box
          Adversarial Attack via Random Search. ECCV 2020, arXiv:1912.00049. Algorithms 1 and 2.
Departs:  an input leaves the batch once it is fooled; inputs that are no images are folded into a
          near-square; the share of the first squares is 0.8 (AutoAttack's) instead of 0.05.
Notation: radius = epsilon, share = p, side = h, offset = delta.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import LinfBall
from netwright.audits.attack._hunt import Hunt, column, require_count
from netwright.audits.attack._outcome import Attacked, margin
from netwright.audits.attack._windows import Grid, corners, share_at, window_places

__all__ = ["square_linf"]


@torch.no_grad()
def square_linf(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    radius: float,
    n_queries: int = 5000,
    first_share: float = 0.8,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Attacked:
    """Attack a classifier, without gradients, by changes of plus or minus `radius` in squares.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        radius: largest change of a coordinate, in units of `x`.
        n_queries: answers asked for each input, at most.
        first_share: of the image, that the first squares cover; it falls as the search goes on.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.
        generator: source of the squares, on the device of `x`; torch's global one if None.

    Returns:
        The attacked inputs, which of them are misclassified, and the queries spent.

    Raises:
        ValueError: if `n_queries` is not positive, `first_share` is not in (0, 1], or as `pgd` does
            for inputs and network.

    Cost: at most `n_queries` forward passes over what is not yet fooled.

    Example:
        >>> network = lambda x: torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)  # class 1: sum < 1/2
        >>> x, y = torch.tensor([[0.2, 0.2]]), torch.tensor([1])
        >>> seeded = torch.Generator().manual_seed(0)
        >>> found = square_linf(network, x, y, radius=0.06, n_queries=50, generator=seeded)
        >>> found.fooled.item(), found.n_gradients
        (True, 0)
    """
    require_count("n_queries", n_queries)
    if not 0 < first_share <= 1:
        raise ValueError(f"`first_share` of the image must lie in (0, 1]; got {first_share}.")
    hunt = Hunt(network, x, y, ball=LinfBall(radius), low=low, high=high, levels=levels)
    grid = Grid(x)
    C, H, W = grid.shape
    places = hunt.standing

    def signs(*shape: int) -> Tensor:
        drawn = torch.rand(shape, dtype=x.dtype, device=x.device, generator=generator)
        return radius * (drawn - 0.5).sign()

    offset = signs(len(places), C, 1, W).repeat(1, 1, H, 1)  # stripes
    loss = torch.full((len(places),), -torch.inf, dtype=x.dtype, device=x.device)
    for query in range(n_queries):
        if not len(places):
            break
        tried = offset
        if query:
            share = share_at(query, n_queries, first_share)
            side = min(max(round((share * H * W) ** 0.5), 1), H, W)
            n = len(places)
            rows = window_places(
                corners(n, H - side + 1, generator=generator, device=x.device), side, H
            )
            columns = window_places(
                corners(n, W - side + 1, generator=generator, device=x.device), side, W
            )
            inside = (rows[:, :, None] & columns[:, None, :])[:, None]  # (n, 1, H, W)
            tried = torch.where(inside, signs(n, C, 1, 1), offset)
        moved = (x[places] + grid.unfold(tried)).clamp(low, high)
        moved = hunt.real(places, moved)
        logits = network(moved)
        hunt.n_queries += len(places)
        reached = margin(logits, y[places])
        better = reached > loss
        loss = torch.where(better, reached, loss)
        offset = torch.where(column(better, offset), tried, offset)
        stands = hunt.offer(places, moved, reached > 0)
        places, offset, loss = places[stands], offset[stands], loss[stands]
    return hunt.outcome()
