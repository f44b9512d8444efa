"""Projected gradient ascent that finds its own step sizes, on any loss or towards other classes.

Paper:    Croce, Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
          Parameter-free Attacks. ICML 2020, arXiv:2003.01690. Algorithm 1 with alpha = 0.75,
          rho = 0.75 and eta = 2 epsilon; section 4 (the losses).
Departs:  an input leaves the batch once it is fooled; starts are drawn from the whole ball instead
          of its surface; where the step is halved nothing is carried over from the step before;
          with `levels` only real pixels count as fooled.
Notation: ball = S, radius = epsilon, size = eta, loss = f, aims = t, `_CARRY` = alpha,
          `_SHARE` = rho.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import Ball
from netwright.audits.attack._hunt import Hunt, column, require_count
from netwright.audits.attack._logit_ratio import targeted_logit_ratio
from netwright.audits.attack._outcome import Attacked, gradient_of
from netwright.audits.attack._outcome import cross_entropy as default_loss

__all__ = ["apgd", "apgd_targeted", "checkpoints", "climb", "nearest_classes"]

_CARRY, _SHARE = 0.75, 0.75
Objective = Callable[[Tensor, Tensor], Tensor]  # (logits, places in the batch) -> loss of each


def apgd(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 100,
    n_restarts: int = 1,
    loss: Callable[[Tensor, Tensor], Tensor] = default_loss,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Attacked:
    """Attack a classifier by gradient ascent whose steps halve where the loss stops rising.

    APGD-CE of the paper is `loss=cross_entropy`, APGD-DLR is `loss=logit_ratio`.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        ball: where to search, in units of `x`.
        n_steps: gradient steps from each start.
        n_restarts: random starts; later ones try only what is still classified rightly.
        loss: maps (logits, classes) to one loss an example, which the attack raises.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.
        generator: draws the starts, on the device of `x`; torch's global one if None.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: if a count is not positive, or as `pgd` does for inputs and network.

    Cost: at most `n_restarts * (n_steps + 1)` passes forward and back over what is not yet fooled.

    Example:
        >>> from netwright.audits.attack import LinfBall
        >>> network = lambda x: torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)  # class 1: sum < 1/2
        >>> x, y = torch.tensor([[0.2, 0.2]]), torch.tensor([1])
        >>> seeded = torch.Generator().manual_seed(0)
        >>> apgd(network, x, y, ball=LinfBall(0.06), generator=seeded).fooled.item()
        True
    """
    require_count("n_steps", n_steps)
    require_count("n_restarts", n_restarts)
    hunt = Hunt(network, x, y, ball=ball, low=low, high=high, levels=levels)
    for _ in range(n_restarts):
        climb(hunt, lambda logits, at: loss(logits, y[at]), n_steps=n_steps, generator=generator)
    return hunt.outcome()


def apgd_targeted(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 100,
    n_targets: int = 9,
    n_restarts: int = 1,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Attacked:
    """Attack a classifier by `apgd` towards each of the likeliest other classes in turn.

    Any wrong class counts, the wanted one or not. This is APGD-T of the paper.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        ball: where to search, in units of `x`.
        n_steps: gradient steps from each start.
        n_targets: other classes aimed at, those of the largest logit first; all, if there are
            fewer.
        n_restarts: random starts for each class.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.
        generator: draws the starts, on the device of `x`; torch's global one if None.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: if a count is not positive, or as `pgd` does for inputs and network.

    Cost: at most `n_targets * n_restarts * (n_steps + 1)` passes forward and back over what is not
    yet fooled.

    Example:
        >>> from netwright.audits.attack import LinfBall
        >>> network = lambda x: torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)  # class 1: sum < 1/2
        >>> x, y = torch.tensor([[0.2, 0.2]]), torch.tensor([1])
        >>> seeded = torch.Generator().manual_seed(0)
        >>> apgd_targeted(network, x, y, ball=LinfBall(0.04), generator=seeded).fooled.item()
        False
    """
    counts = {"n_steps": n_steps, "n_targets": n_targets, "n_restarts": n_restarts}
    for name, count in counts.items():
        require_count(name, count)
    hunt = Hunt(network, x, y, ball=ball, low=low, high=high, levels=levels)
    aims = nearest_classes(network, x, y, n_targets)
    for _ in range(n_restarts):
        for rank in range(aims.shape[1]):

            def objective(logits: Tensor, at: Tensor, rank: int = rank) -> Tensor:
                return targeted_logit_ratio(logits, y[at], aims[at, rank])

            climb(hunt, objective, n_steps=n_steps, generator=generator)
    return hunt.outcome()


@torch.no_grad()
def nearest_classes(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    n: int,
) -> Int[Tensor, "batch aims"]:
    """List the other classes of the largest logits, largest first.

    Args:
        network: maps inputs to logits.
        x: inputs.
        y: their true classes.
        n: most classes for each input; all others, if there are fewer.
    """
    logits = network(x)
    others = logits.scatter(1, y[:, None], float("-inf"))
    return others.topk(min(n, logits.shape[1] - 1), dim=1).indices


def checkpoints(n_steps: int) -> tuple[int, ...]:
    """List the steps after which the step size may be halved: often at first, then more rarely.

    Args:
        n_steps: of the whole ascent.

    Example:
        >>> checkpoints(100)
        (22, 41, 57, 70, 80, 87, 93, 99)
    """
    shares, places = [0.0, 0.22], []
    while shares[-1] <= 1.0:
        places.append(math.ceil(shares[-1] * n_steps - 1e-9))
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return tuple(places)


@dataclass(eq=False)
class _Climb:
    # One row for each input still climbing.
    places: Tensor
    now: Tensor
    before: Tensor
    gradient: Tensor  # at `now`
    loss: Tensor  # at `now`
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    best_then: Tensor  # `best_loss` at the last checkpoint
    size: Tensor
    halved: Tensor  # whether `size` was halved at the last checkpoint
    n_rises: Tensor  # steps since then that raised the loss

    def keep(self, chosen: Tensor) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name)[chosen])


def climb(
    hunt: Hunt, objective: Objective, *, n_steps: int, generator: torch.Generator | None
) -> None:
    """Raise an objective from one random start for every input that still stands.

    Args:
        hunt: what is attacked; keeps what is found.
        objective: maps (logits, places in the batch) to one number an example.
        n_steps: gradient steps.
        generator: draws the starts.
    """
    places = hunt.standing
    if not len(places):
        return
    clean = hunt.x[places]
    now = hunt.inside(places, clean + hunt.ball.random(clean, generator))
    gradient, loss, stands = _look(hunt, objective, places, now)
    at = _Climb(
        places=places,
        now=now,
        before=now,
        gradient=gradient,
        loss=loss,
        best=now,
        best_gradient=gradient,
        best_loss=loss,
        best_then=loss,
        size=torch.full_like(loss, 2.0 * hunt.ball.radius),
        halved=torch.ones_like(stands),  # so that the first checkpoint looks at the rises alone
        n_rises=torch.zeros_like(loss),
    )
    at.keep(stands)
    last = 0
    stops = set(checkpoints(n_steps))
    for step in range(1, n_steps + 1):
        if not len(at.places):
            return
        ahead = at.now + hunt.ball.step(at.gradient, 1.0) * column(at.size, at.now)
        ahead = hunt.inside(at.places, ahead)
        if step > 1:
            carried = at.now + _CARRY * (ahead - at.now) + (1 - _CARRY) * (at.now - at.before)
            ahead = hunt.inside(at.places, carried)
        at.before, at.now = at.now, ahead
        at.gradient, loss, stands = _look(hunt, objective, at.places, ahead)
        at.n_rises += loss > at.loss
        at.loss = loss
        rose = loss > at.best_loss
        at.best = torch.where(column(rose, ahead), ahead, at.best)
        at.best_gradient = torch.where(column(rose, ahead), at.gradient, at.best_gradient)
        at.best_loss = torch.where(rose, loss, at.best_loss)
        if not stands.all():
            at.keep(stands)
        if step in stops and len(at.places):
            _halve(at, step - last)
            last = step
    if len(at.places):  # the pass itself calls a row fooled only as it is, not rounded
        hunt.offer(at.places, at.best)


def _look(
    hunt: Hunt, objective: Objective, places: Tensor, moved: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    # Gradient and value of the objective, and which inputs still stand.
    value: list[Tensor] = []

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        value.append(objective(logits, places))
        return value[-1]

    passed = gradient_of(hunt.network, moved, hunt.y[places], loss)
    hunt.n_gradients += len(places)
    stands = hunt.offer(places, moved, passed.logits.argmax(1) != hunt.y[places])
    return passed.gradient, value[-1].detach(), stands


def _halve(at: _Climb, n_since: int) -> None:
    # Condition 1: too few steps raised the loss. Condition 2: neither step size nor best changed.
    few = at.n_rises < _SHARE * n_since
    stuck = ~at.halved & (at.best_loss <= at.best_then)
    halve = few | stuck
    at.size = torch.where(halve, at.size / 2, at.size)
    back = column(halve, at.now)
    at.now = torch.where(back, at.best, at.now)
    at.before = torch.where(back, at.best, at.before)  # it starts over, with nothing to carry
    at.gradient = torch.where(back, at.best_gradient, at.gradient)
    at.loss = torch.where(halve, at.best_loss, at.loss)
    at.halved, at.best_then = halve, at.best_loss
    at.n_rises = torch.zeros_like(at.n_rises)
