"""How long one call takes: a distribution, with intervals for its percentiles.

Paper:    Le Boudec. Performance Evaluation of Computer and Communication Systems, 2010, section 2.2
          (confidence intervals for quantiles from order statistics; no distribution assumed).
Departs:  timings of one process follow each other, so they are independent only approximately; the
          interval says nothing about other machines or other loads.
Notation: percentile = p, number of timings = n.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from netwright.finding import Measurement

__all__ = ["Latency", "latency", "percentile"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Timings of one callable.

    Attributes:
        seconds: one timing a call, in the order they were taken.
        warm_up: calls made before, and not counted.
    """

    seconds: tuple[float, ...]
    warm_up: int

    @property
    def p50(self) -> Measurement:
        """Median, with its interval, in seconds."""
        return percentile(self.seconds, 0.50)

    @property
    def p95(self) -> Measurement:
        """95th percentile, with its interval, in seconds."""
        return percentile(self.seconds, 0.95)


def latency(
    run: Callable[[int], object],
    *,
    least: int = 200,
    most: int = 2000,
    seconds: float = 2.0,
    warm_up: int = 20,
) -> Latency:
    """Time calls, one after the other, with a monotonic clock of nanoseconds.

    Args:
        run: called with 0, 1, 2, ...; chooses its input by that number, so that inputs are cycled.
        least: timings taken even when time is up.
        most: timings after which to stop.
        seconds: stop after this time, once `least` timings are taken; warm-up not counted.
        warm_up: calls before the first timing.

    Raises:
        ValueError: if `least` is not in 1..`most`.

    Cost: at most max(`seconds`, `least` calls), plus the warm-up.

    Example:
        >>> latency(lambda i: sum(range(100)), least=10, most=10).p50.n
        10
    """
    if not 1 <= least <= most:
        raise ValueError(f"`least` must lie in 1..`most` = {most} timings; got {least}.")
    for i in range(warm_up):
        run(i)
    times: list[int] = []
    clock = time.perf_counter_ns
    end = clock() + int(seconds * 1e9)
    while len(times) < most and (len(times) < least or clock() < end):
        i = len(times)
        before = clock()
        run(i)
        times.append(clock() - before)
    return Latency(tuple(t * 1e-9 for t in times), warm_up)


def percentile(
    seconds: tuple[float, ...], level: float, *, confidence: float = 0.95
) -> Measurement:
    """Measure a percentile of timings, with a distribution-free interval.

    The interval's ends are two of the timings; their ranks bound a Binomial(n, `level`) count.

    Args:
        seconds: the timings.
        level: 0.95 for the 95th percentile.
        confidence: least probability that the interval covers the true percentile.

    Raises:
        ValueError: if there are no timings or `level` is not in (0, 1).

    Example:
        >>> found = percentile(tuple(range(1, 101)), 0.5)
        >>> found.value, found.low, found.high
        (50.5, 40.0, 61.0)
    """
    from scipy.special import bdtr

    if not seconds:
        raise ValueError("`seconds` must hold at least one timing; got none.")
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie in (0, 1); got {level}.")
    ordered = np.sort(np.asarray(seconds, dtype=float))
    n, tail = len(ordered), (1 - confidence) / 2
    below = bdtr(np.arange(n), n, level)  # P(count <= k), k = 0..n-1
    # The truth lies under order statistic r (from 1) with probability P(count <= r - 1) at most.
    low_rank = int(
        np.searchsorted(below, tail, side="right")
    )  # largest r with P(count < r) <= tail
    high_rank = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    reaches = low_rank >= 1 and high_rank <= n
    return Measurement(
        value=float(np.quantile(ordered, level)),
        low=float(ordered[low_rank - 1]) if low_rank >= 1 else 0.0,
        high=float(ordered[high_rank - 1]) if high_rank <= n else float(ordered[-1]),
        n=n,
        unit="s",
        method="order statistics",
        confidence=confidence,
        unresolved=""
        if reaches
        else f"{n} timings are too few for a {100 * confidence:.0f} % interval of this percentile.",
    )
