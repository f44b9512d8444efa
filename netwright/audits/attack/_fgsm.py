"""Move every coordinate of an input by `radius` in the direction that raises the loss.

Paper:    Goodfellow, Shlens, Szegedy. Explaining and Harnessing Adversarial Examples. ICLR 2015,
          arXiv:1412.6572. Section 4, eta = epsilon * sign(grad_x J(theta, x, y)).
Departs:  the result is clamped to the valid range and, with `levels`, rounded to real pixels.
Notation: radius = epsilon, loss = J.
"""

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import LinfBall
from netwright.audits.attack._outcome import Attacked, check_inputs, fooled_by, gradient_of
from netwright.audits.attack._outcome import cross_entropy as default_loss

__all__ = ["fgsm"]


def fgsm(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    radius: float,
    loss: Callable[[Tensor, Tensor], Tensor] = default_loss,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
) -> Attacked:
    """Attack a classifier with one signed gradient step of size `radius`.

    Args:
        network: maps inputs to logits; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        radius: largest change of a coordinate, in units of `x`.
        loss: maps (logits, classes) to one loss an example, which the attack raises.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: round the offset to multiples of `1 / levels` (255 for pixels of one byte), staying
            inside the radius; None for inputs that are not pixels.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: if the network is in training mode, the radius is negative, an input lies
            outside the range, or `levels` is given and `x` does not hold whole levels.

    Cost: one gradient and one forward pass of the whole batch.

    Example:
        >>> import torch
        >>> network = lambda x: torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)  # class 1: sum < 1/2
        >>> found = fgsm(network, torch.tensor([[0.25, 0.25]]), torch.tensor([1]), radius=0.25)
        >>> found.x.tolist(), found.fooled.item()
        ([[0.5, 0.5]], True)
    """
    ball = LinfBall(radius)
    check_inputs(network, x, low, high, levels)
    gradient = gradient_of(network, x, y, loss).gradient
    moved = (x + ball.step(gradient, radius)).clamp(low, high)
    if levels is not None:
        moved = (x + ball.round(moved - x, levels)).clamp(low, high)
    return Attacked(x=moved, fooled=fooled_by(network, moved, y), n_gradients=len(x))
