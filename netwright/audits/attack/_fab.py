"""Walk along the decision boundary towards the clean input until a point inside the ball is found.

Paper:    Croce, Hein. Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary
          Attack. ICML 2020, arXiv:1907.02044. Algorithm 1, targeted form of section 4.1 (one
          hyperplane a step, towards one class after the other), eta = 1.05, beta = 0.9,
          alpha_max = 0.1.
Departs:  an input leaves the batch once something inside the ball fools it, so no smallest change
          is sought further and there is no final search; what is misclassified outside is also
          tried after projection on the ball.
Notation: step = delta^(i), pull = delta_orig^(i), share = alpha, `_PAST` = eta, `_BACK` = beta,
          `_MOST` = alpha_max.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._apgd import nearest_classes
from netwright.audits.attack._ball import Ball
from netwright.audits.attack._hunt import Hunt, column, require_count
from netwright.audits.attack._hyperplane import crossing
from netwright.audits.attack._outcome import Attacked, gradient_of

__all__ = ["fab"]

_PAST, _BACK, _MOST = 1.05, 0.9, 0.1


def fab(
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
    """Attack a classifier by steps onto its linearised decision boundary.

    It knows nothing of a loss, so it finds what losses with poor gradients hide.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        ball: where to search, in units of `x`; its norm decides what is near.
        n_steps: gradient steps towards each class.
        n_targets: other classes, those of the largest logit first; all, if there are fewer.
        n_restarts: the first starts at the input itself, others at random in half the ball.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.
        generator: draws the starts, on the device of `x`; torch's global one if None.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: if a count is not positive, or as `pgd` does for inputs and network.

    Cost: at most `n_targets * n_restarts * n_steps` passes forward and back, and as many forward,
    over what is not yet fooled.

    Example:
        >>> from netwright.audits.attack import L2Ball
        >>> network = lambda x: torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)  # class 1: sum < 1/2
        >>> x, y = torch.tensor([[0.2, 0.2]]), torch.tensor([1])  # at distance 0.0707
        >>> fab(network, x, y, ball=L2Ball(0.07)).fooled.item()
        False
        >>> fab(network, x, y, ball=L2Ball(0.08)).fooled.item()
        True
    """
    counts = {"n_steps": n_steps, "n_targets": n_targets, "n_restarts": n_restarts}
    for name, count in counts.items():
        require_count(name, count)
    hunt = Hunt(network, x, y, ball=ball, low=low, high=high, levels=levels)
    aims = nearest_classes(network, x, y, n_targets)
    for restart in range(n_restarts):
        for rank in range(aims.shape[1]):
            places = hunt.standing
            if not len(places):
                return hunt.outcome()
            start = x[places]
            if restart:
                far = 0.5 * hunt.ball.random(start, generator)
                start = hunt.inside(places, start + far)
            _walk(hunt, places, start, aims[:, rank], n_steps, low, high)
    return hunt.outcome()


def _walk(
    hunt: Hunt, places: Tensor, now: Tensor, aims: Tensor, n_steps: int, low: float, high: float
) -> None:
    for _ in range(n_steps):
        passed = gradient_of(hunt.network, now, aims[places], _lead(hunt.y[places]))
        hunt.n_gradients += len(places)
        lead = _lead(hunt.y[places])(passed.logits, aims[places])
        clean = hunt.x[places]
        back = (passed.gradient * (now - clean)).flatten(1).sum(1)
        step = _cross(hunt.ball, now, passed.gradient, -lead, low, high)
        pull = _cross(hunt.ball, clean, passed.gradient, back - lead, low, high)
        near, far = hunt.ball.length(step), hunt.ball.length(pull)
        share = column((near / (near + far).clamp_min(1e-30)).clamp(max=_MOST), now)
        now = (1 - share) * (now + _PAST * step) + share * (clean + _PAST * pull)
        now = now.clamp(low, high)
        with torch.no_grad():
            crossed = hunt.network(now).argmax(1) != hunt.y[places]
        hunt.n_queries += len(places)
        stands = hunt.offer(places, hunt.inside(places, now), crossed)
        now = torch.where(column(crossed, now), clean + _BACK * (now - clean), now)
        places, now = places[stands], now[stands]
        if not len(places):
            return


def _lead(y: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    def lead(logits: Tensor, aims: Tensor) -> Tensor:
        return logits.gather(1, aims[:, None])[:, 0] - logits.gather(1, y[:, None])[:, 0]

    return lead


def _cross(
    ball: Ball, x: Tensor, normal: Tensor, gap: Tensor, low: float, high: float
) -> Float[Tensor, "batch *input"]:
    return ball.cross(crossing(x, normal, gap, low=low, high=high)).view_as(x)
