from fractions import Fraction

import numpy as np
import pytest

from netwright.audits.verify import Constraint, Property, PropertyError, Query, Region, queries
from netwright.audits.verify._query import satisfied


def prop(*rows, low=(0,), high=(1,)):
    region = Region(tuple(map(Fraction, low)), tuple(map(Fraction, high)), (tuple(rows),))
    return Property(len(low), 1, (region,))


def row(coefficient, bound, *, x=0):
    inputs = ((0, Fraction(x)),) if x else ()
    return Constraint(inputs, ((0, Fraction(coefficient)),), Fraction(bound))


def test_a_row_is_never_above_the_true_one():
    for bound in (Fraction(1, 10), Fraction(-1, 3), Fraction(2**60 + 1)):
        (query,) = queries(prop(row(1, bound)))
        assert Fraction(query.offset[0]) <= -bound  # y - bound


def test_coefficients_that_float64_cannot_hold_are_scaled():
    (query,) = queries(prop(row(Fraction(1, 10), Fraction(1, 3), x=Fraction(1, 7))))
    scale = Fraction(query.outputs[0, 0]) / Fraction(1, 10)
    assert scale > 0 and Fraction(query.inputs[0, 0]) == scale * Fraction(1, 7)
    assert Fraction(query.offset[0]) <= -scale / 3


@pytest.mark.parametrize("bad", [row(Fraction(1, 3) + Fraction(1, 2**200), 0), row(1, 10**400)])
def test_numbers_beyond_float64_are_refused(bad):
    with pytest.raises(PropertyError, match="float64"):
        queries(prop(bad))


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        ([0.0], [np.inf], "finite"),
        ([np.nan], [1.0], "finite"),
        ([1.0], [0.0], "empty: input 0 has low 1.0 above high 0.0"),
    ],
)
def test_boxes_that_are_none_are_refused(low, high, says):
    one = np.ones((1, 1))
    with pytest.raises(ValueError, match=says):
        Query(np.array(low), np.array(high), one, one, np.zeros(1), one > 0)


def test_points_are_judged_in_exact_arithmetic():
    tenth = prop(row(1, Fraction(1, 10)))  # y <= 1/10, and 0.1 is a little more
    assert not satisfied(tenth, [0.5], [0.1])
    assert satisfied(tenth, [0.5], [float(np.nextafter(0.1, 0))])
    assert not satisfied(tenth, [np.nextafter(1.0, 2)], [0.0])  # outside of the box
    assert not satisfied(tenth, [0.5], [float("nan")])
    assert not satisfied(tenth, [0.5], [float("-inf")])
