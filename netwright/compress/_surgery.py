"""Prune weights, and let those come back that turn out to matter.

Paper:    Guo, Yao, Chen. Dynamic Network Surgery for Efficient DNNs. NeurIPS 2016,
          arXiv:1608.04493, section 3.2, equations 2 and 3; section 3.4 (thresholds).
Departs:  masks are looked at again between trainings, as often as one likes, not at random steps
          that become rarer; the thresholds stay those of the weights at the first look.
Notation: mask = T_k, threshold = mean + strength * standard deviation of absolute weights = mu + c
          sigma; slack = what separates a_k and b_k from it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from netwright.compress._magnitude import Kept, kept
from netwright.compress._weights import constrain, constraint, weights

__all__ = ["Rehabilitated", "prune_with_rehabilitation"]


class Rehabilitated(nn.Module):
    """A constraint: zero where the mask is false, while what is masked goes on learning."""

    mask: Tensor
    threshold: Tensor

    def __init__(self, weight: Float[Tensor, "*shape"], *, strength: float) -> None:
        """Take the threshold from a weight; nothing is pruned yet.

        Args:
            weight: as it is now.
            strength: multiple of the standard deviation that is added to the mean.
        """
        super().__init__()
        sizes = weight.detach().abs()
        threshold = (sizes.mean() + strength * sizes.std(correction=0)).clamp(min=0)
        self.register_buffer("threshold", threshold)
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with zeros.

        Args:
            weight: what is learned, pruned or not.
        """
        return _Through.apply(weight, self.mask)

    def look(self, weight: Float[Tensor, "*shape"], *, slack: float) -> None:
        """Prune what has become small, and take back what has grown.

        Args:
            weight: what is learned, pruned or not.
            slack: half the width of the band around the threshold in which nothing changes, as a
                share of it.
        """
        sizes = weight.detach().abs()
        small = sizes < (1 - slack) * self.threshold
        large = sizes >= (1 + slack) * self.threshold
        self.mask = (self.mask & ~small) | large


class _Through(torch.autograd.Function):
    """A masked weight whose gradient also reaches what is masked (equation 2)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, mask: Tensor) -> Tensor:
        return weight.masked_fill(~mask, 0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def prune_with_rehabilitation(
    network: nn.Module, *, strength: float | Mapping[str, float], slack: float = 0.1
) -> Kept:
    """Prune small weights for now; call it again after some training, and again.

    Args:
        network: changed in place; `settle` makes it plain again, and what is pruned then is gone.
        strength: multiple of the standard deviation of a layer's absolute weights that is added to
            their mean, for all weights or by name. The first call decides; later ones keep the
            threshold.
        slack: half the width of the band around the threshold in which nothing changes, as a share
            of it, in [0, 1).

    Returns:
        What is left at present.

    Raises:
        ValueError: if `slack` is outside [0, 1), or the network has no such weight.

    Example:
        >>> small = nn.Linear(4, 1)
        >>> _ = small.weight.data.copy_(torch.tensor([[3.0, -4.0, 0.1, 0.2]]))
        >>> prune_with_rehabilitation(small, strength=0.0).count
        2
    """
    if not 0 <= slack < 1:
        raise ValueError(f"`slack` is a share of the threshold, in [0, 1); got {slack}.")
    found = weights(network)
    chosen = strength if isinstance(strength, Mapping) else dict.fromkeys(found, strength)
    for name, multiple in chosen.items():
        held = constraint(network, name)
        if not isinstance(held, Rehabilitated):
            held = Rehabilitated(weights(network, least_axes=0)[name], strength=multiple)
            constrain(network, name, held)
        path, _, attribute = name.rpartition(".")
        module = network.get_submodule(path)
        assert parametrize.is_parametrized(module, attribute)
        held.look(module.parametrizations[attribute].original, slack=slack)  # type: ignore[index]
    return kept(network)
