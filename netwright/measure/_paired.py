"""What a change costs: the difference of two rates that were measured on the same rows.

Paper:    Agresti, Min. Simple improved confidence intervals for comparing matched proportions.
          Statistics in Medicine 24(5), 2005: half a row is added to each of the four cells of the
          table of both outcomes, then the interval of the normal approximation is taken.
Departs:  nothing.
Notation: lost = n12, won = n21, rows = n.
"""

import math

from jaxtyping import Bool
from torch import Tensor

from netwright.finding import Measurement

__all__ = ["rate_drop"]


def rate_drop(
    before: Bool[Tensor, "n"], after: Bool[Tensor, "n"], *, confidence: float = 0.95
) -> Measurement:
    """Measure by how much the share of right rows fell, with an interval for matched rows.

    Rows that both get right, or both get wrong, say little about the difference, and do not widen
    the interval.

    Args:
        before: whether each row was right before the change.
        after: whether the same row is right after it.
        confidence: probability that the interval covers the true drop.

    Returns:
        The drop as a fraction of one; negative where the share rose.

    Raises:
        ValueError: if there are no rows.

    Example:
        >>> import torch
        >>> old, new = torch.ones(100, dtype=torch.bool), torch.arange(100) >= 2
        >>> round(rate_drop(old, new).value, 3), round(rate_drop(old, new).high, 3)
        (0.02, 0.053)
    """
    from scipy.stats import norm

    n = len(before)
    if n == 0:
        raise ValueError("`before` must hold at least one row; got none.")
    lost = int((before & ~after).sum())
    won = int((after & ~before).sum())
    total = n + 2.0
    middle = (lost - won) / total
    spread = math.sqrt(((lost + won + 1) / total - middle**2) / total)
    reach = float(norm.ppf(0.5 + confidence / 2)) * spread
    return Measurement(
        value=(lost - won) / n,
        low=max(-1.0, middle - reach),
        high=min(1.0, middle + reach),
        n=n,
        method="agresti-min",
        confidence=confidence,
        note=f"{lost:,} rows lost, {won:,} won",
    )
