import pytest

from netwright.claims._paired import mean_of, p_value, paired

OURS, THEIRS = [0.9, 0.92, 0.95, 0.91], [0.88, 0.93, 0.9, 0.9]


@pytest.mark.oracle
def test_interval_and_p_value_are_those_of_the_paired_t_test():
    from scipy.stats import ttest_rel

    peer = ttest_rel(OURS, THEIRS)
    gain = paired(OURS, THEIRS, unit="points")
    low, high = peer.confidence_interval(0.95)
    assert (gain.low, gain.high) == pytest.approx((low, high))
    assert (gain.n, gain.unit) == (4, "points")
    assert p_value(OURS, THEIRS) == pytest.approx(peer.pvalue)


def test_equal_differences_are_sure():
    assert p_value(OURS, OURS) == 1.0
    assert p_value([2.0, 3.0], [1.0, 2.0]) == 0.0
    same = mean_of([0.5, 0.5])
    assert (same.low, same.value, same.high) == (0.5, 0.5, 0.5)
