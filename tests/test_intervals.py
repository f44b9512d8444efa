import numpy as np
import pytest
from scipy.stats import binom, binomtest

from netwright.measure import clopper_pearson, proportion, wilson

CASES = [(0, 1), (1, 1), (0, 20), (20, 20), (3, 7), (350, 360), (359, 360), (9500, 10_000)]


@pytest.mark.oracle
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "n"), CASES)
@pytest.mark.parametrize(("ours", "theirs"), [(wilson, "wilson"), (clopper_pearson, "exact")])
def test_ends_match_scipy(ours, theirs, successes, n, confidence):
    found = ours(successes, n, confidence=confidence)
    truth = binomtest(successes, n).proportion_ci(confidence, method=theirs)
    # Two ways to the same closed form (Wilson) or incomplete beta function: rounding only.
    assert (found.low, found.high) == pytest.approx((truth.low, truth.high), abs=1e-10)


@pytest.mark.oracle
@pytest.mark.parametrize("n", [1, 5, 20, 60, 100, 360, 1000])
def test_coverage_over_all_rates_by_enumeration(n):
    found = [proportion(k, n) for k in range(n + 1)]
    low, high = np.array([(m.low, m.high) for m in found]).T
    rates = np.linspace(0.0005, 0.9995, 1000)[:, None]
    covered = (binom.pmf(np.arange(n + 1), n, rates) * ((low <= rates) & (rates <= high))).sum(1)
    assert covered.min() >= 0.94  # what the module's docstring states
    assert covered.mean() >= 0.95


@pytest.mark.oracle
def test_wilson_alone_would_break_the_promise():
    n = 360  # the planted fault that the test above must be able to see
    low, high = np.array([(w.low, w.high) for w in (wilson(k, n) for k in range(n + 1))]).T
    rates = np.linspace(0.0005, 0.9995, 1000)[:, None]
    covered = (binom.pmf(np.arange(n + 1), n, rates) * ((low <= rates) & (rates <= high))).sum(1)
    assert covered.min() < 0.94


@pytest.mark.parametrize(
    ("successes", "n", "method"),
    [
        (30, 60, "wilson"),
        (29, 60, "clopper-pearson"),
        (970, 1000, "wilson"),
        (971, 1000, "clopper-pearson"),
        (10, 20, "clopper-pearson"),
    ],
)
def test_wilson_needs_thirty_of_each_outcome(successes, n, method):
    found = proportion(successes, n, note="rows")
    assert (found.method, found.successes, found.n, found.note) == (method, successes, n, "rows")
    assert found.low <= found.value <= found.high


def test_the_ends_of_the_scale_are_exact():
    assert (proportion(0, 50).low, proportion(50, 50).high) == (0.0, 1.0)
    assert (wilson(0, 50).low, wilson(50, 50).high) == (0.0, 1.0)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, proportion])
@pytest.mark.parametrize(
    ("successes", "n", "confidence", "message"),
    [
        (0, 0, 0.95, "`n` must be at least 1.*got 0"),
        (5, 4, 0.95, "`successes` must lie in 0..`n` = 4; got 5"),
        (-1, 4, 0.95, "got -1"),
        (1, 4, 1.0, "`confidence` must lie in \\(0, 1\\); got 1.0"),
    ],
)
def test_errors_name_argument_and_value(interval, successes, n, confidence, message):
    with pytest.raises(ValueError, match=message):
        interval(successes, n, confidence=confidence)
