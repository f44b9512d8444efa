"""How many times as fast one thing is as another, called by turns.

What else the machine does falls on both alike, since each pair of calls follows on the heels of the
other; timings that were taken one after the other would compare two loads.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from netwright.finding import Measurement
from netwright.measure._latency import percentile

__all__ = ["SpeedUp", "speed_up"]

_WARM_UP = 10  # pairs that are not counted


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """Two callables, timed by turns.

    Attributes:
        ratio: median over the pairs of the first's seconds by the second's; above 1 the second is
            faster. Its interval assumes no distribution.
        first: median seconds of the first.
        second: median seconds of the second.
        seconds: of every pair: those of the first, and those of the second.
    """

    ratio: Measurement
    first: float
    second: float
    seconds: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())


def speed_up(
    first: Callable[[int], object], second: Callable[[int], object], *, n_pairs: int = 300
) -> SpeedUp:
    """Time two callables by turns; which one begins a pair changes from pair to pair.

    Args:
        first: called with 0, 1, 2, ...; both get the same number in a pair.
        second: likewise.
        n_pairs: pairs that are counted.

    Raises:
        ValueError: if `n_pairs` is not positive.

    Example:
        >>> found = speed_up(lambda i: sum(range(1000)), lambda i: sum(range(10)), n_pairs=20)
        >>> found.ratio.value > 1
        True
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for k in range(n_pairs + _WARM_UP):
        taken = [0.0, 0.0]
        for which in (0, 1) if k % 2 else (1, 0):
            call = (first, second)[which]
            before = time.perf_counter()
            call(k)
            taken[which] = time.perf_counter() - before
        if k >= _WARM_UP:
            seconds[0].append(taken[0])
            seconds[1].append(taken[1])
    pairs = tuple(a / b for a, b in zip(*seconds, strict=True))
    ratio = replace(percentile(pairs, 0.5), unit="", note="pairs of calls by turns")
    medians = statistics.median(seconds[0]), statistics.median(seconds[1])
    return SpeedUp(ratio, *medians, (tuple(seconds[0]), tuple(seconds[1])))
