import pytest

from netwright.learn import _limits
from netwright.learn._limits import StepLimit, TimeLimit, limit_for


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(_limits, "time", found)
    return found


def test_steps_run_from_zero_to_one():
    limit = StepLimit(4)
    assert [limit.progress(step) for step in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_time_kept_back_counts_as_spent(clock):
    limit = TimeLimit(10.0, started=100.0)
    limit.reserved = 2.0
    clock.now = 104.0
    assert limit.progress(0) == 0.5
    clock.now = 108.0
    assert limit.progress(0) == 1.0
    limit.reserved = 10.0  # nothing is left for steps
    assert limit.progress(0) == 1.0


def test_steps_that_are_never_exceeded_end_either_kind(clock):
    limit = limit_for(steps=None, seconds=10.0, started=100.0, most_steps=4)
    clock.now = 101.0
    assert [limit.progress(step) for step in (0, 1, 4)] == [0.1, 0.25, 1.0]
    clock.now = 105.0
    assert limit.progress(1) == 0.5  # the clock is ahead
    assert limit_for(steps=8, seconds=None, started=0.0, most_steps=4).progress(4) == 1.0
    assert limit_for(steps=8, seconds=None, started=0.0, most_steps=9).progress(4) == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": None, "seconds": None}, "exactly one of `steps` and `seconds`"),
        ({"steps": 1, "seconds": 1.0}, "exactly one of `steps` and `seconds`"),
        ({"steps": 0, "seconds": None}, "`steps` must be at least 1; got 0"),
        ({"steps": None, "seconds": 0.0}, "`seconds` must be a positive number of seconds"),
        ({"steps": None, "seconds": float("inf")}, "`seconds` must be a positive number"),
        ({"steps": None, "seconds": float("nan")}, "`seconds` must be a positive number"),
    ],
)
def test_contradictions_are_errors(given, message):
    with pytest.raises(ValueError, match=message):
        limit_for(started=0.0, **given)
