import itertools

import numpy as np
import onnx
import pytest
from scipy.optimize import linprog

from netwright.audits.verify import AffineReLU, Query
from netwright.audits.verify._witness import to_model


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


def write_onnx(network, path):
    """Write layers as a file in float64."""
    onnx.save(to_model(network), path)
    return path


def write_property(path, low, high, assertions, n_outputs):
    """Write a VNN-LIB file: a box, and lines of assertions about outputs."""
    lines = [f"(declare-const X_{i} Real)" for i in range(len(low))]
    lines += [f"(declare-const Y_{j} Real)" for j in range(n_outputs)]
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        lines += [f"(assert (>= X_{i} {a!r}))", f"(assert (<= X_{i} {b!r}))"]
    path.write_text("\n".join([*lines, *assertions]))
    return path


def spikes(places, half_width, height):
    """A network that is 0 but for one narrow peak, where all inputs are at their places.

    Each input has a triangle of that half width; the output is the part of their sum that only all
    of them together reach. Away from the peak all gradients are zero.
    """
    n, k = len(places), height / half_width
    weight, bias = np.zeros((3 * n, n)), np.zeros(3 * n)
    total = np.zeros((1, 3 * n))
    for i, place in enumerate(places):
        for j, shift in enumerate((-half_width, 0.0, half_width)):
            weight[3 * i + j, i], bias[3 * i + j] = k, -k * (place + shift)
        total[0, 3 * i : 3 * i + 3] = 1.0, -2.0, 1.0
    first = np.array([-(n - 1) * height])
    return AffineReLU((weight, total, np.ones((1, 1))), (bias, first, np.zeros(1)))
