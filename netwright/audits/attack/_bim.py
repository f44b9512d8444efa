"""Repeat the signed gradient step, without leaving the box around the input.

Paper:    Kurakin, Goodfellow, Bengio. Adversarial Examples in the Physical World. ICLR 2017
          workshop, arXiv:1607.02533. Section 2.2, the basic iterative method.
Departs:  an input leaves the batch once it is fooled; with `levels` only real pixels count. It is
          `momentum_pgd` that forgets at once: the sign of a gradient has no length to scale.
Notation: radius = epsilon, step_size = alpha.
"""

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import LinfBall
from netwright.audits.attack._momentum import momentum_pgd
from netwright.audits.attack._outcome import Attacked
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
    steps = {"n_steps": n_steps, "step_size": step_size, "loss": loss}
    bounds = {"low": low, "high": high, "levels": levels}
    return momentum_pgd(network, x, y, ball=LinfBall(radius), decay=0.0, **steps, **bounds)
