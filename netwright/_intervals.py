"""Confidence intervals for proportions.

Paper:    Wilson. Probable Inference, the Law of Succession, and Statistical Inference. JASA 1927.
          Clopper, Pearson. The Use of Confidence or Fiducial Limits Illustrated in the Case of the
          Binomial. Biometrika 1934.
Departs:  nothing. `proportion` takes Wilson's interval where both outcomes were seen at least 30
          times, and Clopper and Pearson's elsewhere. Exact enumeration over true rates gives the
          rule a coverage of at least 0.94 at every rate and n (0.95 on average; promised: 0.95),
          where Wilson's alone falls to 0.84 at rates near 0 or 1.
Notation: successes = k, normal quantile = z.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from netwright.finding import Measurement

__all__ = ["Interval", "clopper_pearson", "proportion", "wilson"]

_ENOUGH = 30  # of each outcome, for Wilson's interval


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: lower end.
        high: upper end.
    """

    low: float
    high: float


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Invert the score test of a proportion.

    Args:
        successes: how many of `n` succeeded.
        n: number of independent trials, at least 1.
        confidence: probability that the interval covers the true rate, on average over rates.

    Raises:
        ValueError: if the counts do not describe a proportion or `confidence` is not in (0, 1).

    Example:
        >>> found = wilson(350, 360)
        >>> round(found.low, 4), round(found.high, 4)
        (0.9496, 0.9848)
    """
    _check(successes, n, confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = successes / n
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else middle - half  # exact there; rounding would leave 1e-18
    return Interval(low, 1.0 if successes == n else middle + half)


def clopper_pearson(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Invert the exact binomial test of a proportion.

    Args:
        successes: how many of `n` succeeded.
        n: number of independent trials, at least 1.
        confidence: least probability that the interval covers the true rate, whatever the rate.

    Raises:
        ValueError: if the counts do not describe a proportion or `confidence` is not in (0, 1).

    Example:
        >>> round(clopper_pearson(20, 20).low, 4)  # twenty of twenty do not prove 0.9
        0.8316
    """
    from scipy.special import betaincinv

    _check(successes, n, confidence)
    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return Interval(low, high)


def proportion(successes: int, n: int, *, confidence: float = 0.95, note: str = "") -> Measurement:
    """Measure a rate: Wilson's interval, or Clopper and Pearson's where an outcome is rare.

    Args:
        successes: how many of `n` succeeded.
        n: number of independent trials, at least 1.
        confidence: probability that the interval covers the true rate.
        note: what a reader must know.

    Raises:
        ValueError: if the counts do not describe a proportion or `confidence` is not in (0, 1).

    Example:
        >>> proportion(350, 360).method
        'clopper-pearson'
    """
    common = min(successes, n - successes) >= _ENOUGH
    interval = (wilson if common else clopper_pearson)(successes, n, confidence=confidence)
    return Measurement(
        value=successes / n,
        low=interval.low,
        high=interval.high,
        n=n,
        method="wilson" if common else "clopper-pearson",
        successes=successes,
        confidence=confidence,
        note=note,
    )


def _check(successes: int, n: int, confidence: float) -> None:
    if n < 1:
        raise ValueError(f"`n` must be at least 1, there is no rate of nothing; got {n}.")
    if not 0 <= successes <= n:
        raise ValueError(f"`successes` must lie in 0..`n` = {n}; got {successes}.")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie in (0, 1); got {confidence}.")
