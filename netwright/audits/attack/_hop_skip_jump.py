"""Walk along the decision boundary, knowing nothing of the network but the class it answers.

Paper:    Chen, Jordan, Wainwright. HopSkipJumpAttack: a Query-Efficient Decision-Based Attack.
          IEEE S&P 2020, arXiv:1904.02144. Algorithms 1 and 2, equations 9 (direction, with the
          baseline of equation 16) and 14.
Departs:  starts are uniform noise, or rows of the batch that the network gives another class; all
          rows walk together.
Notation: n_probes = B_0, probe = delta_t, direction = v_t, stride = xi_t, tolerance = theta.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import Ball, L2Ball, LinfBall
from netwright.audits.attack._hunt import column, require_count
from netwright.audits.attack._nearest import Nearest, Shrinking

__all__ = ["hop_skip_jump"]

_STARTS = 20
_AT_ONCE = 4096  # rows put to the network together
_HALVINGS = 20


@torch.no_grad()
def hop_skip_jump(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 20,
    n_probes: int = 100,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Nearest:
    """Find a small change that changes the class, using nothing but classes.

    Args:
        network: maps inputs to logits, each row on its own, of which only the largest is looked at.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        ball: `L2Ball` or `LinfBall`: its norm is the one made small, its radius the largest change
            that counts as fooled.
        n_steps: steps along the boundary.
        n_probes: random probes for the first step's direction; they grow with the root of the step.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: steps between 0 and 1 of a real pixel, 255 for bytes; None for other inputs.
        generator: source of starts and probes, on the device of `x`; torch's global one if None.

    Returns:
        The nearest misclassified inputs found, their distances, and the queries spent.

    Raises:
        TypeError: if the ball is of another norm.
        ValueError: if a count is not positive, or as `pgd` does for inputs and network.

    Cost: about `n_steps * n_probes` forward passes for each row, and more at later steps.
    """
    if not isinstance(ball, L2Ball | LinfBall):
        raise TypeError(f"`ball` must be an L2Ball or a LinfBall; got {type(ball).__name__}.")
    require_count("n_steps", n_steps)
    require_count("n_probes", n_probes)
    hunt = Shrinking(network, x, y, ball=ball, low=low, high=high, levels=levels)
    walk = _Walk(hunt, low, high, generator)
    places, now = walk.starts()
    hunt.offer(places, now)
    now = walk.to_boundary(places, now)
    dims = x[0].numel() if len(x) else 1
    for step in range(1, n_steps + 1):
        if not len(places):
            break
        distance = ball.length(now - x[places])
        direction = walk.direction(places, now, distance / dims, int(n_probes * math.sqrt(step)))
        direction = direction.sign() if isinstance(ball, LinfBall) else direction
        stride, ahead = distance / math.sqrt(step), now
        waiting = torch.ones_like(distance, dtype=torch.bool)
        for _ in range(_HALVINGS):
            tried = (now + column(stride, now) * direction).clamp(low, high)
            crossed = walk.is_wrong(places, tried) & waiting
            ahead = torch.where(column(crossed, now), tried, ahead)
            waiting &= ~crossed
            if not waiting.any():
                break
            stride = stride / 2
        now = walk.to_boundary(places, ahead)
    return hunt.outcome()


class _Walk:
    # The questions that the walk asks of the network.
    def __init__(
        self, hunt: Shrinking, low: float, high: float, generator: torch.Generator | None
    ) -> None:
        self.hunt, self.low, self.high, self.generator = hunt, low, high, generator
        self.euclidean = isinstance(hunt.ball, L2Ball)

    def is_wrong(self, places: Tensor, moved: Tensor) -> Tensor:
        answers = [
            self.hunt.network(part).argmax(1) != self.hunt.y[rows]
            for part, rows in zip(moved.split(_AT_ONCE), places.split(_AT_ONCE), strict=True)
        ]
        self.hunt.n_queries += len(places)
        return torch.cat(answers) if answers else places.bool()

    def starts(self) -> tuple[Tensor, Tensor]:
        # Something misclassified for each row, wherever it lies; rows without are given up.
        hunt = self.hunt
        places = hunt.standing
        start = hunt.x[places].clone()
        ready = torch.zeros_like(places, dtype=torch.bool)
        for attempt in range(_STARTS):
            if ready.all():
                break
            if attempt % 2:
                order = torch.randperm(len(hunt.x), generator=self.generator, device=hunt.x.device)
                drawn = hunt.x[order[torch.arange(len(places), device=order.device) % len(order)]]
            else:
                kind = {"dtype": start.dtype, "device": start.device, "generator": self.generator}
                drawn = self.low + (self.high - self.low) * torch.rand(start.shape, **kind)
            wrong = self.is_wrong(places, drawn) & ~ready
            start = torch.where(column(wrong, start), drawn, start)
            ready |= wrong
        return places[ready], start[ready]

    def to_boundary(self, places: Tensor, moved: Tensor) -> Tensor:
        # Bisect between the clean input and a misclassified one; what is returned is misclassified.
        hunt = self.hunt
        clean = hunt.x[places]
        far = torch.ones(len(places), dtype=moved.dtype, device=moved.device)
        if not self.euclidean:
            far = hunt.ball.length(moved - clean)
        near, tolerance = torch.zeros_like(far), 1e-3 * far
        while (far - near > tolerance).any():
            middle = (near + far) / 2
            wrong = self.is_wrong(places, self._between(clean, moved, middle))
            far, near = torch.where(wrong, middle, far), torch.where(wrong, near, middle)
        now = self._between(clean, moved, far)
        hunt.offer(places, now)
        return now

    def _between(self, clean: Tensor, moved: Tensor, share: Tensor) -> Tensor:
        share = column(share, clean)
        if self.euclidean:
            return clean + share * (moved - clean)
        return torch.minimum(torch.maximum(moved, clean - share), clean + share)

    def direction(self, places: Tensor, now: Tensor, probe: Tensor, n: int) -> Tensor:
        # Which way the network is more often wrong, by Monte Carlo; many probes at once.
        total, plain = torch.zeros_like(now), torch.zeros_like(now)
        share = torch.zeros(len(places), dtype=now.dtype, device=now.device)
        kind = {"dtype": now.dtype, "device": now.device, "generator": self.generator}
        done = 0
        while done < n:
            k = min(n - done, max(1, _AT_ONCE // len(places)))
            rows, here = places.repeat(k), now.repeat(k, *(1 for _ in now.shape[1:]))
            size = column(probe.repeat(k).clamp_min(1e-30), here)
            noise = torch.randn(here.shape, **kind)
            noise = noise / column(noise.flatten(1).norm(dim=1).clamp_min(1e-30), noise)
            tried = (here + size * noise).clamp(self.low, self.high)
            noise = (tried - here) / size  # as it came through the range
            said = torch.where(self.is_wrong(rows, tried), 1.0, -1.0).to(now.dtype)
            total += (column(said, noise) * noise).view(k, *now.shape).sum(0)
            plain += noise.view(k, *now.shape).sum(0)
            share += said.view(k, -1).sum(0) / n
            done += k
        alike = share.abs() > 1 - 1e-6  # then all that is known is the mean of the probes
        baseline = torch.where(alike, 0.0, share)  # lowers the variance
        total = total - column(baseline, now) * plain
        return total / column(total.flatten(1).norm(dim=1).clamp_min(1e-30), total)
