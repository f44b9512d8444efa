import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.report._scale import fit_axis, tick_texts

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_axis_holds_the_data_and_ticks_are_one_two_or_five(values):
    axis = fit_axis(values, extend=True)
    slack = 1e-8 * (axis.high - axis.low)  # far below a pixel; rounding of ticks takes some
    assert axis.low <= min(values) + slack
    assert axis.high >= max(values) - slack
    assert 2 <= len(axis.ticks) <= 12
    assert len(set(tick_texts(axis))) == len(axis.ticks)
    step = axis.ticks[1] - axis.ticks[0]
    lead = step / 10 ** math.floor(math.log10(step) + 1e-9)
    if max(abs(v) for v in axis.ticks) < 1e6 * step:  # else the difference has lost its digits
        assert lead == pytest.approx(round(lead), rel=1e-6)
        assert round(lead) in (1, 2, 5, 10)


@given(st.lists(st.floats(min_value=1e-12, max_value=1e12), min_size=1, max_size=20))
def test_log_axis_holds_the_data_and_rises(values):
    axis = fit_axis(values, log=True)
    assert axis.low <= min(values)
    assert axis.high >= max(values) * (1 - 1e-12)
    assert len(axis.ticks) >= 1
    places = [axis.place(t, 0.0, 100.0) for t in axis.ticks]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((0.0, 1.0), ("0", "0.2", "0.4", "0.6", "0.8", "1.0")),
        ((0.93, 0.98), ("0.93", "0.94", "0.95", "0.96", "0.97", "0.98")),
        ((0.0, 9216.0), ("0", "2k", "4k", "6k", "8k", "10k")),
        ((0.0, 3.1e6), ("0", "1000k", "2000k", "3000k", "4000k")),
        ((-2.0, 2.0), ("−2", "−1", "0", "1", "2")),
    ],
)
def test_ticks_read_well(values, ticks):
    assert tick_texts(fit_axis(values, extend=True)) == ticks


def test_log_ticks_read_well():
    assert tick_texts(fit_axis((1e-5, 1.0), log=True)) == (
        "10⁻⁵",
        "10⁻⁴",
        "0.001",
        "0.01",
        "0.1",
        "1",
    )
    assert tick_texts(fit_axis((3.0, 200.0), log=True)) == ("5", "10", "20", "50", "100", "200")


def test_values_that_are_no_numbers_are_ignored():
    axis = fit_axis((math.nan, 1.0, 3.0, math.inf), extend=True)
    assert (axis.low, axis.high) == (1.0, 3.0)
    assert fit_axis((math.nan,)).low == 0.0
    assert fit_axis((-1.0, 0.0, 10.0, 1000.0), log=True).low == 10.0


def test_one_value_gets_room_on_both_sides():
    axis = fit_axis((5.0, 5.0))
    assert axis.low < 5.0 < axis.high


def test_padding_invents_no_impossible_share():
    axis = fit_axis((0.0, 1.0), pad=0.1)
    assert (axis.low, axis.high) == (0.0, 1.0)
