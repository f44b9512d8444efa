"""Fool a classifier by moving lumps of change about, asking only for its logits: Euclidean length.

Paper:    Andriushchenko, Croce, Flammarion, Hein. Square Attack: a Query-Efficient Black-Box
          Adversarial Attack via Random Search. ECCV 2020, arXiv:1912.00049. Algorithms 1 and 3,
          equation 2 (the lump eta).
Departs:  an input leaves the batch once it is fooled; inputs that are no images are folded into a
          near-square; a window has at least three pixels a side where the image has; the
          first windows cover 0.8 of the image (AutoAttack's share) instead of 0.1.
Notation: radius = epsilon, share = p, side = h, offset = delta, lump = eta, taken = W_2,
          given = W_1.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import L2Ball
from netwright.audits.attack._hunt import Hunt, column, require_count
from netwright.audits.attack._outcome import Attacked, margin
from netwright.audits.attack._windows import Grid, corners, share_at

__all__ = ["square_l2"]

_TINY = 1e-12


@torch.no_grad()
def square_l2(
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
    """Attack a classifier, without gradients, by changes whose Euclidean length is `radius`.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        radius: largest length of the change, in units of `x`.
        n_queries: answers asked for each input, at most.
        first_share: of the image, that the first windows cover; it falls as the search goes on.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.
        generator: source of the windows, on the device of `x`; torch's global one if None.

    Returns:
        The attacked inputs, which of them are misclassified, and the queries spent.

    Raises:
        ValueError: if `n_queries` is not positive, `first_share` is not in (0, 1], or as `pgd` does
            for inputs and network.

    Cost: at most `n_queries` forward passes over what is not yet fooled.
    """
    require_count("n_queries", n_queries)
    if not 0 < first_share <= 1:
        raise ValueError(f"`first_share` of the image must lie in (0, 1]; got {first_share}.")
    hunt = Hunt(network, x, y, ball=L2Ball(radius), low=low, high=high, levels=levels)
    grid = Grid(x)
    _, H, W = grid.shape
    places = hunt.standing
    lump = x.new_zeros(0, 0)
    offset = _tiles(len(places), grid.shape, x, generator)
    offset = radius * offset / column(_length(offset).clamp_min(_TINY), offset)
    loss = torch.full((len(places),), -torch.inf, dtype=x.dtype, device=x.device)
    for query in range(n_queries):
        if not len(places):
            break
        tried = offset
        if query:
            share = share_at(query, n_queries, first_share)
            # Odd, so that a lump has a middle; two windows must fit into the image.
            side = min(max(round((share * H * W) ** 0.5), 3) // 2 * 2 + 1, H, W)
            # What the range cut off is room to move elsewhere.
            used = (x[places] + grid.unfold(offset)).clamp(low, high) - x[places]
            unused = (radius**2 - used.flatten(1).square().sum(1)).clamp_min(0.0)
            if side != lump.shape[0]:
                lump = _lump(side, offset)
            tried = _moved(offset, unused, lump, generator)
        moved = hunt.inside(places, x[places] + grid.unfold(tried))
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


def _moved(
    offset: Tensor, unused: Tensor, lump: Tensor, generator: torch.Generator | None
) -> Tensor:
    # Take the change out of one window and add a lump, of the length that sets free, in another.
    n, C, H, W = offset.shape
    side = len(lump)

    def window() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        top = corners(n, H - side + 1, generator=generator, device=offset.device).long()
        left = corners(n, W - side + 1, generator=generator, device=offset.device).long()
        cells = torch.arange(side, device=offset.device)
        return (
            torch.arange(n, device=offset.device)[:, None, None, None],
            torch.arange(C, device=offset.device)[None, :, None, None],
            (top[:, None] + cells)[:, None, :, None],
            (left[:, None] + cells)[:, None, None, :],
        )

    given, taken = window(), window()
    tried = offset.clone()
    before = tried.square().sum((2, 3))  # (n, C)
    at_given = tried[given]
    tried[taken] = 0.0
    tried[given] = 0.0
    free = before - tried.square().sum((2, 3))  # length squared of both windows' union
    kind = {"dtype": offset.dtype, "device": offset.device, "generator": generator}
    sign = (torch.rand((n, C, 1, 1), **kind) - 0.5).sign()
    turned = torch.rand((n, 1, 1, 1), **kind) < 0.5
    lump = torch.where(turned, lump.T, lump)
    kept = at_given.square().sum((2, 3), keepdim=True).sqrt().clamp_min(_TINY)
    mixed = sign * lump + at_given / kept
    reach = (free + unused[:, None] / C).clamp_min(0.0).sqrt()[:, :, None, None]
    scale = mixed.square().sum((2, 3), keepdim=True).sqrt().clamp_min(_TINY)
    tried[given] = mixed / scale * reach
    return tried


def _lump(side: int, like: Tensor) -> Tensor:
    # Two rounded hills side by side, one up and one down, of length 1.
    half = side // 2
    lump = torch.cat([_hill(side, half, like), -_hill(side, side - half, like)], dim=1)
    return lump / lump.norm().clamp_min(_TINY)


def _hill(height: int, width: int, like: Tensor) -> Tensor:
    # Rings from the edge to the middle, each adding 1 / (rings still to come)^2.
    def ring(length: int) -> Tensor:
        cells = torch.arange(length, dtype=like.dtype, device=like.device)
        middle = (length - 1) / 2
        return (cells - middle).abs() / max(middle, 0.5)  # 0 in the middle, 1 at the edge

    n = height // 2 + 1
    outward = torch.maximum(ring(height)[:, None], ring(width)[None, :])
    n_rings = ((1 - outward) * (n - 1)).round().long() + 1  # 1 at the edge, n in the middle
    steps = 1.0 / torch.arange(n, 0, -1, dtype=like.dtype, device=like.device).square()
    return steps.cumsum(0)[n_rings - 1]


def _tiles(
    n: int, shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None
) -> Tensor:
    # The start: lumps of one fifth of the image side by side, each of random sign.
    C, H, W = shape
    side = max(min(H, W) // 5, min(3, H, W))
    lump = _lump(side, like)
    down, across = -(-H // side), -(-W // side)
    kind = {"dtype": like.dtype, "device": like.device, "generator": generator}
    sign = (torch.rand((n, C, down, across), **kind) - 0.5).sign()
    cells = torch.kron(sign, lump[None, None].contiguous())
    return cells[:, :, :H, :W].contiguous()


def _length(offset: Tensor) -> Tensor:
    return offset.flatten(1).norm(dim=1)
