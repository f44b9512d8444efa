"""Look for a counterexample: random points, then descent from the best of them.

Departs:  no one paper's method. Half of the points lie on random faces of the box, where extremes
          of piecewise linear functions lie. The descent is sequential linear programming: all rows
          are linearised, and their maximum is minimised over a trust region. For a single row, or
          many inputs, that is the sign-gradient step of Madry et al., ICLR 2018, arXiv:1706.06083.
"""

import time
from collections.abc import Callable

import numpy as np

from netwright.audits.verify._exclude import interior_point
from netwright.audits.verify._network import AffineReLU
from netwright.audits.verify._query import Query

__all__ = ["descend", "falsify"]

Array = np.ndarray
_FEW_INPUTS = 16
_ABSENT = -1e3  # a row that an alternative does not have


def falsify(
    network: AffineReLU,
    query: Query,
    *,
    n_points: int = 2048,
    n_starts: int = 16,
    n_steps: int = 8,
    seed: int = 0,
    deadline: float = float("inf"),
    accept: Callable[[Array], bool] = lambda point: True,
) -> Array | None:
    """Search a counterexample in the whole box.

    Args:
        network: evaluated in float64.
        query: what to violate.
        n_points: random points.
        n_starts: how many of them to descend from, for each alternative.
        n_steps: steps of the descent.
        seed: of the points.
        deadline: when to give up, on the clock of `time.perf_counter`.
        accept: says whether a counterexample counts; where it does not the search goes on.

    Returns:
        An input of the box that violates the property in float64, or None; that shows nothing.

    Cost: `n_points` evaluations, and `n_steps` passes forward and back over the starts.
    """
    draw = np.random.default_rng(seed)
    share = draw.random((n_points, len(query.low)))
    face = draw.random(share.shape)
    face[::2] = 1.0
    share = np.where(face < 0.2, 0.0, np.where(face < 0.4, 1.0, share))
    x = query.low + (query.high - query.low) * share
    x[0] = (query.low + query.high) / 2
    x = np.clip(x, query.low, query.high)
    value = _values(query, query.rows(x, network(x)))
    for i in np.nonzero((value <= 0).any(1))[0]:
        if accept(x[i]):
            return x[i].copy()
    starts = np.argsort(value, axis=0)[:n_starts]
    alternative = np.broadcast_to(np.arange(value.shape[1]), starts.shape)
    found = descend(
        network, query, x[starts.ravel()], alternative.ravel(), n_steps=n_steps, deadline=deadline
    )
    rows = query.rows(found, network(found))
    for i in np.nonzero(query.violated(rows))[0]:
        if accept(found[i]):
            return found[i].copy()
    return None


def descend(
    network: AffineReLU,
    query: Query,
    x: Array,
    alternative: Array,
    *,
    n_steps: int = 8,
    radius: float = 0.05,
    deadline: float = float("inf"),
) -> Array:
    """Make the largest row of an alternative smaller, from each of some points.

    Args:
        network: evaluated in float64.
        query: its box bounds the descent.
        x: starts, (batch, inputs).
        alternative: which alternative to satisfy from each start, (batch,).
        n_steps: steps.
        radius: of the first step, as a share of the box's width.
        deadline: when to stop, on the clock of `time.perf_counter`.

    Returns:
        Points no worse than the starts, (batch, inputs).
    """
    member = query.member[alternative]
    width = query.high - query.low
    x, size = x.copy(), np.full(len(x), radius)
    rows = np.where(member, query.rows(x, network(x)), _ABSENT)
    value = rows.max(1)
    for _ in range(n_steps):
        if (value <= 0).any() or time.perf_counter() > deadline:
            break
        if len(width) <= _FEW_INPUTS and query.member.sum(1).max() > 1:
            slope = network.jacobian(x, query.outputs) + query.inputs
            slope = np.where(member[..., None], slope, 0.0)
            offset = rows - np.matmul(slope, x[..., None])[..., 0]
            low = np.maximum(query.low, x - size[:, None] * width)
            high = np.minimum(query.high, x + size[:, None] * width)
            _, tried = interior_point(slope, offset, low, high, steps=6)
        else:
            worst = rows.argmax(1)
            slope = network.jacobian(x, query.outputs[worst][:, None])[:, 0] + query.inputs[worst]
            tried = np.clip(x - size[:, None] * width * np.sign(slope), query.low, query.high)
        rows_there = np.where(member, query.rows(tried, network(tried)), _ABSENT)
        better = rows_there.max(1) < value
        x[better], rows[better] = tried[better], rows_there[better]
        value = rows.max(1)
        size = np.where(better, np.minimum(1.5 * size, 0.5), 0.5 * size)
    return x


def _values(query: Query, rows: Array) -> Array:
    """Return the largest row of every alternative, (batch, alternatives)."""
    return np.where(query.member, rows[:, None], -np.inf).max(2)
