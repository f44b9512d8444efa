"""What every attack on a classifier shares: outcome, input gradient, the losses to raise."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "Attacked",
    "InputGradient",
    "check_inputs",
    "cross_entropy",
    "fooled_by",
    "gradient_of",
    "margin",
    "scale_free_cross_entropy",
]

_RANGE = 10.0  # exp(-10) is still far from rounding in float32


@dataclass(frozen=True, eq=False)
class Attacked:
    """Inputs after an attack.

    Attributes:
        x: attacked inputs, inside the ball and the valid range; an input that was misclassified
            from the start is returned unchanged by iterated attacks.
        fooled: whether `network` misclassifies the row of `x`, as it is returned.
        n_gradients: input gradients computed, counted by example.
        n_queries: answers asked of the network besides, without a gradient, counted by example;
            what a black-box attack costs.
    """

    x: Shaped[Tensor, "batch *input"]
    fooled: Bool[Tensor, "batch"]
    n_gradients: int
    n_queries: int = 0


@dataclass(frozen=True, eq=False)
class InputGradient:
    """One backward pass.

    Attributes:
        gradient: of the loss by the input; zero where the network's gradient is not finite.
        logits: of the same pass, detached.
        finite: which rows had a finite gradient.
    """

    gradient: Float[Tensor, "batch *input"]
    logits: Float[Tensor, "batch classes"]
    finite: Bool[Tensor, "batch"]


def cross_entropy(
    logits: Float[Tensor, "batch classes"], y: Int[Tensor, "batch"]
) -> Float[Tensor, "batch"]:
    """Cross-entropy of each example, in nats.

    Its gradient underflows to zero where a network is very confident; those of
    `scale_free_cross_entropy` and `margin` do not.

    Args:
        logits: scores of the classes.
        y: true classes.
    """
    return F.cross_entropy(logits, y, reduction="none")


def scale_free_cross_entropy(
    logits: Float[Tensor, "batch classes"], y: Int[Tensor, "batch"]
) -> Float[Tensor, "batch"]:
    """Cross-entropy of each example after its logits are scaled to a range of 10, in nats.

    The gradient's direction is then the same for a network and for the same network with larger or
    smaller logits, and it neither underflows nor rounds to zero. The scale itself is held constant,
    so nothing is gained by changing it.

    Args:
        logits: scores of the classes.
        y: true classes.
    """
    spread = (logits.amax(1) - logits.amin(1)).detach()
    scale = _RANGE / torch.where(spread > 0, spread, 1.0)
    return F.cross_entropy(logits * scale[:, None], y, reduction="none")


def margin(
    logits: Float[Tensor, "batch classes"], y: Int[Tensor, "batch"]
) -> Float[Tensor, "batch"]:
    """Largest logit of another class minus the logit of the true one; positive is misclassified.

    The loss f_6 of Carlini and Wagner (2017, arXiv:1608.04644), unclipped: its gradient does not
    depend on how confident the network is.

    Args:
        logits: scores of the classes, at least two.
        y: true classes.
    """
    of_true = logits.gather(1, y[:, None])
    others = logits.scatter(1, y[:, None], float("-inf"))
    return others.amax(1) - of_true[:, 0]


def gradient_of(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> InputGradient:
    """Differentiate the loss by the input, for the whole batch in one call.

    The parameters' `.grad` fields are not touched.

    Args:
        network: maps inputs to logits, each row on its own.
        x: inputs.
        y: true classes.
        loss: maps (logits, classes) to one loss an example.
    """
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        logits = network(leaf)
        total = loss(logits, y).sum()
        if total.requires_grad:
            (gradient,) = torch.autograd.grad(total, leaf, allow_unused=True)
        else:
            gradient = None  # nothing between input and output is differentiable
    if gradient is None:
        gradient = torch.zeros_like(x)
    whole = gradient.isfinite()
    finite = whole.flatten(1).all(1)
    if not finite.all():
        gradient = torch.where(whole, gradient, 0.0)
    return InputGradient(gradient=gradient, logits=logits.detach(), finite=finite)


@torch.no_grad()
def fooled_by(
    network: Callable[[Tensor], Tensor],
    x: Shaped[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
) -> Bool[Tensor, "batch"]:
    """Say which rows the network misclassifies.

    Args:
        network: maps inputs to logits.
        x: inputs.
        y: true classes.
    """
    return network(x).argmax(1) != y


def check_inputs(
    network: Callable[[Tensor], Tensor], x: Tensor, low: float, high: float, levels: int | None
) -> None:
    """Refuse what would make an attack's outcome meaningless.

    Args:
        network: must not be in training mode.
        x: must lie inside the range and, with `levels`, hold whole levels.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: steps between 0 and 1; None for inputs that are not pixels.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(network, nn.Module) and network.training:
        raise ValueError("`network` must be in eval mode: call `network.eval()` first.")
    if not x.numel():
        return
    smallest, largest = x.min().item(), x.max().item()
    if not (low <= smallest and largest <= high):  # also refuses NaN
        raise ValueError(
            f"`x` must lie in [{low}, {high}] (`low`, `high`); got [{smallest:g}, {largest:g}]."
        )
    if levels is not None:
        off = (x * levels - (x * levels).round()).abs().max().item()
        if off > 0.01:
            raise ValueError(
                f"`x` must hold whole multiples of 1/{levels} (`levels`); got values {off:.2g} of "
                f"a level away. Pass `levels=None` for inputs that are not pixels."
            )
