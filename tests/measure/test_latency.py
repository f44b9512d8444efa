import time

import numpy as np
import pytest
from scipy.stats import binom

from netwright.measure import latency, percentile


def test_inputs_are_cycled_after_the_warm_up():
    calls = []
    found = latency(calls.append, least=5, most=5, warm_up=3)
    assert calls == [0, 1, 2, 0, 1, 2, 3, 4]
    assert (len(found.seconds), found.warm_up) == (5, 3)


def test_timings_are_those_of_the_call():
    found = latency(lambda i: time.sleep(0.002), least=20, most=20, warm_up=0)
    assert found.p50.low >= 0.002  # the clock of sleep is the same; it never wakes early
    assert found.p50.unit == "s"


def test_time_is_boxed_but_the_least_is_kept():
    slow = latency(lambda i: time.sleep(0.001), least=10, most=2000, seconds=0.0, warm_up=0)
    assert len(slow.seconds) == 10
    quick = latency(lambda i: None, least=10, most=500, seconds=60.0)
    assert len(quick.seconds) == 500


@pytest.mark.parametrize(("least", "most"), [(0, 10), (11, 10)])
def test_impossible_counts_are_refused(least, most):
    with pytest.raises(ValueError, match=f"`least` must lie in 1..`most` = {most}.*got {least}"):
        latency(lambda i: None, least=least, most=most)


@pytest.mark.oracle
@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("n", [200, 731, 2000])
def test_coverage_by_enumeration(level, n):
    # Timings 1..n: the ends are their own ranks. The number of timings below the true percentile is
    # Binomial(n, level), and the percentile lies between order statistics r and s if r <= it < s.
    found = percentile(tuple(float(i) for i in range(1, n + 1)), level)
    low, high = int(found.low), int(found.high)
    assert binom.cdf(high - 1, n, level) - binom.cdf(low - 1, n, level) >= 0.95
    # Tight: one rank less on either side would break the tail's share.
    assert binom.cdf(low, n, level) > 0.025
    assert binom.sf(high - 2, n, level) > 0.025


@pytest.mark.oracle
def test_value_is_numpys_percentile(generator):
    times = np.random.default_rng(0).exponential(size=333)
    assert percentile(tuple(times), 0.95).value == np.percentile(times, 95)


def test_too_few_timings_for_the_tail_are_unresolved():
    found = percentile(tuple(float(i) for i in range(60)), 0.95)
    assert "60 timings are too few for a 95 % interval of this percentile" in found.unresolved
    assert not percentile(tuple(float(i) for i in range(200)), 0.95).unresolved


def test_errors_name_argument_and_value():
    with pytest.raises(ValueError, match="`seconds` must hold at least one timing"):
        percentile((), 0.5)
    with pytest.raises(ValueError, match="`level` must lie in \\(0, 1\\); got 95"):
        percentile((1.0,), 95)
