"""Minimise length and class together, by gradient descent in a space where the range is open.

Paper:    Carlini, Wagner. Towards Evaluating the Robustness of Neural Networks. IEEE S&P 2017,
          arXiv:1608.04644. Section VI.A, the l2 attack with f_6 and a binary search of c.
Departs:  untargeted (f_6 against the best other class); fewer steps by default than the paper's
          10,000, which grow smaller; the search starts a hundredth inside the range; what counts
          is the input itself, rounded to real pixels if there are levels.
Notation: weight = c, confidence = kappa, hidden = w.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import L2Ball
from netwright.audits.attack._hunt import require_count
from netwright.audits.attack._nearest import Nearest, Shrinking
from netwright.audits.attack._outcome import margin

__all__ = ["carlini_wagner"]

_EDGE = 0.99  # of the range: at its very ends nothing would move, and beyond lies infinity


def carlini_wagner(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    most: float = 1e6,
    n_steps: int = 100,
    n_searches: int = 7,
    step_size: float = 0.1,
    first_weight: float = 1e-1,
    confidence: float = 0.0,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
) -> Nearest:
    """Find a change of small Euclidean length that changes the class; slow and thorough.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        most: largest length of a change that counts, in units of `x`.
        n_steps: steps of Adam for each weight.
        n_searches: weights of the class's loss that are tried for each input.
        step_size: learning rate of Adam, in the hidden space; it falls to zero.
        first_weight: the first weight; it grows tenfold until the class changes, then is bisected.
        confidence: margin by which the wrong class must lead while optimising, at least 0.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: steps between 0 and 1 of a real pixel, 255 for bytes; None for other inputs.

    Returns:
        The nearest misclassified inputs found, and their distances.

    Raises:
        ValueError: if a count, `step_size` or `first_weight` is not positive, `confidence` is
            negative, or as `pgd` does for inputs and network.

    Cost: `n_searches * n_steps` passes forward and back.
    """
    require_count("n_steps", n_steps)
    require_count("n_searches", n_searches)
    for name, value in (("step_size", step_size), ("first_weight", first_weight)):
        if not value > 0:
            raise ValueError(f"`{name}` must be positive; got {value}.")
    if not confidence >= 0:
        raise ValueError(f"`confidence` must not be negative; got {confidence}.")
    hunt = Shrinking(network, x, y, ball=L2Ball(most), low=low, high=high, levels=levels)
    places = hunt.standing  # what is misclassified from the start needs no change
    if not len(places):
        return hunt.outcome()
    middle, half = (low + high) / 2, (high - low) / 2
    start = torch.atanh(((x[places] - middle) / half).clamp(-_EDGE, _EDGE))
    weight = torch.full((len(places),), first_weight, dtype=x.dtype, device=x.device)
    below, above = torch.zeros_like(weight), torch.full_like(weight, torch.inf)
    for _ in range(n_searches):
        ever = _descend(hunt, places, start, weight, n_steps, step_size, confidence, middle, half)
        above = torch.where(ever, weight, above)
        below = torch.where(ever, below, weight)
        weight = torch.where(above.isinf(), 10 * weight, (below + above) / 2)
    return hunt.outcome()


def _descend(
    hunt: Shrinking,
    places: Tensor,
    start: Tensor,
    weight: Tensor,
    n_steps: int,
    step_size: float,
    confidence: float,
    middle: float,
    half: float,
) -> Tensor:
    # Adam on the hidden variables of all rows; which of them changed class at any time.
    hidden = start.clone()
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    ever = torch.zeros_like(weight, dtype=torch.bool)
    clean, y = hunt.x[places], hunt.y[places]
    for step in range(1, n_steps + 1):
        with torch.enable_grad():
            leaf = hidden.detach().requires_grad_(True)
            moved = middle + half * torch.tanh(leaf)
            lead = margin(hunt.network(moved), y)
            length = (moved - clean).flatten(1).square().sum(1)
            loss = length + weight * (confidence - lead).clamp_min(0.0)
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        hunt.n_gradients += len(places)
        gradient = torch.where(gradient.isfinite(), gradient, 0.0)
        promising = (lead > 0) & (length.sqrt() < hunt.distance[places])
        hunt.offer(places, moved.detach(), promising)
        ever |= lead.detach() > 0
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient.square()
        scale = (second / (1 - 0.999**step)).sqrt() + 1e-8
        size = step_size * (1 - step / (n_steps + 1))  # ends in small steps
        hidden = hidden - size * first / (1 - 0.9**step) / scale
    return ever
