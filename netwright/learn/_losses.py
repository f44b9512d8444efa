"""What is minimised, and what is reported, for each kind of target.

Paper:    label smoothing: Szegedy et al. Rethinking the Inception Architecture. CVPR 2016,
          arXiv:1512.00567, section 7.
Departs:  for labels, smoothing draws 0 and 1 towards 1/2.
Notation: label_smoothing = epsilon.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from netwright.data._schema import Target

__all__ = ["loss_for", "score_error", "score_for"]


def loss_for(target: Target, *, label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor], Tensor]:
    """Return `loss(outputs, y)`, the mean over the examples of a batch.

    Class: cross-entropy, nats. Labels: binary cross-entropy, nats, mean over the labels. Value and
    values: squared error in units of the target's standard deviation over the training split, mean
    over the values; so it needs no other learning rate when the target's unit changes.

    Args:
        target: decides which loss.
        label_smoothing: probability mass spread over all classes, in [0, 1).

    Raises:
        ValueError: if `label_smoothing` is outside [0, 1), or positive where no label is to smooth.
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"`label_smoothing` must lie in [0, 1); got {label_smoothing}.")
    if target.kind == "class":

        def cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
            return functional.cross_entropy(outputs, y, label_smoothing=label_smoothing)

        return cross_entropy
    if target.kind == "labels":

        def binary_cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
            smoothed = y * (1.0 - label_smoothing) + label_smoothing / 2.0
            return functional.binary_cross_entropy_with_logits(outputs, smoothed)

        return binary_cross_entropy
    if label_smoothing:
        raise ValueError(
            f"`label_smoothing` needs a target of classes or labels; this one is of kind "
            f"`{target.kind}`, so leave it at 0."
        )
    scale = _scale(target)

    def squared_error(outputs: Tensor, y: Tensor) -> Tensor:
        return ((outputs - y) / scale.to(outputs.device)).square().mean()

    return squared_error


def score_for(
    target: Target,
) -> Callable[[Float[Tensor, "batch width"], Shaped[Tensor, "batch *width"]], float]:
    """Return `score(outputs, y)` over a whole split; higher is better.

    Class: accuracy. Labels: the share of labels that are right (logit above 0 means present).
    Value: minus the root mean squared error, in the target's unit. Values: minus the root mean
    squared error in standard deviations, since units may differ.

    Args:
        target: decides which score.
    """
    if target.kind == "class":
        return lambda outputs, y: (outputs.argmax(dim=1) == y).double().mean().item()
    if target.kind == "labels":
        return lambda outputs, y: ((outputs > 0) == (y > 0.5)).double().mean().item()
    scale = _scale(target).double() if target.kind == "values" else torch.ones(1).double()
    # float64: a mean over a whole split of squares that may be large
    return lambda outputs, y: -((outputs.double() - y) / scale).square().mean().sqrt().item()


def score_error(score: float, *, kind: str, n: int) -> float:
    """Estimate the standard error of a score.

    Args:
        score: as `score_for` gives it.
        kind: of the target.
        n: examples it was measured on.

    Returns:
        For classes and labels that of a proportion, two right and two wrong added, so that 0 and 1
        have an error too; for values that of a root mean square of residuals taken as normal.
    """
    if kind in ("class", "labels"):
        share = (score * n + 2.0) / (n + 4.0)
        return math.sqrt(share * (1.0 - share) / n)
    return abs(score) / math.sqrt(2.0 * n)


def _scale(target: Target) -> Tensor:
    return torch.tensor(target.std or (1.0,) * target.width)
