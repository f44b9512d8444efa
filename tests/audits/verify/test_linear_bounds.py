from fractions import Fraction

import numpy as np
import pytest

from netwright.audits.verify import search
from netwright.audits.verify._linear_bounds import bound
from netwright.audits.verify._nodes import join, roots
from netwright.audits.verify._substitute import substitute

from .conftest import make_network, make_query


def exact_values(network, x):
    """Pre-activations of every layer in exact arithmetic, outputs last."""
    r, found = [Fraction(v) for v in x], []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        z = [
            sum((Fraction(w) * v for w, v in zip(row, r, strict=True)), Fraction(b))
            for row, b in zip(weight, bias, strict=True)
        ]
        found.append(z)
        r = [max(v, Fraction(0)) for v in z]
    return found


def exact_row(rows, error, x, outputs_of_unfixed):
    v = [*map(Fraction, x), Fraction(1), *outputs_of_unfixed]
    value = sum(Fraction(float(a)) * b for a, b in zip(rows, v, strict=True))
    return value - Fraction(float(error)), value + Fraction(float(error))


@pytest.fixture
def network(draw):
    return make_network(draw, [3, 12, 12, 12, 2])


def point_of(draw, low, high):
    return np.clip(low + (high - low) * draw.random(len(low)), low, high)


@pytest.mark.oracle
def test_every_bound_holds_in_exact_arithmetic(network, draw):
    queries = [
        make_query(low, low + 0.3, np.eye(2), [0.0, 0.0]) for low in draw.normal(size=(6, 3))
    ]
    nodes = roots(network, queries)
    found = bound(nodes)
    for p, query in enumerate(queries):
        for _ in range(5):
            values = exact_values(network, point_of(draw, query.low, query.high))
            for k in range(3):
                for i, z in enumerate(values[k]):
                    assert (
                        Fraction(nodes.least[k][p, 0, i]) <= z <= Fraction(nodes.most[k][p, 0, i])
                    )
            for r in range(2):
                assert Fraction(found.low[p, 0, r]) <= values[-1][r]


@pytest.mark.oracle
def test_substituted_networks_are_the_network_within_their_errors(network, draw):
    queries = [
        make_query(low, low + 0.2, np.eye(2), [0.1, 0.0]) for low in draw.normal(size=(4, 3))
    ]
    nodes = roots(network, queries)
    for _ in range(2):  # once from the whole network, once from a reduced one
        found = bound(nodes)
        every = np.arange(len(nodes))
        reduced = substitute(nodes, found, every, 0 * every, nodes.alive)
        small = reduced.nodes
        for p, query in enumerate(queries):
            x = point_of(draw, query.low, query.high)
            values = exact_values(network, x)
            kept = []
            for k in range(3):
                count = int((small.most[k][p, 0] > 0).sum())
                for j in range(small.rows[k].shape[1]):
                    lowest, highest = exact_row(small.rows[k][p, j], small.error[k][p, j], x, kept)
                    if j < count:
                        truths = [z for z in values[k] if lowest <= z <= highest]
                        assert truths  # some neuron of that layer has this value
                    else:
                        assert lowest == highest == 0
                layer = [exact_row(small.rows[k][p, j], 0.0, x, kept)[0] for j in range(count)]
                padding = small.rows[k].shape[1] - count
                kept += [max(z, Fraction(0)) for z in layer] + [Fraction(0)] * padding
        nodes = small
        assert reduced.unfixed.sum() > 0


def test_errors_are_far_below_any_margin_of_interest(network):
    nodes = roots(network, [make_query([0] * 3, [0.2] * 3, np.eye(2), [0.0, 0.0])])
    found = bound(nodes)
    reduced = substitute(nodes, found, np.array([0]), np.array([0]), nodes.alive)
    assert reduced.nodes.spec_error.max() < 1e-11
    assert found.slack.max() < 1e-11


def test_a_missing_rounding_term_would_be_seen(network, monkeypatch, draw):
    """Planted fault: with errors ten orders too small, exact arithmetic finds bounds that fail."""
    import netwright.audits.verify._linear_bounds as module

    monkeypatch.setattr(module, "gamma", lambda n: 0.0)
    broken = 0
    for low in draw.normal(size=(40, 3)):
        query = make_query(low, low, np.eye(2), [0.0, 0.0])  # a point: bounds are tight
        nodes = roots(network, [query])
        for k in range(3):
            nodes.error[k][:] = 0.0
        nodes.spec_error[:] = 0.0
        found = bound(nodes)
        truth = exact_values(network, low)[-1]
        broken += any(Fraction(found.low[0, 0, r]) > truth[r] for r in range(2))
    assert broken > 0


def test_joined_nodes_are_bounded_as_they_were_apart(network, draw):
    made = []
    for low in draw.normal(size=(3, 3)):
        nodes = roots(network, [make_query(low, low + 0.3, np.eye(2), [0.0, 0.0])])
        found = bound(nodes)
        zero = np.array([0])
        made.append(substitute(nodes, found, zero, zero, nodes.alive).nodes.take(zero))
    apart = [bound(nodes).low[0, 0] for nodes in made]
    together = bound(join(made)).low[:, 0]
    np.testing.assert_allclose(together, apart, rtol=1e-9)  # the same sums, in another order


def test_a_network_without_hidden_layers_is_bounded(draw):
    network = make_network(draw, [3, 2])
    low = bound(roots(network, [make_query([-1] * 3, [1] * 3, np.eye(2), [0.0, 0.0])])).low[0, 0]
    truth = network.biases[0] - np.abs(network.weights[0]).sum(1)
    np.testing.assert_allclose(low, truth, rtol=1e-12)
    assert (low < truth).all()  # moved outward


def test_search_and_bounds_leave_queries_alone(network):
    query = make_query([0] * 3, [0.2] * 3, np.eye(2), [0.0, 0.0])
    before = query.low.copy(), query.high.copy()
    search(network, [query])
    assert (query.low == before[0]).all() and (query.high == before[1]).all()
