"""Projected gradient ascent along a running sum of gradients, which transfers between networks.

Paper:    Dong, Liao, Pang, Su, Zhu, Hu, Li. Boosting Adversarial Attacks with Momentum. CVPR 2018,
          arXiv:1710.06081. Algorithm 1 and section 3.5 (other norms).
Departs:  an input leaves the batch once it is fooled; with `levels` only real pixels count.
Notation: decay = mu, carried = g, ball = epsilon.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import Ball
from netwright.audits.attack._hunt import Hunt, column, require_count
from netwright.audits.attack._outcome import Attacked, gradient_of
from netwright.audits.attack._outcome import cross_entropy as default_loss

__all__ = ["momentum_pgd"]


def momentum_pgd(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 10,
    step_size: float | None = None,
    decay: float = 1.0,
    loss: Callable[[Tensor, Tensor], Tensor] = default_loss,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
) -> Attacked:
    """Attack a classifier by steps along accumulated gradients, each scaled to unit l1 norm.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        ball: where to search, in units of `x`.
        n_steps: gradient steps.
        step_size: in units of `x`; `radius / n_steps` if None.
        decay: weight of what was accumulated before, at least 0.
        loss: maps (logits, classes) to one loss an example, which the attack raises.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: if `n_steps` or `step_size` is not positive, `decay` is negative, or as `pgd`.

    Cost: at most `n_steps` passes forward and back, and as many forward.
    """
    require_count("n_steps", n_steps)
    if step_size is None:
        step_size = ball.radius / n_steps
    elif not step_size > 0:
        raise ValueError(f"`step_size` must be positive, in units of `x`; got {step_size}.")
    if not decay >= 0:
        raise ValueError(f"`decay` must not be negative; got {decay}.")
    hunt = Hunt(network, x, y, ball=ball, low=low, high=high, levels=levels)
    places = hunt.standing
    moved, carried = x[places], torch.zeros_like(x[places])
    for _ in range(n_steps):
        if not len(places):
            break
        gradient = gradient_of(network, moved, y[places], loss).gradient
        hunt.n_gradients += len(places)
        size = gradient.flatten(1).abs().sum(1)
        carried = decay * carried + gradient / column(torch.where(size > 0, size, 1.0), gradient)
        moved = hunt.inside(places, moved + ball.step(carried, step_size))
        stands = hunt.offer(places, moved)
        places, moved, carried = places[stands], moved[stands], carried[stands]
    return hunt.outcome()
