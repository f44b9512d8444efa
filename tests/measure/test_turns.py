import pytest

from netwright.measure import speed_up


class Clock:
    """A clock that each call puts forward."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("netwright.measure._turns.time.perf_counter", lambda: self.now)

    def call(self, seconds):
        def run(k):
            self.now += seconds(k)

        return run


def test_the_ratio_is_the_median_over_pairs(monkeypatch):
    clock = Clock(monkeypatch)
    found = speed_up(clock.call(lambda k: 6.0), clock.call(lambda k: 2.0), n_pairs=40)
    assert (found.ratio.value, found.ratio.low, found.ratio.high, found.ratio.n) == (3, 3, 3, 40)
    assert (found.first, found.second, found.ratio.unit) == (6, 2, "")
    assert found.seconds == ((6.0,) * 40, (2.0,) * 40)


def test_a_load_that_falls_on_both_changes_nothing(monkeypatch):
    clock = Clock(monkeypatch)
    load = [1 + (k % 7) for k in range(100)]
    found = speed_up(
        clock.call(lambda k: 3.0 * load[k]), clock.call(lambda k: 2.0 * load[k]), n_pairs=90
    )
    assert found.ratio.value == found.ratio.low == 1.5


def test_both_begin_equally_often():
    order = []
    speed_up(lambda k: order.append((k, 0)), lambda k: order.append((k, 1)), n_pairs=2)
    assert order[:4] == [(0, 1), (0, 0), (1, 0), (1, 1)]


def test_no_pairs_are_refused():
    with pytest.raises(ValueError, match="at least one timing"):
        speed_up(lambda k: None, lambda k: None, n_pairs=0)
