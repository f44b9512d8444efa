"""Train with rounded weights whose step is learned with them.

Paper:    Esser, McKinstry, Bablani, Appuswamy, Modha. Learned Step Size Quantization. ICLR 2020,
          arXiv:1902.08153. Equations 1 to 3 (rounding and its gradients), section 2.2 (gradient
          scale), section 2.1 (first step 2 <|v|> / sqrt(Q_P)).
Departs:  weights alone; a step for each weight tensor, held above a tiny positive number.
Notation: step = s, most = Q_P, least = -Q_N, weight = v.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netwright.compress._weights import constrain, weights

__all__ = ["LearnedStep", "learn_steps"]

_SMALLEST = 1e-12


class LearnedStep(nn.Module):
    """A constraint: the weight in whole multiples of a step that is learned too.

    Attributes:
        step: in units of the weight.
    """

    def __init__(self, weight: Tensor, *, bits: int) -> None:
        """Choose the first step by the size of the weights.

        Args:
            weight: as it is now.
            bits: of a code.
        """
        super().__init__()
        self.least, self.most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        first = 2 * weight.detach().abs().mean() / math.sqrt(self.most)
        self.step = nn.Parameter(first.clamp(min=_SMALLEST))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the rounded weight.

        Args:
            weight: in full precision.
        """
        return _Steps.apply(weight, self.step, self.least, self.most)


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, step: Tensor, least: int, most: int) -> Tensor:
        scaled = weight / step.clamp(min=_SMALLEST)
        ctx.save_for_backward(scaled)
        ctx.least, ctx.most = least, most
        return scaled.clamp(least, most).round() * step + 0.0  # no -0.0, another value to a file

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (scaled,), (gradient,) = ctx.saved_tensors, gradients
        inside = (scaled > ctx.least) & (scaled < ctx.most)
        by_step = torch.where(inside, scaled.round() - scaled, scaled.clamp(ctx.least, ctx.most))
        scale = 1 / math.sqrt(scaled.numel() * ctx.most)  # section 2.2
        return gradient * inside, (gradient * by_step).sum() * scale, None, None


def learn_steps(network: nn.Module, bits: int | Mapping[str, int]) -> None:
    """Let a network learn weights of few bits, and how far apart their values stand.

    Args:
        network: changed in place; `settle` leaves the rounded weights. Make the optimiser after
            this call, so that it knows the steps.
        bits: of a code, for all weights or by name; from 2 to 16.

    Raises:
        ValueError: if the network has no such weight, or `bits` is out of range.
    """
    found = weights(network)
    chosen = bits if isinstance(bits, Mapping) else dict.fromkeys(found, bits)
    for name, n in chosen.items():
        if not 2 <= n <= 16:
            raise ValueError(f"`bits` must lie in 2..16; got {n} for `{name}`.")
        known = weights(network, least_axes=0)
        constrain(network, name, LearnedStep(known.get(name, torch.ones(1)), bits=n))
