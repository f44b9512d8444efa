"""Train on the worst outputs that intervals allow, so that robustness can be proved cheaply.

Paper:    Gowal, Dvijotham, Stanforth, Bunel, Qin, Uesato, Arandjelovic, Mann, Kohli. On the
          Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models. 2018,
          arXiv:1810.12715, equations 7 to 12.
          Shi, Wang, Zhang, Yi, Hsieh. Fast Certified Robust Training with Short Warmup. NeurIPS
          2021, arXiv:2103.17260, section 3.1 (`start_for_bounds`).
Departs:  schedules are shares of the training.
Notation: `plain_share` = kappa, `threat.reach` = epsilon, worst = z hat.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from netwright.learn._bounds import bounded, margins
from netwright.learn._threat import Threat

__all__ = ["Loss", "ibp", "mixed", "start_for_bounds"]

_LEAST_PLAIN = 0.5
Loss = Callable[[Tensor, Tensor], Tensor]


def ibp(
    model: Any,
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    loss: Loss,
    threat: Threat,
) -> Tensor:
    """Loss on the inputs, and on the worst logits that intervals allow nearby.

    Args:
        model: maps inputs to logits of classes.
        x: images in [0, 1].
        y: their classes.
        loss: maps (logits, classes) to the mean loss.
        threat: how far inputs may be moved, in "linf".

    Cost: three passes forward and back instead of one.
    """
    if not threat.reach:
        return loss(model(x).float(), y)
    found = bounded(model, x, *threat.box(x))
    return mixed(found.outputs, -margins(found, y), y, loss, threat)


def mixed(
    outputs: Float[Tensor, "batch classes"],
    worst: Float[Tensor, "batch classes"],
    y: Int[Tensor, "batch"],
    loss: Loss,
    threat: Threat,
) -> Tensor:
    """Weigh the loss on the inputs against that on the worst logits, ever less as the radius grows.

    Args:
        outputs: logits of the inputs.
        worst: logits that no change of the inputs makes worse.
        y: classes of the inputs.
        loss: maps (logits, classes) to the mean loss.
        threat: says how far the radius has grown.
    """
    plain_share = 1 - (1 - _LEAST_PLAIN) * threat.grown
    plain = loss(outputs.float(), y)
    return plain_share * plain + (1 - plain_share) * loss(worst.float(), y)


@torch.no_grad()
def start_for_bounds(network: nn.Module, *, generator: torch.Generator | None = None) -> None:
    """Draw weights anew with which intervals keep their width from layer to layer.

    Args:
        network: its linear layers and convolutions are changed.
        generator: source of the weights.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            n_in = module.weight[0].numel()
            module.weight.normal_(0.0, math.sqrt(2 * math.pi) / n_in, generator=generator)
