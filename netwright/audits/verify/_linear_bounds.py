"""Bound the neurons and rows of reduced networks by backward linear bounds, in float64, soundly.

Paper:    Zhang, Weng, Chen, Hsieh, Daniel. Efficient Neural Network Robustness Certification with
          General Activation Functions (CROWN). NeurIPS 2018, arXiv:1811.00866. Section 3.3, with
          the adaptive lower slope.
Departs:  works on reduced networks (see `_nodes`), with the parent's bounds as a floor; every
          relaxed line is moved outward by what its substitution can round (see below).
Notation: least, most = l, u; a lower line is `slope_low z`, an upper one `slope_up z + offset_up`.

Rounding. Substituting line i, `slope z_i + offset` with `z_i = Z_i v`, for a coefficient p turns a
plane G v into fl(G + p slope Z_i) v. By Higham's bound the difference is at most u |G'| |v| +
gamma_n |p| |Z_i| |v|. A column of G' is touched once a layer, and its later changes are again sums
of |p| |Z|, so all of it together is at most

    sum over i of |p_i| gamma (|Z_i| |v| + |offset_i| + 2 |r_i|)  +  gamma |G| |(x, 1)| at the end

with gamma = gamma_{m + 4L + inputs + 16}. The factors of |p_i|, and the error of Z_i itself, are
put into the lines: the lower one is moved down, the upper one up.
"""

from dataclasses import dataclass

import numpy as np

from netwright.audits.verify._nodes import Nodes
from netwright.audits.verify._rounding import UNIT, gamma

__all__ = ["Bounds", "Line", "bound"]

Array = np.ndarray


@dataclass(slots=True, eq=False)
class Line:
    """How the neurons of one layer were relaxed, (P, Q, m) each unless said otherwise.

    Attributes:
        active: bounds say z >= 0.
        unfixed: bounds allow both signs.
        gap_low: largest distance of relu from its lower line.
        gap_up: largest distance of relu from its upper line.
        slopes: |coefficients| of x in the linear bounds of z and -z, (P, Q, 2m, inputs).
        coefficients: of the rows of the query on relu(z), (P, Q, R, m).
    """

    active: Array
    unfixed: Array
    gap_low: Array
    gap_up: Array
    slopes: Array
    coefficients: Array


@dataclass(slots=True, eq=False)
class Bounds:
    """Bounds of the rows of the query.

    Attributes:
        low: sound lower bound of each row, (P, Q, R).
        plane: linear lower bound of each row, coefficients of x and the constant,
            (P, Q, R, inputs + 1).
        slack: bounds what rounding may take from `plane`, (P, Q, R).
        lines: for each layer.
    """

    low: Array
    plane: Array
    slack: Array
    lines: list[Line]


@dataclass(slots=True, eq=False)
class _Layer:
    """The lines of a layer as `_backward` uses them, for coefficients c of either sign.

    `min over the lines of c relu(z)` is `(c mean + |c| half) z + c lift - |c| (lift + moved)`.
    """

    rows: Array  # Z, (P, m, columns)
    mean: Array  # of the two slopes, (P, Q, 1, m)
    half: Array  # half of slope_low - slope_up, (P, Q, 1, m)
    lift: Array  # half of offset_up, (P, Q, m, 1)
    drop: Array  # lift + moved, (P, Q, m, 1)


def bound(nodes: Nodes) -> Bounds:
    """Bound every unfixed neuron, tightening `nodes.least` and `nodes.most`, and every row.

    Args:
        nodes: sub-problems; their inherited bounds are replaced by better ones.
    """
    P, Q, n = nodes.low.shape
    depth = len(nodes.rows)
    widest = max((z.shape[1] for z in nodes.rows), default=0)
    rounding = gamma(widest + 4 * depth + n + 16)
    centre, spread, slack = _box_vectors(nodes, rounding)
    layers: list[_Layer] = []
    lines: list[Line] = []
    for k in range(depth):
        rows = nodes.rows[k]
        m = rows.shape[1]
        if m:
            plane = _both_signs(rows, layers, Q, n)
            size = np.abs(plane)
            low = np.matmul(plane, centre)[..., 0] - np.matmul(size, spread)[..., 0]
            error = nodes.error[k][:, None]
            nodes.least[k] = np.maximum(nodes.least[k], low[:, :, :m] - error)
            nodes.most[k] = np.minimum(nodes.most[k], error - low[:, :, m:])
            slopes = size[..., :n]
        else:
            slopes = np.zeros((P, Q, 0, n))
        line, layer = _relax(nodes, k, rounding, slopes)
        lines.append(line)
        layers.append(layer)
    plane = nodes.spec
    for line, layer in zip(reversed(lines), reversed(layers), strict=True):
        line.coefficients = plane[..., layer.rows.shape[2] :]
        plane = _backward(plane, layer, n)
    size = np.abs(plane)
    low = np.matmul(plane, centre)[..., 0] - np.matmul(size, spread)[..., 0] - nodes.spec_error
    total_slack = np.matmul(size, slack)[..., 0] + nodes.spec_error
    return Bounds(low, plane, total_slack, lines)


