"""Train with weights of two or three values: the sign times a scale, or zero besides.

Paper:    Courbariaux, Bengio, David. BinaryConnect. NeurIPS 2015, arXiv:1511.00363. Section 2.2
          (sign), 2.4 (clipped full-precision weights). Rastegari, Ordonez, Redmon, Farhadi.
          XNOR-Net. ECCV 2016, arXiv:1603.05279. Equation 6: the scale alpha = mean |W| that is
          nearest to W. Li, Zhang, Liu. Ternary Weight Networks. 2016, arXiv:1605.04711. Equations
          5 and 6: threshold 0.7 mean |W|, scale the mean of what lies above it.
Departs:  a scale for each output channel; without the scale a weight is +-1, as in BinaryConnect,
          whose clipping is done by letting no gradient pass beyond +-1.
Notation: scale = alpha, threshold = Delta, weight = W.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from netwright.compress._straight_through import straight_through
from netwright.compress._weights import constrain, weights

__all__ = ["Signs", "Ternary", "binarise", "ternarise"]

_THRESHOLD = 0.7


class Signs(nn.Module):
    """A constraint: the sign of each weight, times its channel's mean size, or times one."""

    def __init__(self, *, scaled: bool) -> None:
        """Hold a weight to two values.

        Args:
            scaled: times the mean size of the channel's weights (XNOR-Net), not 1 (BinaryConnect).
        """
        super().__init__()
        self.scaled = scaled

    def forward(self, weight: Tensor) -> Tensor:
        """Return two values a channel.

        Args:
            weight: in full precision; its gradient is that of the signs, within [-1, 1].
        """
        signs = torch.where(weight >= 0, 1.0, -1.0).to(weight.dtype)
        signs = straight_through(weight.clamp(-1, 1), signs)  # no gradient beyond
        return signs * _mean(weight.detach().abs()) if self.scaled else signs


class Ternary(nn.Module):
    """A constraint: each weight is plus or minus its channel's scale, or zero."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return three values a channel.

        Args:
            weight: in full precision; gradients pass straight through.
        """
        size = weight.detach().abs()
        large = size > _THRESHOLD * _mean(size)
        others = tuple(range(1, size.ndim))
        count = large.sum(others, keepdim=True).clamp(min=1)
        scale = (size * large).sum(others, keepdim=True) / count
        return straight_through(weight, weight.detach().sign() * large * scale)


def binarise(network: nn.Module, names: Sequence[str] = (), *, scaled: bool = True) -> None:
    """Let a network learn weights of two values; `settle` leaves those.

    Args:
        network: changed in place.
        names: of weights; all weights of two axes or more if empty. First and last layers suffer
            most, and are left out by custom.
        scaled: times a scale for each output channel, as in XNOR-Net; else plus or minus one, which
            needs a normalisation to follow.

    Raises:
        ValueError: if the network has no such weight.
    """
    for name in names or weights(network):
        constrain(network, name, Signs(scaled=scaled))


def ternarise(network: nn.Module, names: Sequence[str] = ()) -> None:
    """Let a network learn weights of three values; `settle` leaves those.

    Args:
        network: changed in place.
        names: of weights; all weights of two axes or more if empty.

    Raises:
        ValueError: if the network has no such weight.
    """
    for name in names or weights(network):
        constrain(network, name, Ternary())


def _mean(size: Tensor) -> Tensor:
    return size.mean(tuple(range(1, size.ndim)), keepdim=True)
