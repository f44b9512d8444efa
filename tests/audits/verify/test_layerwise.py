"""The engine for many inputs: its bounds by exact arithmetic, its verdicts by other programs."""

import time

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from netwright.audits.verify import AffineReLU, decide
from netwright.audits.verify import _multipliers as multipliers
from netwright.audits.verify._multipliers import optimise
from netwright.audits.verify._prefix import Prefix

from .conftest import least_maximum, make_network, make_query
from .test_linear_bounds import exact_values


def exactly(network, query):
    """The least value of the query's only row by a mixed-integer program, and where it is."""
    n, big = network.n_inputs, 1e3
    hidden = sum(len(b) for b in network.biases[:-1])
    size = n + 2 * hidden  # x, r, and whether a neuron is on
    rows, low, high = [], [], []
    before, at = slice(0, n), n
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        for i, (w, b) in enumerate(zip(weight, bias, strict=True)):
            z = np.zeros(size)
            z[before] = w
            r, on = np.eye(size)[at + i], np.eye(size)[at + i + hidden]
            rows += [r - z, r - z + big * on, r - big * on]  # r >= z; r <= z, or r <= 0
            low += [b, -np.inf, -np.inf]
            high += [np.inf, b + big, 0.0]
        before, at = slice(at, at + len(bias)), at + len(bias)
    cost = np.zeros(size)
    cost[before] = query.outputs[0] @ network.weights[-1]
    cost[:n] += query.inputs[0]
    bounds = Bounds(
        np.concatenate([query.low, np.zeros(2 * hidden)]),
        np.concatenate([query.high, np.full(hidden, big), np.ones(hidden)]),
    )
    kinds = np.concatenate([np.zeros(n + hidden), np.ones(hidden)])
    given = [LinearConstraint(np.array(rows), low, high)] if rows else []
    found = milp(cost, constraints=given, bounds=bounds, integrality=kinds)
    assert found.status == 0
    point = found.x[:n].clip(query.low, query.high)
    return float(query.rows(point[None], network(point[None]))[0, 0]), point


@pytest.mark.oracle
@pytest.mark.parametrize("steps", [0, 12])
def test_bounds_hold_in_exact_arithmetic(draw, steps):
    network = make_network(draw, [6, 10, 10, 10, 3])
    for low in 0.3 * draw.normal(size=(4, 6)):
        high = low + 0.5
        prefix = Prefix(network, low, high)
        points = [np.clip(draw.uniform(low, high), low, high) for _ in range(5)]
        truths = [exact_values(network, x) for x in points]
        for k in range(3):
            rows = prefix.next_rows()
            found = optimise(prefix, rows.both_signs(), steps=steps).low
            least, most = found[: len(found) // 2], -found[len(found) // 2 :]
            for values in truths:
                for z, a, b in zip(values[k], least, most, strict=True):
                    assert a <= z <= b
            prefix.append(rows, least, most)
        assert sum(prefix.widths) > 3  # some are relaxed


@pytest.mark.oracle
def test_bounds_of_parts_hold_where_their_neurons_have_those_signs(draw):
    network = make_network(draw, [5, 8, 8, 1])
    low, high = np.full(5, -0.5), np.full(5, 0.5)
    prefix = Prefix(network, low, high)
    kept = []
    for _ in range(2):
        rows = prefix.next_rows()
        found = optimise(prefix, rows.both_signs(), steps=5).low
        least, most = found[: len(found) // 2], -found[len(found) // 2 :]
        kept.append(np.nonzero((least < 0) & (most > 0))[0])
        prefix.append(rows, least, most)
    rows = prefix.next_rows()
    whole = optimise(prefix, rows, steps=20).low[0]
    x = draw.uniform(low, high, (4000, 5))
    first = x @ network.weights[0].T + network.biases[0]
    second = np.maximum(first, 0) @ network.weights[1].T + network.biases[1]
    values = np.concatenate([first[:, kept[0]], second[:, kept[1]]], 1)
    raised = 0
    for place in range(values.shape[1]):
        for sign in (1, -1):
            signs = np.zeros((1, values.shape[1]), np.int8)
            signs[0, place] = sign
            part = optimise(prefix, rows, steps=20, signs=signs).low[0]
            inside = values[:, place] * sign >= 0
            assert (network(x[inside])[:, 0] >= part).all()
            raised += part > whole + 1e-3
    assert raised > 3  # splitting helps


def test_a_missing_rounding_term_would_be_seen(draw, monkeypatch):
    """Planted fault: nothing is given away for rounding."""
    monkeypatch.setattr(multipliers, "gamma", lambda n: 0.0)
    broken = 0
    for low in draw.normal(size=(40, 3)):
        network = make_network(draw, [3, 12, 12, 1])
        prefix = Prefix(network, low, low)  # a point: bounds are tight
        truth = exact_values(network, low)
        for k in range(2):
            rows = prefix.next_rows()
            rows.error[:] = 0.0
            z = np.array([float(v) for v in truth[k]])
            prefix.append(rows, np.where(z > 0, z, -1e-300), np.where(z < 0, 0.0, z))
        rows = prefix.next_rows()
        rows.error[:] = 0.0
        broken += optimise(prefix, rows, steps=0).low[0] > truth[-1][0]
    assert broken > 0


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(12))
def test_verdicts_are_those_of_a_program_for_every_pattern(seed):
    draw = np.random.default_rng(seed)
    network = make_network(draw, [int(draw.integers(1, 6)), 4, 4, 2])
    n = network.n_inputs
    alternatives = [[True, False], [False, True]] if seed % 2 else [[True, False]]
    rows = np.round(draw.normal(size=(2, 2)), 1)
    query = make_query([-1] * n, [1] * n, rows, [0.0, 0.0], alternatives)
    truth = least_maximum(network, query)
    for gap, outcome in ((0.05, "unsat"), (-0.05, "sat")):
        moved = make_query([-1] * n, [1] * n, rows, [-truth + gap] * 2, alternatives)
        found = decide(network, moved, deadline=time.perf_counter() + 20)
        assert found.outcome in (outcome, "unknown")
        if outcome == "sat":
            assert found.outcome == "sat"
            x = found.point
            assert moved.violated(moved.rows(x, network(x))[None])[0]


def test_most_of_them_are_decided():
    decided = 0
    for seed in range(8):
        draw = np.random.default_rng(seed)
        network = make_network(draw, [20, 12, 12, 2], scale=0.4)
        centre = network(np.zeros((1, 20)))[0]
        query = make_query([-0.05] * 20, [0.05] * 20, [[1.0, -1.0]], [centre[1] - centre[0] + 0.3])
        found = decide(network, query, deadline=time.perf_counter() + 10)
        decided += found.outcome in ("sat", "unsat")
    assert decided == 8


def test_a_conjunction_is_excluded_only_by_one_row_alone():
    """y0 = x, y1 = 0.1 - x: never both <= 0, but each is somewhere; this engine does not see it."""
    network = AffineReLU((np.array([[1.0], [-1.0]]),), (np.array([0.0, 0.1]),))
    query = make_query([-1.0], [1.0], np.eye(2), [0.0, 0.0])
    assert decide(network, query).outcome == "unknown"


def test_a_deadline_ends_it(draw):
    network = make_network(draw, [30, 60, 60, 60, 1])
    query = make_query([-1] * 30, [1] * 30, [[1.0]], [1e5])
    start, told = time.perf_counter(), []
    found = decide(network, query, deadline=start + 0.5, watch=told.append)
    assert found.outcome in ("timeout", "unsat")
    assert time.perf_counter() - start < 30
    assert told == sorted(told)