def _box_vectors(nodes: Nodes, rounding: float) -> tuple[Array, Array, Array]:
    P, Q, n = nodes.low.shape
    one = np.ones((P, Q, 1))
    reach = np.maximum(np.abs(nodes.low), np.abs(nodes.high))
    centre = np.concatenate([(nodes.low + nodes.high) / 2, one], 2)[..., None]
    slack = np.concatenate([rounding * reach, rounding * one], 2)[..., None]
    spread = slack.copy()
    spread[:, :, :n, 0] += (nodes.high - nodes.low) / 2
    return centre, spread, slack


def _both_signs(rows: Array, layers: list[_Layer], Q: int, n: int) -> Array:
    """Linear lower bounds, over x, of `rows` and below them of `-rows`, (P, Q, 2m, inputs + 1)."""
    P, m, columns = rows.shape
    if not layers:
        both = np.concatenate([rows, -rows], 1)[:, None]
        return np.ascontiguousarray(np.broadcast_to(both, (P, Q, 2 * m, columns)))
    layer = layers[-1]
    start, h = layer.rows.shape[2], layer.rows.shape[1]
    plane = np.empty((P, Q, 2 * m, start))
    if h:  # the first step, where both signs share their products
        c = rows[:, None, :, start:]
        size = np.abs(c)
        even, odd = size * layer.half, c * layer.mean
        scaled = np.empty((P, Q, 2 * m, h))
        np.add(even, odd, out=scaled[:, :, :m])
        np.subtract(even, odd, out=scaled[:, :, m:])
        _times(scaled, layer.rows, plane)
        even, odd = np.matmul(size, layer.drop)[..., 0], np.matmul(c, layer.lift)[..., 0]
        plane[:, :, :m, n] += odd - even
        plane[:, :, m:, n] -= odd + even
        plane[:, :, :m] += rows[:, None, :, :start]
        plane[:, :, m:] -= rows[:, None, :, :start]
    else:
        plane[:, :, :m] = rows[:, None, :, :start]
        np.negative(rows[:, None, :, :start], out=plane[:, :, m:])
    for earlier in reversed(layers[:-1]):
        plane = _backward(plane, earlier, n)
    return plane


def _backward(plane: Array, layer: _Layer, n: int) -> Array:
    """Replace the outputs of one layer in linear functions by lines that bound them from below."""
    m, start = layer.rows.shape[1:]
    rest = plane[..., :start]
    if not m:
        return rest
    c = plane[..., start:]
    size = np.abs(c)
    constant = np.matmul(c, layer.lift) - np.matmul(size, layer.drop)
    size *= layer.half
    scaled = c * layer.mean
    scaled += size
    new = _times(scaled, layer.rows, np.empty(rest.shape))
    new += rest
    new[..., n] += constant[..., 0]
    return new


def _times(scaled: Array, rows: Array, out: Array) -> Array:
    P, Q, R, m = scaled.shape
    np.matmul(scaled.reshape(P, Q * R, m), rows, out=out.reshape(P, Q * R, -1))
    return out


def _relax(nodes: Nodes, k: int, rounding: float, slopes: Array) -> tuple[Line, _Layer]:
    least, most = nodes.least[k], nodes.most[k]
    active = least >= 0
    off = ~active & (most <= 0)
    unfixed = ~(active | off)
    width = np.where(unfixed, most - least, 1.0)
    slope_up = np.where(unfixed, most / width, active)
    lift = np.maximum(-least * slope_up, most - slope_up * most) + 4 * UNIT * (most - least)
    lift = np.where(unfixed, lift, 0.0)
    upward = most > -least
    slope_low = np.where(unfixed, upward, active).astype(float)
    moved = nodes.error[k][:, None] + rounding * (nodes.size[k][:, None] + 2 * most + lift)
    moved = np.where(off, 0.0, moved)
    gap_low = np.where(unfixed, np.where(upward, -least, most), 0.0)
    line = Line(active, unfixed, gap_low, lift, slopes, np.empty(0))
    mean, half = (slope_low + slope_up) / 2, (slope_low - slope_up) / 2
    lift = lift / 2
    layer = _Layer(
        nodes.rows[k],
        mean[:, :, None],
        half[:, :, None],
        lift[..., None],
        (lift + moved)[..., None],
    )
    return line, layer
