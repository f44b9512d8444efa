"""Change as few coordinates as possible, two at a time, all the way.

Paper:    Papernot, McDaniel, Jha, Fredrikson, Celik, Swami. The Limitations of Deep Learning in
          Adversarial Settings. IEEE EuroS&P 2016, arXiv:1511.07528. Algorithms 2 and 3, equation 8
          (saliency of a pair).
Departs:  any wrong class counts, the wanted one or not; the pair is sought among the 128
          coordinates of the largest single saliency; gradients are of the logits.
Notation: theta = theta, most_changed = Upsilon, wanted = alpha, others = beta.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._apgd import nearest_classes
from netwright.audits.attack._outcome import Attacked, check_inputs, fooled_by

__all__ = ["jsma"]

_CANDIDATES = 128


def jsma(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    aims: Int[Tensor, "batch"] | None = None,
    theta: float = 1.0,
    most_changed: float = 0.15,
    low: float = 0.0,
    high: float = 1.0,
) -> Attacked:
    """Attack a classifier by changing few coordinates a lot.

    With the whole range as `theta` every changed coordinate ends at `low` or `high`, which are real
    pixels.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        aims: the classes to drive towards; the likeliest other class of each row if None.
        theta: how far a coordinate moves at once, in units of `x`; negative to lower them.
        most_changed: largest share of the coordinates that may change, in (0, 1].
        low: smallest valid coordinate.
        high: largest valid coordinate.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: if `theta` is 0, `most_changed` is not in (0, 1], an aim is the true class, or
            as `pgd` does for inputs and network.

    Cost: two gradients and a forward pass for each pair of coordinates changed.
    """
    if theta == 0:
        raise ValueError("`theta` must not be 0: it is how far a coordinate moves at once.")
    if not 0 < most_changed <= 1:
        raise ValueError(f"`most_changed` is a share in (0, 1]; got {most_changed}.")
    check_inputs(network, x, low, high, None)
    if aims is None:
        aims = nearest_classes(network, x, y, 1)[:, 0]
    if (aims == y).any():
        raise ValueError("`aims` must differ from the true classes `y`, row by row.")
    found, fooled, n_gradients = x.clone(), fooled_by(network, x, y), 0
    n_queries = len(x)
    n_pairs = int(most_changed * x[0].numel() / 2) if len(x) else 0
    left = (~fooled).nonzero()[:, 0]
    for _ in range(n_pairs):
        if not len(left):
            break
        moved = found[left]
        wanted, others = _gradients(network, moved, aims[left])
        n_gradients += 2 * len(left)
        flat = moved.flatten(1)
        full = flat >= high if theta > 0 else flat <= low
        direction = 1.0 if theta > 0 else -1.0
        pair, useful = _best_pair(direction * wanted, direction * others, full)
        # A row without a useful pair is given up: nothing about it will change.
        left, flat, pair = left[useful], flat[useful], pair[useful]
        if not len(left):
            break
        flat = flat.scatter_add(1, pair, torch.full_like(pair, theta, dtype=x.dtype))
        flat = flat.clamp(low, high)
        found[left] = flat.view_as(found[left])
        wrong = fooled_by(network, found[left], y[left])
        n_queries += len(left)
        fooled[left] = wrong
        left = left[~wrong]
    return Attacked(found, fooled, n_gradients, n_queries)


def _gradients(
    network: Callable[[Tensor], Tensor], x: Tensor, aims: Tensor
) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        logits = network(leaf)
        wanted = logits.gather(1, aims[:, None]).sum()
        (first,) = torch.autograd.grad(wanted, leaf, retain_graph=True, materialize_grads=True)
        (both,) = torch.autograd.grad(logits.sum(), leaf, materialize_grads=True)
    first = torch.where(first.isfinite(), first, 0.0)
    both = torch.where(both.isfinite(), both, 0.0)
    return first.flatten(1), (both - first).flatten(1)


def _best_pair(wanted: Tensor, others: Tensor, closed: Tensor) -> tuple[Tensor, Tensor]:
    # The two coordinates, (rows, 2), of the greatest -(alpha)(beta) with alpha > 0 > beta.
    single = torch.where(closed, -torch.inf, wanted - others)
    n = min(_CANDIDATES, single.shape[1])
    value, places = single.topk(n, dim=1)
    alpha, beta = wanted.gather(1, places), others.gather(1, places)
    alpha, beta = alpha[:, :, None] + alpha[:, None, :], beta[:, :, None] + beta[:, None, :]
    usable = (alpha > 0) & (beta < 0) & value.isfinite()[:, :, None] & value.isfinite()[:, None, :]
    usable &= ~torch.eye(n, dtype=torch.bool, device=wanted.device)
    score = torch.where(usable, -alpha * beta, -torch.inf).flatten(1)
    best, at = score.max(dim=1)
    pair = torch.stack([at // n, at % n], dim=1)
    return places.gather(1, pair), best > -torch.inf
