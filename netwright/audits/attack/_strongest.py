"""Attack with two losses, one after the other, and keep whatever fools.

Paper:    Carlini et al. On Evaluating Adversarial Robustness. 2019, arXiv:1902.06705, section 5
          (several losses, per-example minimum over attacks); Croce, Hein. Reliable Evaluation of
          Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks. ICML 2020,
          arXiv:2003.01690 (the ensemble's worst case counts).
Departs:  the ensemble is PGD on the cross-entropy of logits brought to one scale, then PGD on the
          margin; no black-box attack.
Notation: none.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._ball import Ball
from netwright.audits.attack._outcome import Attacked, margin, scale_free_cross_entropy
from netwright.audits.attack._pgd import pgd

__all__ = ["strongest"]


def strongest(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    y: Int[Tensor, "batch"],
    *,
    ball: Ball,
    n_steps: int = 20,
    n_restarts: int = 1,
    low: float = 0.0,
    high: float = 1.0,
    levels: int | None = None,
    generator: torch.Generator | None = None,
) -> Attacked:
    """Attack by `pgd` on the cross-entropy, and what withstands that by `pgd` on the margin.

    Neither loss depends on how large the logits are, so that confidence alone, under which the
    gradient of the plain cross-entropy vanishes, does not look like robustness.

    Args:
        network: maps inputs to logits, each row on its own; a module must be in eval mode.
        x: inputs inside [`low`, `high`].
        y: their true classes.
        ball: where to search, in units of `x`.
        n_steps: gradient steps from each start.
        n_restarts: random starts for each loss.
        low: smallest valid coordinate.
        high: largest valid coordinate.
        levels: as in `pgd`.
        generator: draws the starts, on the device of `x`; torch's global one if None.

    Returns:
        The attacked inputs and which of them are misclassified.

    Raises:
        ValueError: as `pgd` does.

    Cost: at most that of two calls of `pgd`.

    Example:
        >>> from netwright.audits.attack import L2Ball
        >>> sure = lambda x: 1e6 * torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)
        >>> x, y = torch.tensor([[0.2, 0.2]]), torch.tensor([1])
        >>> seeded = torch.Generator().manual_seed(0)
        >>> strongest(sure, x, y, ball=L2Ball(0.1), generator=seeded).fooled.item()
        True
    """
    settings = {"ball": ball, "n_steps": n_steps, "n_restarts": n_restarts, "generator": generator}
    bounds = {"low": low, "high": high, "levels": levels}
    first = pgd(network, x, y, loss=scale_free_cross_entropy, **settings, **bounds)
    left = ~first.fooled
    if not left.any():
        return first
    second = pgd(network, x[left], y[left], loss=margin, **settings, **bounds)
    found, fooled = first.x.clone(), first.fooled.clone()
    found[left], fooled[left] = second.x, second.fooled
    return Attacked(x=found, fooled=fooled, n_gradients=first.n_gradients + second.n_gradients)
