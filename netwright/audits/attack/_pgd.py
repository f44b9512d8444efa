"""Search a ball around each input, by projected gradient ascent, for a misclassified member.

Paper:    Madry, Makelov, Schmidt, Tsipras, Vladu. Towards Deep Learning Models Resistant to
          Adversarial Attacks. ICLR 2018, arXiv:1706.06083. Section 2.1, x_{t+1} =
          Proj_{x+S}(x_t + alpha * sgn(grad_x L)), from random starts.
Departs:  an input leaves the batch once it is fooled, so the loss of fooled inputs is not maximal;
          with `levels` only real pixels count as fooled.
Notation: ball = S, step_size = alpha, loss = L.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import Ball
from netwright.audits.attack._outcome import Attacked, check_inputs, fooled_by, gradient_of
from netwright.audits.attack._outcome import cross_entropy as default_loss

__all__ = ["pgd"]


def pgd(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 20,
    step_size: float | None = None,
    n_restarts: int = 1,
    loss: Callable[[Tensor, Tensor], Tensor] = default_loss,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Attacked:
    """Attack a classifier by projected gradient ascent from random starts.

    An input that is not fooled was not shown to be safe: the search is local.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        ball: where to search, `LinfBall(radius)` or `L2Ball(radius)`, in units of `x`.
        n_steps: gradient steps from each start.
        step_size: in units of `x`; 2.5 * radius / n_steps if None, which can cross the ball.
        n_restarts: random starts; later ones try only what is still classified rightly.
        loss: maps (logits, classes) to one loss an example, which the attack raises.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: count an input as fooled only if it still is after rounding the offset, inside the
            ball, to multiples of `1 / levels` (255 for pixels of one byte), and return it so; None
            for inputs that are not pixels.
        generator: draws the starts, on the device of `x`; torch's global one if None.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: if the network is in training mode, a count is not positive, `step_size` is not
            positive, an input lies outside the range, or `levels` is given and `x` does not hold
            whole levels.

    Cost: at most `n_restarts * (n_steps + 1)` passes forward and back over the inputs not yet
    fooled, and half as much again to confirm rounded ones.

    Example:
        >>> from netwright.audits.attack import LinfBall
        >>> network = lambda x: torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)  # class 1: sum < 1/2
        >>> x, y = torch.tensor([[0.2, 0.2]]), torch.tensor([1])
        >>> seeded = torch.Generator().manual_seed(0)
        >>> pgd(network, x, y, ball=LinfBall(0.04), generator=seeded).fooled.item()
        False
        >>> pgd(network, x, y, ball=LinfBall(0.06), generator=seeded).fooled.item()
        True
    """
    for name, count in (("n_steps", n_steps), ("n_restarts", n_restarts)):
        if count < 1:
            raise ValueError(f"`{name}` must be at least 1; got {count}.")
    if step_size is None:
        step_size = 2.5 * ball.radius / n_steps
    elif not step_size > 0:
        raise ValueError(f"`step_size` must be positive, in units of `x`; got {step_size}.")
    check_inputs(network, x, low, high, levels)

    def real(clean: Tensor, moved: Tensor) -> Tensor:
        if levels is None:
            return moved
        return (clean + ball.round(moved - clean, levels)).clamp(low, high)

    found, fooled, n_gradients = x.clone(), fooled_by(network, x, y), 0
    for _ in range(n_restarts):
        left = (~fooled).nonzero()[:, 0]  # places of the inputs still to be fooled
        if not len(left) or not ball.radius:
            break
        moved = (x[left] + ball.random(x[left], generator)).clamp(low, high)
        for step in range(n_steps + 1):
            clean, truth = x[left], y[left]
            last = step == n_steps
            if last:
                promising = torch.ones_like(truth, dtype=torch.bool)
            else:
                passed = gradient_of(network, moved, truth, loss)
                n_gradients += len(left)
                promising = passed.logits.argmax(1) != truth
            if promising.any():
                candidate = real(clean[promising], moved[promising])
                wrong = fooled_by(network, candidate, truth[promising])
                places = left[promising]
                found[places] = candidate  # also the best try of a sample that holds
                fooled[places[wrong]] = True
            if last:
                break
            keep = ~fooled[left]
            left, clean = left[keep], clean[keep]
            if not len(left):
                break
            ahead = moved[keep] + ball.step(passed.gradient[keep], step_size)
            # The range is a box around `clean`, so clamping after projecting stays in the ball.
            moved = (clean + ball.project(ahead - clean)).clamp(low, high)
    return Attacked(x=found, fooled=fooled, n_gradients=n_gradients)
