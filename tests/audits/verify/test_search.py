import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.audits.verify import AffineReLU, search

from .conftest import least_maximum, make_network, make_query


def decide(network, query, **kwargs):
    (found,) = search(network, [query], **kwargs)
    return found


def random_case(seed):
    draw = np.random.default_rng(seed)
    n, outputs = int(draw.integers(1, 4)), int(draw.integers(1, 4))
    hidden = [int(draw.integers(1, 4)) for _ in range(draw.integers(0, 4))][:3]
    network = make_network(draw, [n, *hidden, outputs])
    low = np.round(draw.normal(size=n), 2)
    high = low + np.round(np.abs(draw.normal(size=n)) * draw.choice([0.0, 0.3, 1.0, 2.0], n), 2)
    rows = int(draw.integers(1, 5))
    member = draw.random((int(draw.integers(1, 4)), rows)) < 0.6
    member[np.arange(len(member)), draw.integers(0, rows, len(member))] = True
    query = make_query(
        low,
        high,
        np.round(draw.normal(size=(rows, outputs)), 1),
        np.round(draw.normal(size=rows), 1),
        member,
        np.round(draw.normal(size=(rows, n)), 1) * (draw.random() < 0.3),
    )
    return network, query


@pytest.mark.oracle
@pytest.mark.parametrize("split_neurons", [0, 2, 100])
@pytest.mark.parametrize("block", range(4))
def test_verdicts_are_those_of_a_program_for_every_pattern(block, split_neurons):
    for seed in range(12 * block, 12 * block + 12):
        network, query = random_case(seed)
        truth = least_maximum(network, query)
        if abs(truth) < 1e-6:
            continue  # linear programs are solved to about 1e-9
        found = decide(network, query, split_neurons=split_neurons)
        assert found.outcome == ("sat" if truth < 0 else "unsat"), seed
        if found.outcome == "sat":
            x = found.point
            assert (query.low <= x).all() and (x <= query.high).all()
            assert query.violated(query.rows(x, network(x))[None])[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_no_sampled_point_breaks_what_holds(seed):
    network, query = random_case(seed)
    if decide(network, query, deadline=time.perf_counter() + 2).outcome == "unsat":
        draw = np.random.default_rng(seed)
        x = draw.uniform(query.low, query.high, (2000, len(query.low)))
        assert not query.violated(query.rows(x, network(x)) + 1e-12).any()


def test_deep_and_narrow_boxes_are_decided(draw):
    network = make_network(draw, [3, 20, 20, 20, 2], scale=0.5)
    y = network(np.zeros((1, 3)))[0]
    holds = make_query([-0.01] * 3, [0.01] * 3, [[1.0, 0.0]], [-y[0] + 1.0])
    broken = make_query([-0.01] * 3, [0.01] * 3, [[1.0, 0.0]], [-y[0]])
    assert [d.outcome for d in search(network, [holds, broken])] == ["unsat", "sat"]


def test_a_conjunction_is_proved_by_joining_rows():
    # y0 = x0, y1 = -x0 + 0.1: each is <= 0 somewhere, both never (their sum is 0.1).
    network = AffineReLU((np.array([[1.0], [-1.0]]),), (np.array([0.0, 0.1]),))
    query = make_query([-1.0], [1.0], np.eye(2), [0.0, 0.0])
    found = decide(network, query)
    assert (found.outcome, found.n_boxes) == ("unsat", 1)


def test_neurons_are_split_where_boxes_would_not_end():
    # relu(x) + relu(-x) >= |x|: the row touches |x| + 1e-7 along a kink through the whole box.
    w = np.array([[1.0, 1.0], [-1.0, -1.0]])
    network = AffineReLU((w, np.array([[1.0, 1.0]])), (np.zeros(2), np.array([1e-7])))
    query = make_query([-1.0, -1.0], [1.0, 1.0], [[1.0]], [0.0])
    found = decide(network, query)
    assert found.outcome == "unsat" and found.n_boxes <= 7


def test_a_tie_is_a_violation():
    network = AffineReLU((np.array([[2.0], [2.0]]),), (np.zeros(2),))
    query = make_query([0.5], [1.0], [[1.0, -1.0]], [0.0])  # y0 - y1 <= 0, always with equality
    assert decide(network, query).outcome == "sat"


def test_refused_points_do_not_end_the_search():
    network = AffineReLU((np.array([[1.0]]),), (np.zeros(1),))
    query = make_query([0.0], [1.0], [[1.0]], [-0.5])
    tried = []

    def accept(i, point):
        tried.append(float(point[0]))
        return 0.2 < point[0] < 0.3

    assert 0.2 < decide(network, query, accept=accept).point[0] < 0.3
    assert min(tried) == 0.0  # the corner that looks worst was tried, and refused


def test_a_deadline_ends_the_search(draw):
    network = make_network(draw, [5, 50, 50, 50, 50, 5])
    query = make_query([-1] * 5, [1] * 5, [[1.0, 0, 0, 0, 0]], [1e4])
    start = time.perf_counter()
    found = decide(network, query, deadline=start + 0.3, accept=lambda i, x: False)
    assert found.outcome in ("timeout", "unsat") and time.perf_counter() - start < 10


def test_queries_of_unlike_shape_are_answered_in_order(draw):
    network = make_network(draw, [2, 8, 8, 3])
    boxes = ([-1, -1], [1, 1])
    wide = make_query(*boxes, np.eye(3), [100.0] * 3, np.eye(3))
    narrow = make_query(*boxes, [[1.0, 0, 0]], [-100.0])
    both = make_query(*boxes, np.eye(3)[:2], [100.0, -100.0], [[True, True], [False, True]])
    found = [d.outcome for d in search(network, [wide, narrow, both, wide])]
    assert found == ["unsat", "sat", "sat", "unsat"]
