"""Train on blends of two examples.

Paper:    Zhang, Cisse, Dauphin, Lopez-Paz. mixup: Beyond Empirical Risk Minimization. ICLR 2018,
          arXiv:1710.09412, equation 1 and figure 1a (one lambda a batch, partners by permutation).
Departs:  targets are not blended; the loss is, with the same weights, which gives the same
          gradient for cross-entropy and squared error and works for every kind of target.
Notation: alpha = alpha, weight = lambda, partner = the permutation.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Mixed", "mixup"]


@dataclass(frozen=True, slots=True)
class Mixed:
    """A blended batch.

    Attributes:
        x: `weight * x + (1 - weight) * x[partner]`.
        partner: the place in the batch of each example's partner.
        weight: share of the example itself, in [0, 1]; its loss is
            `weight * loss(y) + (1 - weight) * loss(y[partner])`.
    """

    x: Float[Tensor, "batch *input"]
    partner: Int[Tensor, "batch"]
    weight: float


def mixup(
    x: Float[Tensor, "batch *input"], *, alpha: float, generator: torch.Generator | None = None
) -> Mixed:
    """Blend each example with another of the batch.

    Args:
        x: inputs for which a blend has a meaning; not category codes.
        alpha: both parameters of the Beta distribution of `weight`, above 0.
        generator: source of weight and partners, on the CPU; torch's global one if None.

    Raises:
        ValueError: if `alpha` is not positive.
    """
    if not alpha > 0:
        raise ValueError(f"`alpha` of mixup must be positive; got {alpha}.")
    # torch's Beta draws from the global generator alone; numpy's takes a seed.
    seed = int(torch.randint(2**62, (), generator=generator))
    weight = float(np.random.default_rng(seed).beta(alpha, alpha))
    partner = torch.randperm(len(x), generator=generator).to(x.device)
    return Mixed(torch.lerp(x[partner], x, weight), partner, weight)
