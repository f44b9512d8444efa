"""Sub-problems of a search, many in one array, over networks from which fixed neurons are gone.

A neuron whose sign is known over a box is linear there and can be substituted. What remains is a
*reduced network*: each unfixed neuron, and each row of the query, is a linear function of the
inputs `x`, of 1, and of the outputs `r` of unfixed neurons of earlier layers,

    z = Z v,   v = (x, 1, r of layer 0, r of layer 1, ...),   r = relu(z).

Of 300 neurons of an ACAS Xu network some 10 to 50 are unfixed in a typical box, so bounds cost a
fraction of those on the whole network. Substituting rounds: `error` bounds the distance of `Z v`
from the true value, for every `x` of the box.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netwright.audits.verify._network import AffineReLU
from netwright.audits.verify._query import Query
from netwright.audits.verify._rounding import TINY, gamma

__all__ = ["Nodes", "join", "roots", "split_evenly"]

Array = np.ndarray


@dataclass(slots=True, eq=False)
class Nodes:
    """P nodes with Q children each, which share the node's reduced network.

    Layers are padded to the same number of unfixed neurons; a padded neuron is the constant 0.

    Attributes:
        query: which query each node belongs to, (P,).
        alive: alternatives of the query not yet excluded, (P, D).
        low: boxes, (P, Q, inputs).
        high: boxes, (P, Q, inputs).
        rows: for each layer Z, (P, m, columns); columns grow by m from layer to layer.
        error: for each layer, bound of |Z v - true value|, (P, m).
        size: for each layer, bound of |Z| |v|, (P, m).
        least: for each layer, inherited lower bounds of the neurons, (P, Q, m).
        most: for each layer, inherited upper bounds, (P, Q, m).
        spec: rows of the query, then those of split neurons, (P, Q, R, columns): a point of the
            node that violates the property has all rows of an alternative, and all rows of split
            neurons, <= 0.
        spec_error: as `error`, (P, Q, R).
        coefficient_error: before anything is substituted, errors of the entries of `rows` and
            (last) of `spec`; None afterwards.
    """

    query: Array
    alive: Array
    low: Array
    high: Array
    rows: list[Array]
    error: list[Array]
    size: list[Array]
    least: list[Array]
    most: list[Array]
    spec: Array
    spec_error: Array
    coefficient_error: list[Array] | None = None

    def __len__(self) -> int:
        return len(self.query)

    @property
    def bytes_per_node(self) -> int:
        """Memory that bounding takes for each node, roughly."""
        entries = sum(r[0].size for r in self.rows) + self.spec[0].size
        return 8 * entries * (1 + 3 * self.low.shape[1])

    def take(self, places: Array) -> "Nodes":
        """Pick nodes, and drop neurons and rows that none of them has.

        Args:
            places: indices into the nodes.
        """
        picked = Nodes(
            self.query[places],
            self.alive[places],
            self.low[places],
            self.high[places],
            [a[places] for a in self.rows],
            [a[places] for a in self.error],
            [a[places] for a in self.size],
            [a[places] for a in self.least],
            [a[places] for a in self.most],
            self.spec[places],
            self.spec_error[places],
        )
        picked._trim()
        return picked

    def _trim(self) -> None:
        n_inputs = self.low.shape[2]
        keep = [np.arange(n_inputs + 1)]
        offset = n_inputs + 1
        for k, rows in enumerate(self.rows):
            m = int((self.most[k] > 0).any(1).sum(1).max(initial=0))  # padding stands last
            columns = np.concatenate(keep)
            whole = len(columns) == rows.shape[2]
            self.rows[k] = rows[:, :m] if whole else rows[:, :m, columns]
            self.error[k], self.size[k] = self.error[k][:, :m], self.size[k][:, :m]
            self.least[k], self.most[k] = self.least[k][..., :m], self.most[k][..., :m]
            keep.append(offset + np.arange(m))
            offset += rows.shape[1]
        columns = np.concatenate(keep)
        if len(columns) < self.spec.shape[3]:
            self.spec = self.spec[..., columns]


def roots(network: AffineReLU, asked: Sequence[Query]) -> Nodes:
    """Make one node a query, with nothing substituted.

    Args:
        network: with at least one layer.
        asked: queries to it.
    """
    n, last = network.n_inputs, len(network.weights) - 1
    P = len(asked)
    n_rows = max(len(q.offset) for q in asked)
    n_alternatives = max(len(q.member) for q in asked)
    low, high = np.array([q.low for q in asked]), np.array([q.high for q in asked])
    reach = np.maximum(np.abs(low), np.abs(high))
    rows, error, size, entries = [], [], [], []
    columns = n + 1
    for k in range(last):
        weight, bias = network.weights[k], network.biases[k]
        m, before = weight.shape
        z, dz = np.zeros((P, m, columns)), np.zeros((P, m, columns))
        block = slice(columns - before, columns) if k else slice(0, n)
        z[:, :, block], z[:, :, n] = weight, bias
        for part, errors in ((block, network.weight_errors[k]), (n, network.bias_errors[k])):
            if errors is not None:
                dz[:, :, part] = errors
        rows.append(z)
        entries.append(dz)
        error.append(network.layer_error(k, reach) + TINY)
        reach = (reach @ np.abs(weight).T + np.abs(bias)) * (1 + gamma(before + 2)) + error[-1]
        size.append(reach)
        columns += m
    spec = np.zeros((P, 1, n_rows, columns))
    spec[..., n] = -1.0  # a padded row is never above 0, and excludes nothing
    d_spec = np.zeros_like(spec)
    block = slice(columns - network.weights[last].shape[1], columns) if last else slice(0, n)
    alive = np.zeros((P, n_alternatives), bool)
    for p, query in enumerate(asked):
        r, a = len(query.offset), np.abs(query.outputs)
        weight, bias = network.weights[last], network.biases[last]
        spec[p, 0, :r, block] = query.outputs @ weight
        spec[p, 0, :r, n] = query.outputs @ bias + query.offset
        spec[p, 0, :r, :n] += query.inputs
        terms = gamma(int((a != 0).sum(1).max()) + 2)
        own = [
            0.0 if e is None else e
            for e in (network.weight_errors[last], network.bias_errors[last])
        ]
        d_spec[p, 0, :r, block] = terms * (a @ np.abs(weight)) + a @ (own[0] + 0 * weight)
        d_spec[p, 0, :r, n] = terms * (a @ np.abs(bias) + np.abs(query.offset)) + a @ (
            own[1] + 0 * bias
        )
        d_spec[p, 0, :r, :n] += terms * np.abs(query.inputs)
        alive[p, : len(query.member)] = True
    entries.append(d_spec[:, 0])
    size_of_v = np.concatenate(
        [np.maximum(np.abs(low), np.abs(high)), np.ones((P, 1)), *size], axis=1
    )
    spec_error = (
        np.matmul(d_spec[:, 0], size_of_v[..., None])[:, None, :, 0] * (1 + gamma(columns)) + TINY
    )
    unknown = [np.full((P, 1, len(b)), np.inf) for b in network.biases[:-1]]
    return Nodes(
        np.arange(P), alive, low[:, None], high[:, None], rows, error, size,
        [-u for u in unknown], unknown, spec, spec_error, entries,
    )  # fmt: skip


def split_evenly(nodes: Nodes, weight: Array, limit: int) -> list[Nodes]:
    """Cut nodes into pieces of like weight, so that little is padded.

    Args:
        nodes: any number.
        weight: how large each node is, (P,).
        limit: largest number of nodes in a piece.
    """
    n_pieces = -(-len(nodes) // limit)
    order = np.argsort(weight, kind="stable")
    return [nodes.take(places) for places in np.array_split(order, n_pieces)]


def join(parts: Sequence[Nodes]) -> Nodes:
    """Put nodes side by side, padding layers and rows to the same sizes.

    Args:
        parts: with as many children a node.
    """
    first = parts[0]
    n, depth = first.low.shape[2], len(first.rows)
    widths = [max(part.rows[k].shape[1] for part in parts) for k in range(depth)]
    n_rows = max(part.spec.shape[2] for part in parts)
    starts = np.cumsum([n + 1, *widths])

    def columns(part: Nodes, k: int) -> Array:
        blocks = [np.arange(n + 1)]
        blocks += [starts[j] + np.arange(part.rows[j].shape[1]) for j in range(k)]
        return np.concatenate(blocks)

    def stack(arrays: list[Array], width: int) -> Array:
        total = np.zeros((sum(map(len, arrays)), *arrays[0].shape[1:-1], width))
        at = 0
        for a in arrays:
            total[at : at + len(a), ..., : a.shape[-1]] = a
            at += len(a)
        return total

    P = sum(map(len, parts))
    rows = [np.zeros((P, widths[k], starts[k])) for k in range(depth)]
    spec = np.zeros((P, first.low.shape[1], n_rows, starts[depth]))
    spec[..., n] = -1.0
    at = 0
    for part in parts:
        here = slice(at, at + len(part))
        for k in range(depth):
            rows[k][here, : part.rows[k].shape[1], columns(part, k)] = part.rows[k]
        own = part.spec
        spec[here, :, : own.shape[2], n] = 0.0
        spec[here, :, : own.shape[2], columns(part, depth)] = own
        at += len(part)
    return Nodes(
        np.concatenate([p.query for p in parts]),
        np.concatenate([p.alive for p in parts]),
        np.concatenate([p.low for p in parts]),
        np.concatenate([p.high for p in parts]),
        rows,
        [stack([p.error[k] for p in parts], widths[k]) for k in range(depth)],
        [stack([p.size[k] for p in parts], widths[k]) for k in range(depth)],
        [stack([p.least[k] for p in parts], widths[k]) for k in range(depth)],
        [stack([p.most[k] for p in parts], widths[k]) for k in range(depth)],
        spec,
        stack([p.spec_error for p in parts], n_rows),
    )
