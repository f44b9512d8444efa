"""What attacks return that look for the smallest change, and how they keep score."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from netwright.audits.attack._ball import Ball
from netwright.audits.attack._hunt import column
from netwright.audits.attack._outcome import check_inputs, fooled_by

__all__ = ["Nearest", "Shrinking"]


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest misclassified inputs that an attack found.

    Attributes:
        x: attacked inputs; the clean ones where nothing was found, or nothing was needed.
        fooled: whether `network` misclassifies the row of `x`, as it is returned.
        distance: norm of the change, in units of `x`; infinite where nothing was found.
        n_gradients: input gradients computed, counted by example.
        n_queries: answers asked of the network besides, without a gradient, counted by example.
    """

    x: Float[Tensor, "batch *input"]
    fooled: Bool[Tensor, "batch"]
    distance: Float[Tensor, "batch"]
    n_gradients: int
    n_queries: int = 0


class Shrinking:
    """Keeps the nearest misclassified input found for each row.

    Attributes:
        network: maps inputs to logits, each row on its own.
        x: clean inputs.
        y: their true classes.
        ball: its norm is the one made small, its radius the largest that counts.
        nearest: the attacked inputs so far.
        distance: norm of their change; infinite where nothing was found.
        n_gradients: input gradients computed, counted by example.
        n_queries: answers asked without a gradient, counted by example.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        x: Tensor,
        y: Tensor,
        *,
        ball: Ball,
        low: float,
        high: float,
        levels: int | None,
    ) -> None:
        """Ask the network about the clean inputs; what is misclassified is at distance 0.

        Args:
            network: maps inputs to logits; a module must be in eval mode.
            x: inputs inside [`low`, `high`].
            y: their true classes.
            ball: norm and largest change.
            low: smallest valid coordinate.
            high: largest valid coordinate.
            levels: steps between 0 and 1 of a real pixel; None for inputs that are not pixels.

        Raises:
            ValueError: as `check_inputs` does.
        """
        check_inputs(network, x, low, high, levels)
        self.network, self.x, self.y, self.ball = network, x, y, ball
        self._low, self._high, self._levels = low, high, levels
        self.nearest, self.n_gradients, self.n_queries = x.clone(), 0, len(x)
        wrong = fooled_by(network, x, y)
        far = torch.full((len(x),), math.inf, dtype=x.dtype, device=x.device)
        self.distance = torch.where(wrong, 0.0, far)

    @property
    def standing(self) -> Tensor:
        """Places in the batch of the inputs for which nothing was found."""
        return self.distance.isinf().nonzero()[:, 0]

    def real(self, moved: Tensor) -> Tensor:
        """Round inputs to real pixels, inside the range.

        Args:
            moved: any inputs.
        """
        moved = moved.clamp(self._low, self._high)
        if self._levels is None:
            return moved
        return ((moved * self._levels).round() / self._levels).clamp(self._low, self._high)

    def offer(self, places: Tensor, moved: Tensor, promising: Tensor | None = None) -> Tensor:
        """Put tries to the network and keep those that fool it from nearer than before.

        Args:
            places: of the tries in the batch, each once.
            moved: the tries, anywhere.
            promising: which of them to ask about; all if None.

        Returns:
            Which of the tries fooled the network, inside the ball; False where it was not asked.
        """
        real = self.real(moved)
        length = self.ball.length(real - self.x[places])
        ask = length <= self.ball.radius * (1 + 1e-6)
        if promising is not None:
            ask &= promising
        fooled = torch.zeros_like(ask)
        if ask.any():
            fooled[ask] = fooled_by(self.network, real[ask], self.y[places[ask]])
            self.n_queries += int(ask.sum())
        better = fooled & (length < self.distance[places])
        chosen = places[better]
        self.nearest[chosen], self.distance[chosen] = real[better], length[better]
        return fooled

    def outcome(self) -> Nearest:
        """Return what was found."""
        found = self.distance.isfinite()
        x = torch.where(column(found, self.x), self.nearest, self.x)
        return Nearest(x, found, self.distance, self.n_gradients, self.n_queries)
