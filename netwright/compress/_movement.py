"""Keep the weights that training moves away from zero, whatever their size.

Paper:    Sanh, Wolf, Rush. Movement Pruning: Adaptive Sparsity by Fine-Tuning. NeurIPS 2020,
          arXiv:2005.07683, section 4, equations 2 and 3 (hard movement pruning, top v of each
          weight), and the cubic schedule of Zhu, Gupta, arXiv:1710.01878, equation 1.
Departs:  the share that is kept changes between trainings, not with every step.
Notation: scores = S, keep = v, mask = M.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.compress._magnitude import Kept, kept
from netwright.compress._weights import constrain, constraint, weights

__all__ = ["Moved", "cubic_shares", "prune_by_movement"]


class Moved(nn.Module):
    """A constraint: the weight where its scores are among the highest, which are learned too.

    Attributes:
        scores: what is gained by growing each element, summed over training; (shape of the weight).
        keep: share of the weight that is kept.
    """

    def __init__(self, weight: Float[Tensor, "*shape"]) -> None:
        """Start with nothing known and nothing pruned.

        Args:
            weight: as it is now.
        """
        super().__init__()
        self.scores = nn.Parameter(torch.zeros_like(weight))
        self.keep = 1.0

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with zeros.

        Args:
            weight: what is learned.
        """
        return _Scored.apply(weight, self.scores, self._mask())

    def _mask(self) -> Tensor:
        flat = self.scores.detach().reshape(-1)
        mask = torch.zeros_like(flat, dtype=torch.bool)
        mask[flat.topk(max(1, round(self.keep * len(flat)))).indices] = True
        return mask.reshape(self.scores.shape)


class _Scored(torch.autograd.Function):
    """Weights times mask; a score falls by the gradient times the weight (equation 2)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(weight, mask)
        return weight.masked_fill(~mask, 0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        weight, mask = ctx.saved_tensors
        return gradients[0].masked_fill(~mask, 0.0), gradients[0] * weight, None


def prune_by_movement(network: nn.Module, *, keep: float | Mapping[str, float]) -> Kept:
    """Keep the elements of each weight that training has moved away from zero most.

    The first call has nothing to go by: give it `keep=1.0`, then train, and let later calls keep
    less (`cubic_shares`).

    Args:
        network: changed in place: scores become parameters, which any optimiser then learns, best
            without weight decay. `settle` makes it plain again.
        keep: share of each weight that is kept, in (0, 1], for all or by name.

    Returns:
        What is left at present; what is pruned may come back while it learns.

    Raises:
        ValueError: if a share is outside (0, 1], or the network has no such weight.
    """
    found = weights(network)
    chosen = keep if isinstance(keep, Mapping) else dict.fromkeys(found, keep)
    for name, share in chosen.items():
        if not 0 < share <= 1:
            raise ValueError(f"`keep` is a share of the weights, in (0, 1]; got {share}.")
        held = constraint(network, name)
        if not isinstance(held, Moved):
            held = Moved(weights(network, least_axes=0)[name])
            constrain(network, name, held)
        held.keep = share
    return kept(network)


def cubic_shares(last: float, *, n_steps: int) -> tuple[float, ...]:
    """Return shares to keep that fall fast at first, then slowly.

    Args:
        last: of them, in (0, 1].
        n_steps: how many; the first is 1.

    Raises:
        ValueError: if `last` is outside (0, 1], or `n_steps` below 2.

    Example:
        >>> [round(share, 3) for share in cubic_shares(0.1, n_steps=4)]
        [1.0, 0.367, 0.133, 0.1]
    """
    if not 0 < last <= 1 or n_steps < 2:
        raise ValueError(
            f"`last` must lie in (0, 1] and `n_steps` be at least 2; got {last} and {n_steps}."
        )
    return tuple(last + (1 - last) * (1 - step / (n_steps - 1)) ** 3 for step in range(n_steps))
