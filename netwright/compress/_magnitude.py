"""Prune the smallest weights, at once or step by step with training in between.

Paper:    Han, Pool, Tran, Dally. Learning both Weights and Connections for Efficient Neural
          Networks. NeurIPS 2015, arXiv:1506.02626. Section 3: train, prune, train what is left from
          where it stands, repeat (section 3.4); threshold as a multiple of a layer's standard
          deviation (section 4).
Departs:  shares to keep may be given in place of thresholds; dropout is not adjusted (section 3.2).
Notation: strength = the quality parameter that multiplies the standard deviation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from netwright.compress._weights import constrain, constraint, weights

__all__ = [
    "Kept",
    "Masked",
    "iterate",
    "kept",
    "prune",
    "prune_by_deviation",
    "prune_global",
    "prune_layers",
]


class Masked(nn.Module):
    """A constraint: the weight where the mask is true, zero elsewhere, without gradient there."""

    mask: Tensor

    def __init__(self, mask: Bool[Tensor, "*shape"]) -> None:
        """Hold a weight by a mask.

        Args:
            mask: true where the weight is kept.
        """
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with zeros.

        Args:
            weight: what is learned.
        """
        return torch.where(self.mask, weight, 0.0)  # keeps the layout, channels last or not


@dataclass(frozen=True, slots=True)
class Kept:
    """How much of a network's weights is left.

    Attributes:
        layers: for each weight, how many of its elements are not zero, and how many there are.
    """

    layers: Mapping[str, tuple[int, int]]

    @property
    def count(self) -> int:
        """Elements that are not zero, over all layers."""
        return sum(n for n, _ in self.layers.values())

    @property
    def total(self) -> int:
        """Elements, over all layers."""
        return sum(n for _, n in self.layers.values())

    @property
    def share(self) -> float:
        """The share that is not zero, in [0, 1]."""
        return self.count / self.total if self.total else 1.0


def kept(network: nn.Module) -> Kept:
    """Count what is left of a network's weights (parameters of two axes or more).

    Args:
        network: pruned or not.
    """
    found = weights(network)
    return Kept({name: (int(w.count_nonzero()), w.numel()) for name, w in found.items()})


def prune(network: nn.Module, masks: Mapping[str, Bool[Tensor, "*shape"]]) -> Kept:
    """Set weights to zero and keep them there while the network goes on learning.

    Args:
        network: changed in place; `settle` makes it plain again.
        masks: for each weight to prune, true where it is kept. What an earlier mask took away stays
            away.

    Returns:
        What is left.

    Raises:
        ValueError: if the network has no such weight, or a mask has another shape.
    """
    for name, mask in masks.items():
        held = constraint(network, name)
        old = held.mask if isinstance(held, Masked) else torch.ones_like(mask)
        if mask.shape != weights(network, least_axes=0)[name].shape:
            raise ValueError(f"`masks` holds {tuple(mask.shape)} for `{name}`, another shape.")
        if isinstance(held, Masked):
            held.mask = mask & old
        else:
            constrain(network, name, Masked(mask))
    return kept(network)


def prune_global(network: nn.Module, *, keep: float) -> Kept:
    """Keep the largest weights of all layers together.

    Args:
        network: changed in place.
        keep: share of all weights that is kept, in (0, 1].

    Returns:
        What is left.

    Raises:
        ValueError: if `keep` is outside (0, 1].

    Example:
        >>> small = nn.Linear(4, 1)
        >>> _ = small.weight.data.copy_(torch.tensor([[3.0, -4.0, 1.0, 2.0]]))
        >>> prune_global(small, keep=0.5).count, small.weight.tolist()
        (2, [[3.0, -4.0, 0.0, 0.0]])
    """
    _check_share(keep)
    found = weights(network)
    sizes = torch.cat([w.abs().reshape(-1) for w in found.values()])
    chosen = _largest(sizes, keep)
    parts = chosen.split([w.numel() for w in found.values()])
    return prune(
        network,
        {n: part.reshape(w.shape) for (n, w), part in zip(found.items(), parts, strict=True)},
    )


def prune_layers(network: nn.Module, keep: Mapping[str, float]) -> Kept:
    """Keep the largest weights of each layer.

    Args:
        network: changed in place.
        keep: for each weight to prune, the share of it that is kept, in (0, 1].

    Returns:
        What is left, of all weights.

    Raises:
        ValueError: if a share is outside (0, 1], or the network has no such weight.
    """
    found = weights(network, least_axes=0)
    for name, share in keep.items():
        _check_share(share)
        constraint(network, name)  # refuses names that are unknown
    return prune(
        network,
        {
            name: _largest(found[name].abs().reshape(-1), share).reshape(found[name].shape)
            for name, share in keep.items()
        },
    )


def prune_by_deviation(network: nn.Module, *, strength: float | Mapping[str, float]) -> Kept:
    """Prune what is smaller than a multiple of its layer's standard deviation.

    Args:
        network: changed in place.
        strength: the multiple, for all weights or by name; what was pruned before counts neither
            for the deviation nor again.

    Returns:
        What is left.

    Raises:
        ValueError: if the network has no such weight.
    """
    found = weights(network)
    chosen = strength if isinstance(strength, Mapping) else dict.fromkeys(found, strength)
    masks = {}
    for name, multiple in chosen.items():
        constraint(network, name)
        weight = weights(network, least_axes=0)[name]
        masks[name] = weight.abs() > multiple * weight[weight != 0].std(correction=0)
    return prune(network, masks)


def iterate(
    network: nn.Module,
    steps: Sequence[Callable[[nn.Module], Kept]],
    retrain: Callable[[nn.Module], object],
) -> tuple[Kept, ...]:
    """Prune step by step, and train after each step.

    Args:
        network: changed in place.
        steps: each prunes further, for example `partial(prune_global, keep=0.5)`.
        retrain: trains the network in place; what is pruned stays zero.

    Returns:
        What was left after each step.
    """
    history = []
    for step in steps:
        history.append(step(network))
        retrain(network)
    return tuple(history)


def _largest(sizes: Tensor, keep: float) -> Tensor:
    n = max(1, round(keep * len(sizes)))
    chosen = torch.zeros(len(sizes), dtype=torch.bool, device=sizes.device)
    chosen[sizes.topk(n).indices] = True
    return chosen


def _check_share(keep: float) -> None:
    if not 0 < keep <= 1:
        raise ValueError(f"`keep` is a share of the weights, in (0, 1]; got {keep}.")
