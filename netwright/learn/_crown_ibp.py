"""Train on linear bounds of the outputs, which give way to intervals as the training goes on.

Paper:    Zhang, Chen, Xiao, Gowal, Stanforth, Li, Boning, Hsieh. Towards Stable and Efficient
          Training of Verifiably Robust Neural Networks. ICLR 2020, arXiv:1906.06316, equation 11.
Departs:  schedules are shares of the training.
Notation: `linear_share` = beta, `threat.reach` = epsilon; kappa stands in `mixed`.
"""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from netwright.learn._bounds import bounded, margins
from netwright.learn._ibp import Loss, mixed
from netwright.learn._threat import Threat

__all__ = ["crown_ibp"]


def crown_ibp(
    model: Any,
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    loss: Loss,
    threat: Threat,
) -> Tensor:
    """Loss on the inputs, and on the worst logits that linear bounds and intervals allow nearby.

    Args:
        model: maps inputs to logits of classes.
        x: images in [0, 1].
        y: their classes.
        loss: maps (logits, classes) to the mean loss.
        threat: how far inputs may be moved, in "linf".

    Cost: three passes forward and back, and one back for each class while the radius grows.
    """
    if not threat.reach:
        return loss(model(x).float(), y)
    found = bounded(model, x, *threat.box(x))
    linear_share = 1 - threat.grown
    least = margins(found, y)
    if linear_share:
        least = linear_share * margins(found, y, through=True) + (1 - linear_share) * least
    return mixed(found.outputs, -least, y, loss, threat)
