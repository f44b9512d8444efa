"""What an attack has found so far: which rows still stand, and the best try for each."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import Ball
from netwright.audits.attack._outcome import Attacked, check_inputs, fooled_by

__all__ = ["Hunt", "column", "require_count"]


class Hunt:
    """Keeps the score of an attack inside a ball, by rows of the whole batch.

    An input counts as fooled once the network misclassifies what would be handed back: the offset
    rounded to real pixels, if there are levels, and inside ball and range.

    Attributes:
        network: maps inputs to logits, each row on its own.
        x: clean inputs.
        y: their true classes.
        ball: where to search.
        found: the attacked inputs so far.
        fooled: which of them are misclassified.
        n_gradients: input gradients computed, counted by example.
        n_queries: answers asked of the network without a gradient, counted by example.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        x: Float[Tensor, "batch *input"],
        y: Int[Tensor, "batch"],
        *,
        ball: Ball,
        low: float,
        high: float,
        levels: int | None,
    ) -> None:
        """Ask the network about the clean inputs; what is misclassified needs no attack.

        Args:
            network: maps inputs to logits; a module must be in eval mode.
            x: inputs inside [`low`, `high`].
            y: their true classes.
            ball: where to search, in units of `x`.
            low: smallest valid coordinate.
            high: largest valid coordinate.
            levels: steps between 0 and 1 of a real pixel; None for inputs that are not pixels.

        Raises:
            ValueError: as `check_inputs` does.
        """
        check_inputs(network, x, low, high, levels)
        self.network, self.x, self.y, self.ball = network, x, y, ball
        self._low, self._high, self._levels = low, high, levels
        self.found = x.clone()
        self.n_gradients, self.n_queries = 0, len(x)
        self.fooled = fooled_by(network, x, y)

    @property
    def standing(self) -> Tensor:
        """Places in the batch of the inputs that are not fooled; none if the ball is a point."""
        return (~self.fooled).nonzero()[:, 0] if self.ball.radius else self.y[:0]

    def inside(self, places: Tensor, moved: Tensor) -> Tensor:
        """Bring inputs back into ball and range.

        Args:
            places: of the inputs in the batch.
            moved: anywhere.
        """
        clean = self.x[places]
        # The range is a box around `clean`, so clamping after projecting stays in the ball.
        return (clean + self.ball.project(moved - clean)).clamp(self._low, self._high)

    def real(self, places: Tensor, moved: Tensor) -> Tensor:
        """Round inputs to real pixels, inside ball and range.

        Args:
            places: of the inputs in the batch.
            moved: inside ball and range.
        """
        if self._levels is None:
            return moved
        clean = self.x[places]
        rounded = clean + self.ball.round(moved - clean, self._levels)
        return rounded.clamp(self._low, self._high)

    def offer(self, places: Tensor, moved: Tensor, promising: Tensor | None = None) -> Tensor:
        """Put tries to the network and keep those that fool it.

        Args:
            places: of the tries in the batch, each once.
            moved: the tries, inside ball and range.
            promising: which of them to ask about; all if None.

        Returns:
            Which of `places` still stand.
        """
        if promising is None:
            promising = torch.ones_like(places, dtype=torch.bool)
        if promising.any():
            asked = places[promising]
            candidate = self.real(asked, moved[promising])
            self.found[asked] = candidate  # also the best try for an input that holds
            self.fooled[asked] = fooled_by(self.network, candidate, self.y[asked])
            self.n_queries += len(asked)
        return ~self.fooled[places]

    def outcome(self) -> Attacked:
        """Return what was found."""
        return Attacked(self.found, self.fooled, self.n_gradients, self.n_queries)


def column(values: Tensor, like: Tensor) -> Tensor:
    """Shape one number or truth value a row so that it applies to whole rows.

    Args:
        values: one a row; its axes are not checked, since this is called many times a step.
        like: what they are to meet.
    """
    return values.view(-1, *(1 for _ in like.shape[1:]))


def require_count(name: str, count: int) -> None:
    """Refuse a count below one.

    Args:
        name: of the argument.
        count: its value.

    Raises:
        ValueError: naming the argument.
    """
    if count < 1:
        raise ValueError(f"`{name}` must be at least 1; got {count}.")
