"""The exam: whatever happens, nothing false is called proved.

Every case plants an input that violates the property (or numbers that nobody can prove about), so
"unsat" is wrong. Some are found, some stay undecided; both are right answers.
"""

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.audits.verify import (
    AffineReLU,
    Constraint,
    Property,
    Region,
    decide,
    falsify,
    search,
    verify,
)

from .conftest import least_maximum, make_network, make_query, spikes
from .test_layerwise import exactly

ONE = Fraction(1)


def outcomes(network, query, seconds=5.0):
    """What every engine says of a query that is violated; none may say unsat."""
    found = []
    for split in (0, 12, 100):
        end = time.perf_counter() + seconds
        (made,) = search(network, [query], deadline=end, split_neurons=split)
        found.append(made.outcome)
    found.append(decide(network, query, deadline=time.perf_counter() + seconds).outcome)
    return found


@pytest.mark.parametrize("half_width", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("place", [(0.3,), (0.123, -0.7), (0.999, 0.5, -0.111)])
def test_peaks_that_attacks_miss(place, half_width):
    """y = 0 but for a narrow peak of height 1: -y <= -0.5 only there."""
    network = spikes(place, half_width, 1.0)
    n = len(place)
    query = make_query([-1] * n, [1] * n, [[-1.0]], [0.5])
    assert query.violated(query.rows(np.array([place]), network(np.array([place]))))[0]
    if half_width < 1e-3 and (n > 1 or half_width < 1e-5):
        assert falsify(network, query, n_points=20_000) is None  # the attack does miss it
    found = outcomes(network, query)
    assert "unsat" not in found
    if n < 3:
        assert "sat" in found  # the search leads to it


def test_peaks_in_many_inputs():
    place = np.linspace(-0.9, 0.9, 24)
    network = spikes(place, 1e-3, 1.0)
    query = make_query([-1] * 24, [1] * 24, [[-1.0]], [0.5])
    end = time.perf_counter() + 3.0
    assert decide(network, query, deadline=end).outcome != "unsat"


@pytest.mark.oracle
@pytest.mark.parametrize("block", range(3))
@pytest.mark.parametrize("gap", [1e-6, 1e-9, 0.0])
def test_violations_by_a_hair(block, gap):
    """The bound is the true least output plus almost nothing."""
    for seed in range(4 * block, 4 * block + 4):
        draw = np.random.default_rng(seed)
        network = make_network(draw, [2, 3, 3, 1])
        query = make_query([-1, -1], [1, 1], [[1.0]], [0.0])
        least, point = exactly(network, query)
        query = make_query([-1, -1], [1, 1], [[1.0]], [-(least + gap)])
        assert "unsat" not in outcomes(network, query, seconds=1.0)
        assert point is not None


BAD = [np.nan, np.inf, -np.inf, 1e200, -1e308]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("part", ["weight", "bias"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow is what is tried
def test_numbers_that_are_none_or_huge(draw, bad, layer, part):
    """y <= 1e300 holds, if anything does, somewhere; the network itself may overflow."""
    made = make_network(draw, [2, 4, 1])
    weights, biases = [w.copy() for w in made.weights], [b.copy() for b in made.biases]
    (weights if part == "weight" else biases)[layer].flat[0] = bad
    network = AffineReLU(tuple(weights), tuple(biases))
    for sign in (1.0, -1.0):
        query = make_query([-1, -1], [1, 1], [[sign]], [-1.0])
        (made,) = search(network, [query])
        assert made.outcome in ("unknown", "sat")
        assert decide(network, query).outcome in ("unknown", "sat")


@pytest.mark.oracle
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1e-12, 1.0, 1e12, 1e25]))
def test_weights_of_any_size(seed, scale):
    """At a point the truth is known exactly: a bound at or above it is never called excluded."""
    draw = np.random.default_rng(seed)
    made = make_network(draw, [2, 4, 4, 1])
    network = AffineReLU(tuple(scale * w for w in made.weights), made.biases)
    x = np.round(draw.normal(size=2), 3)
    r = [Fraction(v) for v in x]
    for k, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        r = [
            sum((Fraction(w) * v for w, v in zip(row, r, strict=True)), Fraction(b))
            for row, b in zip(weight, bias, strict=True)
        ]
        r = r if k == 2 else [max(v, Fraction(0)) for v in r]
    for low, high in ((x, x), (x - 1e-9, x + 1e-9)):
        row = Constraint((), ((0, ONE),), r[0])
        box = tuple(map(Fraction, low)), tuple(map(Fraction, high))
        prop = Property(2, 1, (Region(*box, ((row,),)),))
        assert verify(network, prop, timeout=0.5).outcome != "unsat"


@pytest.mark.parametrize("axis", [0, 1, None])
def test_boxes_without_width(draw, axis):
    """Flat boxes, and points, of which the violation is the only one."""
    network = make_network(draw, [2, 5, 5, 1])
    low, high = np.array([-0.5, 0.25]), np.array([0.5, 0.75])
    if axis is None:
        high = low
    else:
        high[axis] = low[axis]
    x = np.linspace(low, high, 20_001)
    least = float(network(x).min())
    assert "unsat" not in outcomes(
        network, make_query(low, high, [[1.0]], [-least - 1e-12]), seconds=1.0
    )


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(10))
def test_one_alternative_of_many_is_enough(seed):
    """Alternatives of several rows, all impossible but one, which is possible by a hair."""
    draw = np.random.default_rng(seed)
    network = make_network(draw, [2, 3, 3, 2])
    rows = np.round(draw.normal(size=(6, 2)), 1)
    member = np.zeros((3, 6), bool)
    member[0, :2], member[1, 2:4], member[2, 4:] = True, True, True
    offset = np.array([1e3, 0.0, 1e3, 0.0, 0.0, 0.0])
    only = make_query([-1, -1], [1, 1], rows[4:], [0.0, 0.0])
    offset[4:] = -(least_maximum(network, only) + 1e-6)
    order = draw.permutation(3)
    query = make_query([-1, -1], [1, 1], rows, offset, member[order])
    assert "unsat" not in outcomes(network, query, seconds=1.0)


def test_a_network_without_width_or_depth():
    """No hidden layer; a hidden layer of dead neurons; an output that is constant."""
    flat = AffineReLU((np.zeros((1, 2)),), (np.array([1.0]),))
    dead = AffineReLU((np.ones((3, 2)), np.ones((1, 3))), (np.full(3, -9.0), np.ones(1)))
    for network in (flat, dead):
        tie = make_query([-1, -1], [1, 1], [[1.0]], [-1.0])  # y <= 1, always with equality
        assert "unsat" not in outcomes(network, tie)
        (made,) = search(network, [make_query([-1, -1], [1, 1], [[1.0]], [-0.999])])
        assert made.outcome == "unsat"
