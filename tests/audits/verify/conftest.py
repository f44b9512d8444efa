import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from netwright.audits.verify import AffineReLU, Query


def make_network(draw, widths, scale=1.0):
    """A random network; weights have few digits, so that exact arithmetic stays short."""
    weights = [np.round(scale * draw.normal(size=(b, a)), 3) for a, b in itertools.pairwise(widths)]
    biases = [np.round(0.5 * scale * draw.normal(size=b), 3) for b in widths[1:]]
    return AffineReLU(tuple(weights), tuple(biases))


def make_query(low, high, outputs, offset, member=None, inputs=None):
    outputs, offset = np.array(outputs, float), np.array(offset, float)
    low, high = np.array(low, float), np.array(high, float)
    inputs = np.zeros((len(offset), len(low))) if inputs is None else np.array(inputs, float)
    member = np.ones((1, len(offset)), bool) if member is None else np.array(member, bool)
    return Query(low, high, outputs, inputs, offset, member)


def least_maximum(network, query):
    """The least value of `max of an alternative's rows`, by a linear program for every pattern.

    Complete for tiny networks: every combination of signs of all hidden neurons is tried.
    """
    n, best = network.n_inputs, np.inf
    hidden = sum(len(b) for b in network.biases[:-1])
    for pattern in itertools.product((0.0, 1.0), repeat=hidden):
        slope, offset = np.eye(n), np.zeros(n)
        above, limit, at = [], [], 0
        for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
            slope, offset = weight @ slope, weight @ offset + bias
            on = np.array(pattern[at : at + len(bias)])
            at += len(bias)
            sign = 1 - 2 * on  # z >= 0 where on, z <= 0 where off, as sign * z <= 0
            above.append(sign[:, None] * slope)
            limit.append(-sign * offset)
            slope, offset = on[:, None] * slope, on * offset
        slope = network.weights[-1] @ slope
        offset = network.weights[-1] @ offset + network.biases[-1]
        rows = query.outputs @ slope + query.inputs
        fixed = query.outputs @ offset + query.offset
        for member in query.member:
            a = np.block(
                [
                    [np.vstack([*above, np.zeros((0, n))]), np.zeros((hidden, 1))],
                    [rows[member], -np.ones((member.sum(), 1))],
                ]
            )
            b = np.concatenate([*limit, -fixed[member]])
            bounds = [*zip(query.low, query.high, strict=True), (None, None)]
            found = linprog([0.0] * n + [1.0], A_ub=a, b_ub=b, bounds=bounds)
            if found.status == 0:
                best = min(best, found.fun)
    return best


@pytest.fixture
def draw():
    return np.random.default_rng(0)
