import math

import numpy as np
import pytest

from netwright.design.strategies import extrapolate

SHARES = (0.1, 0.2, 0.3, 0.4)


@pytest.mark.oracle
@pytest.mark.parametrize("power", [0.2, 0.5, 0.9])
def test_a_power_law_is_continued(power):
    errors = [0.1 * share**-power for share in SHARES]
    found = extrapolate(SHARES, errors)
    assert found.value == pytest.approx(0.1, rel=0.15)  # four points, and a prior of the slope
    assert found.low < 0.1 < found.high


@pytest.mark.oracle
def test_a_curve_that_levels_off_is_not_continued_downwards():
    shares = [k / 20 for k in range(1, 11)]
    flat = [0.2 + 0.5 * math.exp(-30 * share) for share in shares]
    found = extrapolate(shares, flat)
    assert 0.16 < found.value < 0.22


def test_more_of_the_curve_makes_surer():
    rng = np.random.default_rng(0)
    shares = np.linspace(0.05, 0.9, 18)
    errors = 0.1 * shares**-0.5 * np.exp(0.05 * rng.standard_normal(18))
    spans = []
    for n in (3, 8, 18):
        found = extrapolate(shares[:n].tolist(), errors[:n].tolist())
        spans.append(math.log(found.high / found.low))
    assert spans[0] > spans[1] > spans[2]


def test_the_chance_of_beating_a_threshold():
    errors = [0.1 * share**-0.5 for share in SHARES]
    sure = extrapolate(SHARES, errors, threshold=0.3).p_below
    hopeless = extrapolate(SHARES, errors, threshold=0.01).p_below
    median = extrapolate(SHARES, errors).value
    assert sure > 0.99 and hopeless < 0.02
    assert extrapolate(SHARES, errors, threshold=median).p_below == pytest.approx(0.5)
    assert math.isnan(extrapolate(SHARES, errors).p_below)


def test_no_error_at_all_is_no_accident():
    found = extrapolate(SHARES, [0.1, 0.01, 0.0, 0.0])
    assert 0 <= found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("shares", "errors", "arguments", "message"),
    [
        ([0.1], [0.5], {}, "two at least"),
        ([0.1, 0.2], [0.5], {}, "equally many"),
        ([0.2, 0.1], [0.5, 0.4], {}, "positive and rise"),
        ([0.1, 0.2], [0.5, math.nan], {}, "finite and not negative"),
        ([0.1, 0.2], [0.5, 0.4], {"confidence": 1.0}, "`confidence` is a probability"),
    ],
)
def test_what_is_no_curve_is_refused(shares, errors, arguments, message):
    with pytest.raises(ValueError, match=message):
        extrapolate(shares, errors, **arguments)
