"""Find one change that fools a classifier on many inputs at once.

Paper:    Moosavi-Dezfooli, Fawzi, Fawzi, Frossard. Universal Adversarial Perturbations. CVPR 2017,
          arXiv:1610.08401 (the problem).
          Shafahi, Najibi, Xu, Dickerson, Davis, Goldstein. Universal Adversarial Training. AAAI
          2020, arXiv:1811.11304. Algorithm 2 (stochastic gradient ascent on a clipped loss).
Departs:  the clipped loss is the margin's; steps are those of the ball, with momentum.
Notation: ball = epsilon, ceiling = beta, offset = delta.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from netwright.audits.attack._ball import Ball
from netwright.audits.attack._hunt import require_count
from netwright.audits.attack._outcome import check_inputs, fooled_by, gradient_of, margin

__all__ = ["Universal", "universal"]


@dataclass(frozen=True, eq=False)
class Universal:
    """One change for all inputs.

    Attributes:
        offset: to be added to an input, which is then clamped to the range.
        fooled: which of the inputs it was made from are misclassified with it.
        n_gradients: input gradients computed, counted by example.
    """

    offset: Float[Tensor, "*input"]
    fooled: Bool[Tensor, "batch"]
    n_gradients: int

    def apply(
        self, x: Float[Tensor, "batch *input"], *, low: float = 0.0, high: float = 1.0
    ) -> Float[Tensor, "batch *input"]:
        """Add the change to inputs, those it was made from or others.

        Args:
            x: inputs inside [`low`, `high`].
            low: smallest valid coordinate.
            high: largest valid coordinate.
        """
        return (x + self.offset).clamp(low, high)


def universal(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 200,
    batch_size: int = 64,
    step_size: float | None = None,
    ceiling: float = 1.0,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Universal:
    """Attack a classifier by one and the same change of every input.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`] to learn the change from.
        y: their true classes.
        ball: where the change lies, in units of `x`.
        n_steps: steps, each on a batch.
        batch_size: inputs of a batch.
        step_size: in units of `x`; a twentieth of the radius if None.
        ceiling: margin beyond which an input counts as fooled well enough, so that no single input
            dominates; in units of the logits' mean span.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: the change is rounded to multiples of `1 / levels`; None does not round.
        generator: draws the batches, on the device of `x`; torch's global one if None.

    Returns:
        The change, and which inputs it fools.

    Raises:
        ValueError: if a count or `step_size` is not positive, there are no inputs, or as `pgd`.

    Cost: `n_steps` passes forward and back over a batch.
    """
    require_count("n_steps", n_steps)
    require_count("batch_size", batch_size)
    if step_size is None:
        step_size = ball.radius / 20
    elif not step_size > 0:
        raise ValueError(f"`step_size` must be positive, in units of `x`; got {step_size}.")
    check_inputs(network, x, low, high, levels)
    if not len(x):
        raise ValueError("`x` has no rows: a universal change is learned from some.")
    with torch.no_grad():
        logits = network(x)
    most = ceiling * (logits.amax(1) - logits.amin(1)).mean()

    def clipped(logits: Tensor, y: Tensor) -> Tensor:
        return margin(logits, y).clamp(max=most)

    offset, carried, n_gradients = torch.zeros_like(x[:1]), torch.zeros_like(x[:1]), 0
    for _ in range(n_steps):
        at = torch.randint(len(x), (min(batch_size, len(x)),), generator=generator, device=x.device)
        moved = (x[at] + offset).clamp(low, high)
        gradient = gradient_of(network, moved, y[at], clipped).gradient.mean(0, keepdim=True)
        n_gradients += len(at)
        carried = 0.9 * carried + gradient
        offset = ball.project(offset + ball.step(carried, step_size))
    if levels is not None:
        offset = ball.round(offset, levels)
    fooled = fooled_by(network, (x + offset).clamp(low, high), y)
    return Universal(offset[0], fooled, n_gradients)
