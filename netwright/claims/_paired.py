"""Differences between two methods that share their seeds."""

import math
import statistics
from collections.abc import Sequence

from netwright.finding import Measurement

__all__ = ["mean_of", "paired", "p_value"]


def mean_of(values: Sequence[float], *, unit: str = "") -> Measurement:
    """Return the mean with its 95 % interval by Student's t.

    Args:
        values: independent of each other, two at least.
        unit: of the values.
    """
    from scipy.stats import t

    n, mean = len(values), statistics.mean(values)
    reach = float(t.ppf(0.975, n - 1)) * statistics.stdev(values) / math.sqrt(n)
    return Measurement(mean, mean - reach, mean + reach, n, unit, "t")


def paired(ours: Sequence[float], theirs: Sequence[float], *, unit: str = "") -> Measurement:
    """Return the mean of ours less theirs, seed by seed, with its 95 % interval.

    Args:
        ours: a value for each seed.
        theirs: the same, of the other method.
        unit: of the values.
    """
    return mean_of([a - b for a, b in zip(ours, theirs, strict=True)], unit=unit)


def p_value(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the probability of so large a difference by chance: two-sided paired t-test.

    Args:
        ours: a value for each seed.
        theirs: the same, of the other method.
    """
    from scipy.stats import ttest_rel

    differences = {a - b for a, b in zip(ours, theirs, strict=True)}
    if len(differences) == 1:  # the test divides by their spread
        return 1.0 if differences == {0.0} else 0.0
    return float(ttest_rel(ours, theirs).pvalue)
