"""Step onto the nearest linearised decision boundary until the class changes.

Paper:    Moosavi-Dezfooli, Fawzi, Frossard. DeepFool: a Simple and Accurate Method to Fool Deep
          Neural Networks. CVPR 2016, arXiv:1511.04599. Algorithm 2, equation 11 for other norms.
Departs:  boundaries are sought between a class and the true one, and inside the valid range, so
          that clamping undoes nothing; what counts is the misclassified input itself, rounded to
          real pixels if there are levels.
Notation: overshoot = eta, lead = f'_k, normal = w'_k, step = r_i.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._apgd import nearest_classes
from netwright.audits.attack._ball import Ball
from netwright.audits.attack._hunt import column, require_count
from netwright.audits.attack._hyperplane import crossing
from netwright.audits.attack._nearest import Nearest, Shrinking

__all__ = ["class_gradients", "deepfool"]


def deepfool(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 50,
    n_targets: int = 9,
    overshoot: float = 0.02,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
) -> Nearest:
    """Find a small change that changes the class, fast; seldom the smallest.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        ball: its norm is the one made small, its radius the largest change that counts.
        n_steps: steps, at most.
        n_targets: other classes whose boundaries are compared, those of the largest logit first.
        overshoot: share by which each step goes beyond the boundary.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: steps between 0 and 1 of a real pixel, 255 for bytes; None for other inputs.

    Returns:
        The nearest misclassified inputs found, and their distances.

    Raises:
        ValueError: if a count is not positive, `overshoot` is negative, or as `pgd` does for inputs
            and network.

    Cost: `n_steps` passes forward and `n_targets` times as many back, over what still stands.

    Example:
        >>> from netwright.audits.attack import L2Ball
        >>> network = lambda x: torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)  # class 1: sum < 1/2
        >>> found = deepfool(network, torch.tensor([[0.2, 0.2]]), torch.tensor([1]), ball=L2Ball(1))
        >>> round(found.distance.item(), 3)  # the boundary lies at 0.0707
        0.072
    """
    require_count("n_steps", n_steps)
    require_count("n_targets", n_targets)
    if not overshoot >= 0:
        raise ValueError(f"`overshoot` must not be negative; got {overshoot}.")
    hunt = Shrinking(network, x, y, ball=ball, low=low, high=high, levels=levels)
    aims = nearest_classes(network, x, y, n_targets)
    places = hunt.standing
    moved = x[places]
    for _ in range(n_steps):
        if not len(places):
            break
        leads, normals = class_gradients(network, moved, y[places], aims[places])
        hunt.n_gradients += len(places) * aims.shape[1]
        step, shortest = torch.zeros_like(moved), torch.full_like(leads[:, 0], torch.inf)
        for rank in range(aims.shape[1]):
            # At least a hair, so that a point on the boundary crosses it.
            gap = -leads[:, rank].clamp(max=0.0) + 1e-6 * leads[:, rank].abs().clamp_min(1.0)
            way = crossing(moved, normals[rank], gap, low=low, high=high)
            offset = ball.cross(way).view_as(moved)
            length = ball.length(offset)
            near = (length < shortest) & (length > 0)
            step = torch.where(column(near, step), offset, step)
            shortest = torch.where(near, length, shortest)
        moved = (moved + (1 + overshoot) * step).clamp(low, high)
        stands = ~hunt.offer(places, moved)
        places, moved = places[stands], moved[stands]
    return hunt.outcome()


def class_gradients(
    network: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, aims: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Differentiate the lead of several classes over the true one by the input.

    Args:
        network: maps inputs to logits, each row on its own.
        x: inputs.
        y: true classes.
        aims: classes for each row, (batch, aims).

    Returns:
        The leads, (batch, aims), and for each column of `aims` the gradients; zero where they are
        not finite.
    """
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        logits = network(leaf)
        leads = logits.gather(1, aims) - logits.gather(1, y[:, None])
        gradients = []
        for rank in range(aims.shape[1]):
            total = leads[:, rank].sum()
            keep = rank + 1 < aims.shape[1]
            (found,) = torch.autograd.grad(total, leaf, retain_graph=keep, materialize_grads=True)
            gradients.append(torch.where(found.isfinite(), found, 0.0))
    return leads.detach(), gradients
