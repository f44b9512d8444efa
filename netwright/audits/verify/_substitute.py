"""Substitute neurons whose sign has become known: from nodes and their bounds to smaller nodes."""

import numpy as np

from netwright.audits.verify._linear_bounds import Bounds
from netwright.audits.verify._nodes import Nodes
from netwright.audits.verify._rounding import TINY, gamma

__all__ = ["Reduced", "substitute"]

Array = np.ndarray


class Reduced:
    """What `substitute` makes: one node for each child that is left open.

    Attributes:
        nodes: with one child each (Q = 1); boxes are the children's.
        order: for each layer, which neuron of the old node each new one was, (N, m).
        unfixed: how many neurons are left in each node, (N,).
    """

    def __init__(self, nodes: Nodes, order: list[Array], unfixed: Array) -> None:
        self.nodes, self.order, self.unfixed = nodes, order, unfixed


def substitute(nodes: Nodes, found: Bounds, p: Array, q: Array, alive: Array) -> Reduced:
    """Make nodes of open children; their neurons of known sign are put into later rows.

    A substitution is one matrix product a layer: `v_old = T v_new + rounding`, where T copies what
    stays and has the rows of active neurons.

    Args:
        nodes: the old nodes, after `bound`.
        found: their bounds.
        p: node of each open child, (N,).
        q: which child of that node, (N,).
        alive: alternatives left for each, (N, D).
    """
    N, n = len(p), nodes.low.shape[2]
    low, high = nodes.low[p, q], nodes.high[p, q]
    reach = np.maximum(np.abs(low), np.abs(high))
    change = np.broadcast_to(np.eye(n + 1), (N, n + 1, n + 1))
    # Bounds of |T| |v_new| and of the errors of v_old, by column.
    size_of_v, error_of_v = np.concatenate([reach, np.ones((N, 1))], 1), np.zeros((N, n + 1))
    rows, errors, sizes, least, most, orders = [], [], [], [], [], []
    unfixed = np.zeros(N, int)
    for k, line in enumerate(found.lines):
        z, error, size = _apply(nodes, k, nodes.rows[k][p], change, size_of_v, error_of_v, p, q)
        active, open_ = line.active[p, q], line.unfixed[p, q]
        count = open_.sum(1)
        unfixed += count
        m_old, m = open_.shape[1], int(count.max(initial=0))
        order = np.argsort(~open_, axis=1, kind="stable")[:, :m]
        valid = np.arange(m) < count[:, None]
        every = np.arange(N)[:, None]
        kept = z[every, order]
        kept[~valid] = 0.0
        rows.append(kept)
        orders.append(order)
        for store, values in (
            (errors, error),
            (sizes, size),
            (least, nodes.least[k][p, q]),
            (most, nodes.most[k][p, q]),
        ):
            store.append(np.where(valid, values[every, order], 0.0))
        c_old, c_new = change.shape[1:]
        wider = np.zeros((N, c_old + m_old, c_new + m))
        wider[:, :c_old, :c_new] = change
        np.multiply(active[..., None], z, out=wider[:, c_old:, :c_new])
        i, j = np.nonzero(valid)
        wider[i, c_old + order[i, j], c_new + j] = 1.0
        change = wider
        bound_of_r = np.where(active, size, np.where(open_, nodes.most[k][p, q], 0.0))
        size_of_v = np.concatenate([size_of_v, bound_of_r], 1)
        error_of_v = np.concatenate([error_of_v, np.where(active, error, 0.0)], 1)
    depth = len(nodes.rows)
    spec, spec_error, _ = _apply(
        nodes, depth, nodes.spec[p, q], change, size_of_v, error_of_v, p, q
    )
    made = Nodes(
        nodes.query[p], alive, low[:, None], high[:, None], rows, errors, sizes,
        [a[:, None] for a in least], [a[:, None] for a in most], spec[:, None], spec_error[:, None],
    )  # fmt: skip
    return Reduced(made, orders, unfixed)


def _apply(
    nodes: Nodes,
    k: int,
    rows: Array,
    change: Array,
    size_of_v: Array,
    error_of_v: Array,
    p: Array,
    q: Array,
) -> tuple[Array, Array, Array]:
    """Return rows in the new columns, their errors, and bounds of |row| |v|."""
    columns = rows.shape[2]
    rounding = gamma(columns + 10)
    new = np.matmul(rows, change)
    both = np.stack([rounding * size_of_v + error_of_v, size_of_v * (1 + rounding)], 2)
    moved = np.matmul(np.abs(rows), both)
    if nodes.coefficient_error is not None:
        own = np.matmul(nodes.coefficient_error[k][p], size_of_v[..., None])[..., 0]
    else:
        own = nodes.error[k][p] if k < len(nodes.rows) else nodes.spec_error[p, q]
    return new, (own + moved[..., 0]) * (1 + rounding) + TINY, moved[..., 1]
