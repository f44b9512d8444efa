"""Interval of any smooth function of means, by resampling rows.

Paper:    Efron. Better Bootstrap Confidence Intervals. JASA 1987 (BCa, section 3);
          acceleration by the jackknife, Efron and Tibshirani, An Introduction to the Bootstrap,
          1993, equations 14.14 and 14.15.
Departs:  a resample on which the statistic is undefined (0/0) is left out; the bias correction is
          kept inside the range that the number of resamples can resolve.
Notation: means = the resampled distribution's means, bias = z0, acceleration = a.

Examples of few kinds are not drawn one by one: the counts of a resample are multinomial. Beyond
20,000 rows without kinds the means are drawn from their normal limit.

The statistic must be a function of column means, as accuracy, F1, log loss, RMSE and R2 are: then
all resamples are one matrix product of counts and rows.
"""

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.finding import Measurement
from netwright.measure._unresolved import unresolved

__all__ = ["bootstrap", "resampled_means"]

_FEWEST_ROWS = 10  # below, resampling knows too little of the distribution's tails
_LEAST, _MOST = 1000, 4000  # resamples, by default
_BLOCK = 4_000_000  # draws held in memory at once
_LONG = 20_000  # rows beyond which means are drawn from their limit
_DRAWS = 20_000_000  # of single rows, at most


def bootstrap(
    rows: Float[Tensor, "kinds features"],
    statistic: Callable[[Float[Tensor, "*batch features"]], Float[Tensor, "*batch"]],
    *,
    kind: Int[Tensor, "n"] | None = None,
    confidence: float = 0.95,
    n_resamples: int | None = None,
    generator: torch.Generator | None = None,
    unit: str = "",
    note: str = "",
) -> Measurement:
    """Measure `statistic` of the mean row, with a BCa bootstrap interval.

    The interval is right to second order; values that the sample does not contain (a rare, huge
    loss) are beyond it.

    Args:
        rows: one row of features an example, or one for each kind of example.
        statistic: maps mean rows to numbers, along the last axis; NaN where undefined.
        kind: which row of `rows` each example has; None if `rows` has one row an example.
        confidence: probability that the interval covers the truth.
        n_resamples: by default 4000, and as few as 1000 where single rows are drawn from many.
        generator: draws the resamples, on the device of `rows`; torch's global one if None.
        unit: as in `Measurement`.
        note: as in `Measurement`.

    Returns:
        The measurement; unresolved with fewer than 10 examples, or where the statistic is
        undefined.

    Cost: at most 20 million draws of a row by default, and as many multiply-accumulates a feature.

    Example:
        >>> losses = torch.linspace(0, 1, 101)[:, None]
        >>> seeded = torch.Generator().manual_seed(0)
        >>> found = bootstrap(losses, lambda mean: mean[..., 0], generator=seeded)
        >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
        (0.5, 0.44, 0.56)
    """
    rows = rows.double()  # sums of many small terms
    n = len(rows if kind is None else kind)
    ones = torch.ones(n, dtype=torch.double, device=rows.device)
    counts = ones if kind is None else torch.bincount(kind, minlength=len(rows)).double()
    mean = counts @ rows / n
    value = statistic(mean)
    if not value.isfinite():
        return unresolved(n, "The measure is undefined on these rows (0/0).", confidence, unit)
    if n < _FEWEST_ROWS:  # the number can rank, but nothing is known of its error
        reason = f"{n} rows are too few for a bootstrap interval."
        return dataclasses.replace(unresolved(n, reason, confidence, unit), value=value.item())
    again = statistic(
        resampled_means(rows, kind=kind, n_resamples=n_resamples, generator=generator)
    )
    again = again[again.isfinite()]
    if not len(again):
        return unresolved(n, "The measure is undefined on every resample.", confidence, unit)

    edge = 1 / (len(again) + 1)
    share_below = (again < value).double().mean() + (again == value).double().mean() / 2
    bias = torch.special.ndtri(share_below.clamp(edge, 1 - edge))
    without = statistic((n * mean - rows) / (n - 1))  # leave one of each kind out
    usable = without.isfinite() & (counts > 0)
    without, weights = without[usable], counts[usable]
    pull = (weights @ without) / weights.sum() - without
    spread = weights @ pull**2
    acceleration = (weights @ pull**3) / (6 * spread**1.5) if spread > 0 else torch.zeros(())

    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.double)
    shifted = bias + torch.special.ndtri(tails.to(rows.device))
    # The acceleration is at most 1/6, so the divisor stays positive for any usual confidence.
    levels = torch.special.ndtr(bias + shifted / (1 - acceleration * shifted))
    low, high = torch.quantile(again, levels).tolist()
    return Measurement(
        value=value.item(),
        low=min(low, value.item()),
        high=max(high, value.item()),
        n=n,
        unit=unit,
        method="bootstrap",
        confidence=confidence,
        note=note,
    )


def resampled_means(
    rows: Float[Tensor, "kinds features"],
    *,
    kind: Int[Tensor, "n"] | None = None,
    n_resamples: int | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "resamples features"]:
    """Draw examples with replacement and average them, many times.

    Args:
        rows: one row of features an example, or one for each kind of example.
        kind: which row of `rows` each example has; None if `rows` has one row an example.
        n_resamples: by default 4000, and as few as 1000 where single rows are drawn from many.
        generator: draws the resamples, on the device of `rows`; torch's global one if None.
    """
    n, kinds = len(rows if kind is None else kind), len(rows)
    if kind is not None and 10 * kinds < n:  # drawing kinds is quicker than drawing examples
        counts = torch.bincount(kind, minlength=kinds)
        return _multinomial(counts, n_resamples or _MOST, generator).to(rows.dtype) @ rows / n
    if n > _LONG and kind is None:
        return _normal_means(rows, n_resamples or _MOST, generator)
    if n_resamples is None:
        n_resamples = max(_LEAST, min(_MOST, _DRAWS // n))
    at_once = max(1, min(n_resamples, _BLOCK // max(n, kinds)))
    means = []
    for start in range(0, n_resamples, at_once):
        size = min(at_once, n_resamples - start)
        drawn = torch.randint(n, (size, n), generator=generator, device=rows.device)
        drawn = drawn if kind is None else kind[drawn]
        drawn += kinds * torch.arange(size, device=rows.device)[:, None]
        counts = torch.bincount(drawn.flatten(), minlength=size * kinds).view(size, kinds)
        means.append(counts.to(rows.dtype) @ rows / n)  # (size, features)
    return torch.cat(means)


def _normal_means(
    rows: Float[Tensor, "n features"], n_resamples: int, generator: torch.Generator | None
) -> Float[Tensor, "resamples features"]:
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows) ** 2)
    draws = torch.randn(
        n_resamples, len(values), generator=generator, dtype=rows.dtype, device=rows.device
    )
    return mean + (draws * values.clamp_min(0).sqrt()) @ vectors.T  # eigenvalues may round below 0


def _multinomial(
    counts: Int[Tensor, "kinds"], n_resamples: int, generator: torch.Generator | None
) -> Float[Tensor, "resamples kinds"]:
    """Draw counts of a resample, each kind given what the ones before it have left."""
    after = counts.sum() - counts.cumsum(0)
    share = counts / (counts + after).clamp_min(1)  # of what is left, (kinds,)
    left = torch.full((n_resamples,), float(counts.sum()), device=counts.device)
    drawn = []
    for p in share.tolist():
        drawn.append(torch.binomial(left, torch.full_like(left, p), generator=generator))
        left = left - drawn[-1]
    return torch.stack(drawn, 1)
