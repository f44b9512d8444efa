"""Train with rounded weights: full precision underneath, gradients straight through the rounding.

Paper:    Jacob et al. Quantization and Training of Neural Networks for Efficient
          Integer-Arithmetic-Only Inference. CVPR 2018, arXiv:1712.05877. Section 3 (simulated
          quantisation). Bengio, Leonard, Courville. Estimating or Propagating Gradients Through
          Stochastic Neurons. 2013, arXiv:1308.3432 (the straight-through estimator).
Departs:  weights alone; ranges are the weights' own at every step, not moving averages.
Notation: bits = B.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netwright.compress._fixed_point import fixed_point
from netwright.compress._weights import constrain, weights

__all__ = ["Rounded", "round_aware", "straight_through"]


class Rounded(nn.Module):
    """A constraint: the weight rounded to fixed point; gradients pass as if it were not."""

    def __init__(self, *, bits: int, axis: int | None) -> None:
        """Hold a weight to few values.

        Args:
            bits: of a code.
            axis: each place along it has a step of its own; None gives one step to all.
        """
        super().__init__()
        self.bits, self.axis = bits, axis

    def forward(self, weight: Tensor) -> Tensor:
        """Return the rounded weight.

        Args:
            weight: in full precision, which is what learns.
        """
        rounded = fixed_point(weight.detach(), bits=self.bits, axis=self.axis).values
        return straight_through(weight, rounded)


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, rounded: Tensor) -> Tensor:
        return rounded.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(weight: Tensor, rounded: Tensor) -> Tensor:
    """Return the rounded weight, bit for bit, with the gradient of the weight itself.

    Args:
        weight: in full precision.
        rounded: of the same shape.
    """
    return _Through.apply(weight, rounded)


def round_aware(
    network: nn.Module, bits: int | Mapping[str, int] = 8, *, per_channel: bool = True
) -> None:
    """Let a network learn while its weights are rounded; `settle` leaves them rounded.

    Args:
        network: changed in place.
        bits: of a code, for all weights or by name; from 2 to 16.
        per_channel: each output channel has a step of its own.

    Raises:
        ValueError: if the network has no such weight, or `bits` is out of range.
    """
    found = weights(network)
    chosen = bits if isinstance(bits, Mapping) else dict.fromkeys(found, bits)
    for name, n in chosen.items():
        constrain(network, name, Rounded(bits=n, axis=0 if per_channel else None))
