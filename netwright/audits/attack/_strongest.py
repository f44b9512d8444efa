"""Attack with an ensemble, one member after the other, and keep whatever fools.

Paper:    Croce, Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
          Parameter-free Attacks. ICML 2020, arXiv:2003.01690. Section 5, AutoAttack: APGD-CE,
          targeted APGD-DLR, targeted FAB, Square, in this order.
Departs:  the cross-entropy is of logits brought to one scale, so that confidence alone does not
          make its gradient vanish; steps, targets and queries are arguments, and by default fewer
          than the paper's 100, 9 and 5,000. Instead, inputs that came closest to falling are
          attacked once more, with effort: what a far longer attack breaks is nearly always among
          the closest few in a hundred. Balls other than linf and l2 leave Square out.
Notation: none.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._apgd import apgd, apgd_targeted
from netwright.audits.attack._ball import Ball, L2Ball, LinfBall
from netwright.audits.attack._fab import fab
from netwright.audits.attack._outcome import Attacked, fooled_by, margin, scale_free_cross_entropy
from netwright.audits.attack._square_l2 import square_l2
from netwright.audits.attack._square_linf import square_linf

__all__ = ["Member", "ensemble", "in_turn", "most_passes", "strongest"]

_CLOSEST = 0.1  # share of what withstands the ensemble that is attacked once more
_MORE_STEPS, _MORE_RESTARTS = 2.5, 4  # times as many as in the first attack


@dataclass(frozen=True, slots=True)
class Member:
    """One attack of an ensemble.

    Attributes:
        name: for people.
        attack: called with network, inputs, classes, and the keywords `low`, `high`, `levels` and
            `generator`.
    """

    name: str
    attack: Callable[..., Attacked]


def ensemble(
    ball: Ball,
    *,
    n_steps: int = 20,
    n_restarts: int = 1,
    n_targets: int = 3,
    n_queries: int = 100,
) -> tuple[Member, ...]:
    """List the attacks of AutoAttack, in its order.

    Args:
        ball: where to search, in units of the input.
        n_steps: gradient steps from each start.
        n_restarts: starts of each attack by gradients, for each class aimed at.
        n_targets: classes that the targeted attacks aim at, those of the largest logit first.
        n_queries: answers that Square asks for each input; 0 leaves it out.
    """
    shared = {"ball": ball, "n_steps": n_steps, "n_restarts": n_restarts}
    members = [
        Member("APGD-CE", partial(apgd, loss=scale_free_cross_entropy, **shared)),
        Member("APGD-T", partial(apgd_targeted, n_targets=n_targets, **shared)),
        Member("FAB-T", partial(fab, n_targets=n_targets, **shared)),
    ]
    square = {LinfBall: square_linf, L2Ball: square_l2}.get(type(ball))
    if square is not None and n_queries:
        search = partial(square, radius=ball.radius, n_queries=n_queries)
        members.append(Member("Square", search))
    return tuple(members)


def most_passes(*, n_steps: int, n_restarts: int, n_targets: int = 3, n_queries: int = 100) -> int:
    """Say what `strongest` costs an input that withstands it, in passes forward and back.

    Args:
        n_steps: as in `strongest`.
        n_restarts: as in `strongest`.
        n_targets: as in `strongest`.
        n_queries: as in `strongest`; three passes forward cost about one forward and back.
    """
    by_gradient = (n_steps + 1) * n_restarts * (1 + 2 * n_targets)
    first = by_gradient + (n_targets * n_steps * n_restarts + n_queries) // 3
    again = (_MORE_STEPS * n_steps + 1) * _MORE_RESTARTS * n_restarts * (1 + n_targets)
    return first + math.ceil(_CLOSEST * again)


def strongest(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 20,
    n_restarts: int = 1,
    n_targets: int = 3,
    n_queries: int = 100,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Attacked:
    """Attack by the whole `ensemble`, each member on what withstood those before it.

    The tenth that came closest to falling is then attacked by APGD from more starts with more
    steps; and, as long as some of it falls, the next tenth. No loss of it depends on how large the
    logits are, so that confidence alone, under which the gradient of the plain cross-entropy
    vanishes, does not look like robustness.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        ball: where to search, in units of `x`.
        n_steps: gradient steps from each start.
        n_restarts: starts of each attack by gradients, for each class aimed at.
        n_targets: classes that the targeted attacks aim at, those of the largest logit first.
        n_queries: answers that Square asks for each input; 0 leaves it out.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.
        generator: draws the starts, on the device of `x`; torch's global one if None.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: as `pgd` does.

    Cost: `most_passes` for an input that withstands everything, on average.

    Example:
        >>> from netwright.audits.attack import L2Ball
        >>> sure = lambda x: 1e6 * torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)
        >>> x, y = torch.tensor([[0.2, 0.2]]), torch.tensor([1])
        >>> seeded = torch.Generator().manual_seed(0)
        >>> strongest(sure, x, y, ball=L2Ball(0.1), generator=seeded).fooled.item()
        True
    """
    members = ensemble(
        ball, n_steps=n_steps, n_restarts=n_restarts, n_targets=n_targets, n_queries=n_queries
    )
    bounds = {"low": low, "high": high, "levels": levels, "generator": generator}
    found = in_turn(members, network, x, y, **bounds)
    by_gradient = ensemble(
        ball,
        n_steps=math.ceil(_MORE_STEPS * n_steps),
        n_restarts=_MORE_RESTARTS * n_restarts,
        n_targets=n_targets,
    )[:2]
    return _again(by_gradient, found, network, x, y, **bounds)


def _again(
    members: tuple[Member, ...],
    found: Attacked,
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    **bounds: Any,
) -> Attacked:
    """Attack the closest of what still stands once more, for as long as some of it falls."""
    moved, looked_at = found.x, found.fooled.clone()
    n_gradients, n_queries = found.n_gradients, found.n_queries
    together = math.ceil(_CLOSEST * int((~looked_at).sum()))
    fooled = found.fooled.clone()
    while not looked_at.all():
        margins = _margins(network, moved, y).masked_fill(looked_at, -math.inf)
        places = margins.topk(min(together, int((~looked_at).sum()))).indices
        looked_at[places] = True
        tried = in_turn(members, network, x[places], y[places], **bounds)
        moved[places], fooled[places] = tried.x, tried.fooled
        n_gradients += tried.n_gradients
        n_queries += tried.n_queries + len(y)
        if not tried.fooled.any():
            break
    return dataclasses.replace(
        found, x=moved, fooled=fooled, n_gradients=n_gradients, n_queries=n_queries
    )


def _margins(network: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return margin(network(x), y)


def in_turn(
    members: tuple[Member, ...],
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    on_member: Callable[[Member, int], None] | None = None,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Attacked:
    """Attack by one member after the other, each on what withstood those before it.

    Of an input that withstands all, the attacked one that came closest to falling is returned.

    Args:
        members: the attacks, cheapest first.
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        on_member: called after each member with it and the number of inputs still standing.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.
        generator: draws the starts, on the device of `x`; torch's global one if None.

    Raises:
        ValueError: as the members do.
    """
    found, fooled, worst = x.clone(), fooled_by(network, x, y), x.new_full((len(x),), -math.inf)
    n_gradients, n_queries = 0, len(x)
    bounds = {"low": low, "high": high, "levels": levels, "generator": generator}
    for member in members:
        left = ~fooled
        if left.any():
            tried = member.attack(network, x[left], y[left], **bounds)
            margins = _margins(network, tried.x, y[left])
            nearer = tried.fooled | (margins > worst[left])
            places = left.nonzero()[:, 0][nearer]
            found[places], worst[places] = tried.x[nearer], margins[nearer]
            fooled[left] = tried.fooled
            n_gradients += tried.n_gradients
            n_queries += tried.n_queries + len(margins)
        if on_member is not None:
            on_member(member, int((~fooled).sum()))
    return Attacked(found, fooled, n_gradients, n_queries)
