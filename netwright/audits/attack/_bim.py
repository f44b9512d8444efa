"""Repeat the signed gradient step, without leaving the box around the input.

Paper:    Kurakin, Goodfellow, Bengio. Adversarial Examples in the Physical World. ICLR 2017
          workshop, arXiv:1607.02533. Section 2.2, the basic iterative method.
Departs:  an input leaves the batch once it is fooled; with `levels` only real pixels count.
Notation: radius = epsilon, step_size = alpha.
"""

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import LinfBall
from netwright.audits.attack._hunt import Hunt, require_count
from netwright.audits.attack._outcome import Attacked, gradient_of
from netwright.audits.attack._outcome import cross_entropy as default_loss

__all__ = ["bim"]


def bim(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    radius: float,
    n_steps: int = 10,
    step_size: float | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = default_loss,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
) -> Attacked:
    """Attack a classifier by signed gradient steps from the input itself; no chance is involved.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        radius: largest change of a coordinate, in units of `x`.
        n_steps: gradient steps.
        step_size: in units of `x`; `radius / n_steps` if None, so that the last step can reach the
            edge.
        loss: maps (logits, classes) to one loss an example, which the attack raises.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: if `n_steps` or `step_size` is not positive, or as `pgd` does.

    Cost: at most `n_steps` passes forward and back, and as many forward.
    """
    require_count("n_steps", n_steps)
    if step_size is None:
        step_size = radius / n_steps
    elif not step_size > 0:
        raise ValueError(f"`step_size` must be positive, in units of `x`; got {step_size}.")
    hunt = Hunt(network, x, y, ball=LinfBall(radius), low=low, high=high, levels=levels)
    places = hunt.standing
    moved = x[places]
    for _ in range(n_steps):
        if not len(places):
            break
        gradient = gradient_of(network, moved, y[places], loss).gradient
        hunt.n_gradients += len(places)
        moved = hunt.inside(places, moved + hunt.ball.step(gradient, step_size))
        stands = hunt.offer(places, moved)
        places, moved = places[stands], moved[stands]
    return hunt.outcome()
