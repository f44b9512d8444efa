"""Decide queries on small ReLU networks completely: branch and bound over inputs and neurons.

Paper:    Bunel, Turkaslan, Torr, Kohli, Mudigonda. A Unified View of Piecewise Linear Neural
          Network Verification. NeurIPS 2018, arXiv:1711.00455, for the frame; Wang et al.
          Beta-CROWN. NeurIPS 2021, arXiv:2103.06624, for splits of neurons whose sign constraints
          enter the bound with multipliers.
Departs:  multipliers weight linear bounds over the inputs, not coefficients inside the backward
          pass; they are found by line searches and an interior-point method (see `_exclude`), and
          the same machinery joins the rows of a conjunction. Boxes shrink to what the rows leave of
          them. A box is halved while many neurons are unfixed in it; then neurons are split.
Notation: a query asks for a point with all rows of one alternative <= 0.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from netwright.audits.verify._exclude import clip, combine, excluded, interior_point
from netwright.audits.verify._falsify import descend, falsify
from netwright.audits.verify._linear_bounds import Bounds, bound
from netwright.audits.verify._network import AffineReLU
from netwright.audits.verify._nodes import Nodes, join, roots, split_evenly
from netwright.audits.verify._query import Query
from netwright.audits.verify._rounding import LARGEST
from netwright.audits.verify._substitute import Reduced, substitute
from netwright.audits.verify._threads import one_thread

__all__ = ["Decision", "looseness", "search"]

Array = np.ndarray
_MAX_BYTES = 48_000_000
_MAX_NODES = 384
_SPLIT_NEURONS = 12
_CUT_AGAIN = (100, 150)
_FEW_NODES = 32
_DESCENTS = 8


@dataclass(frozen=True, slots=True)
class Decision:
    """What a search found for one query.

    Attributes:
        outcome: "unsat" if no point violates the property, "sat" if `point` does, "timeout", or
            "unknown" where float64 cannot tell.
        point: inputs that violate the property, by float64; None without.
        n_boxes: sub-problems bounded for all queries of the same search so far.
        rest: after "timeout", boxes outside which no point violates the property,
            (boxes, 2, inputs): least and largest inputs. None otherwise.
    """

    outcome: Literal["sat", "unsat", "timeout", "unknown"]
    point: Array | None
    n_boxes: int
    rest: Array | None = None


def search(
    network: AffineReLU,
    asked: Sequence[Query],
    *,
    deadline: float = float("inf"),
    accept: Callable[[int, Array], bool] = lambda query, point: True,
    watch: Callable[[int], None] = lambda n_boxes: None,
    split_neurons: int = _SPLIT_NEURONS,
) -> list[Decision]:
    """Decide queries to one network together.

    Args:
        network: small and fully connected.
        asked: queries to it.
        deadline: when to give up, on the clock of `time.perf_counter`.
        accept: says whether a point found for a query counts, for example after a replay elsewhere;
            where it does not the search goes on.
        watch: told after every batch how many sub-problems have been bounded.
        split_neurons: split neurons, not the box, where at most so many are unfixed.

    Returns:
        A decision for each query, in order.
    """
    with one_thread():
        return _Search(network, asked, deadline, accept, watch, split_neurons).run()


def looseness(
    found: Bounds, p: Array, q: Array, member: Array, open_: Array, width: Array
) -> tuple[Array, list[Array]]:
    """Estimate how much of the looseness of the worst row each input and each neuron makes.

    A relaxed neuron costs |coefficient| * gap; an input's share of that is its share of the
    neuron's width.

    Args:
        found: bounds of nodes.
        p: node of each child in question, (N,).
        q: which child of the node, (N,).
        member: rows of each alternative, (N, D, rows).
        open_: alternatives not yet excluded, (N, D).
        width: half the width of each child's box, (N, inputs).

    Returns:
        Shares of inputs, (N, inputs), and of the neurons of each layer, (N, m).
    """
    low = np.where(member, found.low[p, q][:, None, : member.shape[2]], -np.inf)
    every = np.arange(len(p))
    worst = np.where(open_, low.max(2), np.inf).argmin(1)
    row = low.argmax(2)[every, worst]
    influence = np.zeros_like(width)
    gaps = []
    for line in found.lines:
        m = line.gap_low.shape[2]
        c = line.coefficients[p, q, row]
        gap = np.abs(c) * np.where(c > 0, line.gap_low[p, q], line.gap_up[p, q])
        slopes = line.slopes[p, q]
        share = (slopes[:, :m] + slopes[:, m:]) * width[:, None]
        share /= share.sum(2, keepdims=True) + 1e-300
        influence += np.matmul(gap[:, None], share)[:, 0]
        gaps.append(gap)
    flat = influence.max(1) <= 0
    if flat.any():
        influence[flat] = np.abs(found.plane[p, q, row][flat, : width.shape[1]]) * width[flat]
    return influence, gaps


class _Search:
    def __init__(
        self,
        network: AffineReLU,
        asked: Sequence[Query],
        deadline: float,
        accept: Callable[[int, Array], bool],
        watch: Callable[[int], None],
        split_neurons: int,
    ) -> None:
        self.network, self.asked, self.deadline = network, asked, deadline
        self.accept, self.watch, self.split_neurons = accept, watch, split_neurons
        self.n_boxes = 0
        self.n_samples, self.sample_at, self.descend_at = 0, 1, 32
        self.done: dict[int, Decision] = {}
        n_rows = max(len(q.offset) for q in asked)
        n_alternatives = max(len(q.member) for q in asked)
        self.n_rows = n_rows
        self.member = np.zeros((len(asked), n_alternatives, n_rows), bool)
        self.outputs = np.zeros((len(asked), n_rows, network.n_outputs))
        self.inputs = np.zeros((len(asked), n_rows, network.n_inputs))
        self.offset = np.full((len(asked), n_rows), -1.0)
        for i, query in enumerate(asked):
            d, r = query.member.shape
            self.member[i, :d, :r] = query.member
            self.outputs[i, :r], self.inputs[i, :r] = query.outputs, query.inputs
            self.offset[i, :r] = query.offset

    def run(self) -> list[Decision]:
        first = roots(self.network, self.asked)
        largest = max(float(size.max(initial=0.0)) for size in (*first.size, first.spec_error[0]))
        if not (self.network.finite and largest < LARGEST):
            return [Decision("unknown", None, 0) for _ in self.asked]
        stack = [first]
        while stack and len(self.done) < len(self.asked):
            if time.perf_counter() > self.deadline:
                break
            nodes = self._pop(stack)
            nodes = self._drop_done(nodes)
            if nodes is not None:
                with np.errstate(over="ignore", invalid="ignore"):
                    stack.extend(self._step(nodes))
                self.watch(self.n_boxes)
        waiting = {int(i) for nodes in stack for i in nodes.query} - set(self.done)
        for i in range(len(self.asked)):
            if i in waiting:
                self.done[i] = Decision("timeout", None, self.n_boxes, _boxes(stack, i))
            elif i not in self.done:
                self.done[i] = Decision("unsat", None, self.n_boxes)
        return [self.done[i] for i in range(len(self.asked))]

    def _pop(self, stack: list[Nodes]) -> Nodes:
        parts = [stack.pop()]
        total = len(parts[0])
        Q = parts[0].low.shape[1]
        while stack and stack[-1].low.shape[1] == Q and total + len(stack[-1]) <= _MAX_NODES:
            if (total + len(stack[-1])) * parts[0].bytes_per_node > _MAX_BYTES:
                break
            if total > _MAX_NODES // 2:
                break
            parts.append(stack.pop())
            total += len(parts[-1])
        return parts[0] if len(parts) == 1 else join(parts)

    def _drop_done(self, nodes: Nodes) -> Nodes | None:
        if not self.done:
            return nodes
        left = np.nonzero(~np.isin(nodes.query, list(self.done)))[0]
        if len(left) == len(nodes):
            return nodes
        return nodes.take(left) if len(left) else None

    def _step(self, nodes: Nodes) -> list[Nodes]:
        found = bound(nodes)
        self.n_boxes += nodes.low.shape[0] * nodes.low.shape[1]
        open_ = self._open_alternatives(nodes, found)
        p, q = np.nonzero(open_.any(2))
        bad = ~np.isfinite(found.low).all((1, 2))
        if bad.any():
            for i in np.unique(nodes.query[bad]):
                self.done.setdefault(int(i), Decision("unknown", None, self.n_boxes))
            good = ~np.isin(nodes.query[p], list(self.done))
            p, q = p[good], q[good]
        if not len(p):
            return []
        open_ = open_[p, q]
        low, high, open_, points, owner = self._narrow(nodes, found, p, q, open_)
        self._attack(nodes.query[p][owner], points)
        if self.n_boxes >= self.sample_at:
            self._attack_afresh(nodes.query[p])
        left = open_.any(1) & ~np.isin(nodes.query[p], list(self.done))
        if not left.any():
            return []
        p, q, open_ = p[left], q[left], open_[left]
        width = (nodes.high[p, q] - nodes.low[p, q]) / 2
        influence, gaps = looseness(found, p, q, self.member[nodes.query[p]], open_, width)
        reduced = substitute(nodes, found, p, q, open_)
        return self._branch(reduced, influence, gaps, width, low[left], high[left])

    def _open_alternatives(self, nodes: Nodes, found: Bounds) -> Array:
        low = found.low
        member = self.member[nodes.query][:, None]  # (P, 1, D, rows)
        shown = np.any(member & (low[:, :, None, : self.n_rows] > 0), axis=3)
        empty = np.any(
            low[..., self.n_rows :] > 0, axis=2
        )  # the constraint of a split neuron fails
        for least, most in zip(nodes.least, nodes.most, strict=True):
            empty |= (least > most).any(2)
        return nodes.alive[:, None] & ~shown & ~empty[..., None]

    def _narrow(
        self, nodes: Nodes, found: Bounds, p: Array, q: Array, open_: Array
    ) -> tuple[Array, Array, Array, Array, Array]:
        """Exclude alternatives by joining rows; shrink boxes; collect points worth a try."""
        n = nodes.low.shape[2]
        node, alternative = np.nonzero(open_)  # pairs
        plane = found.plane[p, q][node]
        slack = found.slack[p, q][node]
        used = np.ones(slack.shape, bool)
        used[:, : self.n_rows] = self.member[nodes.query[p][node], alternative]
        slope = np.where(used[..., None], plane[..., :n], 0.0)
        offset = np.where(used, plane[..., n] - 2 * slack, -1.0)
        low, high = nodes.low[p, q][node], nodes.high[p, q][node]
        points = self._corners(found, p, q, node, used, slope, low, high)
        out = np.zeros(len(node), bool)
        if used.sum(1).max() > 1:
            weight = combine(slope, offset, low, high)
            out = excluded(slope, offset, low, high, weight)
            hard = np.nonzero(~out)[0]
            if len(hard) and slack.shape[1] > self.n_rows:
                given = slope[hard], offset[hard], low[hard], high[hard]
                weight, point = interior_point(*given)
                out[hard] = excluded(*given, weight)
                points[hard] = point
        low, high = clip(slope, offset, low, high)
        out |= (low > high).any(1)
        open_ = open_.copy()
        open_[node[out], alternative[out]] = False
        hull_low, hull_high = np.full((len(p), n), np.inf), np.full((len(p), n), -np.inf)
        np.minimum.at(hull_low, node[~out], low[~out])
        np.maximum.at(hull_high, node[~out], high[~out])
        return hull_low, hull_high, open_, points[~out], node[~out]

    def _corners(
        self,
        found: Bounds,
        p: Array,
        q: Array,
        node: Array,
        used: Array,
        slope: Array,
        low: Array,
        high: Array,
    ) -> Array:
        """Return the corner where the row that is hardest to satisfy looks smallest."""
        value = np.where(used, found.low[p, q][node], -np.inf)[:, : self.n_rows]
        hardest = slope[np.arange(len(node)), value.argmax(1)]
        return np.where(hardest > 0, low, high)

    def _attack(self, owner: Array, points: Array) -> None:
        """Try points, and descend from the most promising ones of each query."""
        if not len(points):
            return
        rows = np.matmul(self.outputs[owner], self.network(points)[..., None])[..., 0]
        rows += self.offset[owner] + np.matmul(self.inputs[owner], points[..., None])[..., 0]
        value = np.where(self.member[owner], rows[:, None], -np.inf).max(2)
        value = np.where(self.member[owner].any(2), value, np.inf)
        descends = self.n_boxes >= self.descend_at
        if descends:
            self.descend_at = 2 * self.n_boxes
        for i in np.unique(owner[np.isfinite(value.min(1))]):
            if int(i) in self.done:
                continue
            own = np.nonzero(owner == i)[0]
            best = own[np.argsort(value[own].min(1), kind="stable")[:_DESCENTS]]
            hits = points[best[value[best].min(1) <= 0]]
            if not len(hits) and descends:
                query = self.asked[i]
                found = descend(self.network, query, points[best], value[best].argmin(1))
                hits = found[query.violated(query.rows(found, self.network(found)))]
            self._accept(int(i), hits)

    def _accept(self, i: int, hits: Array) -> None:
        for point in hits:
            if self.accept(i, point):
                self.done[i] = Decision("sat", point.copy(), self.n_boxes)
                return

    def _attack_afresh(self, queries: Array) -> None:
        """Sample whole boxes, more points each time."""
        self.n_samples += 1
        self.sample_at = 8 * max(self.n_boxes, 32)
        for i in np.unique(queries):
            if int(i) not in self.done:
                point = falsify(
                    self.network,
                    self.asked[i],
                    n_points=min(128 * 8**self.n_samples, 131_072),
                    seed=self.n_samples,
                    deadline=self.deadline,
                    accept=lambda x, i=int(i): self.accept(i, x),
                )
                if point is not None:
                    self.done[int(i)] = Decision("sat", point, self.n_boxes)

    def _branch(
        self,
        reduced: Reduced,
        influence: Array,
        gaps: list[Array],
        width: Array,
        low: Array,
        high: Array,
    ) -> list[Nodes]:
        """Make children of every node: parts of the box, or the two signs of a neuron."""
        nodes = reduced.nodes
        with np.errstate(divide="ignore", invalid="ignore"):
            shrunk = np.where(width > 0, (high - low) / (2 * width), 0.0)
        middle = (low + high) / 2
        influence = np.where((middle > low) & (middle < high), influence * shrunk, -1.0)
        stuck = influence.max(1) < 0
        by_neuron = (reduced.unfixed > 0) & ((reduced.unfixed <= self.split_neurons) | stuck)
        lost = stuck & ~by_neuron  # nothing left to split, and still not decided
        for i in np.unique(nodes.query[lost]):
            self.done.setdefault(int(i), Decision("unknown", None, self.n_boxes))
        # A box in which most neurons are unfixed will not be decided by halving it once.
        n_cuts = 1 + (reduced.unfixed[:, None] > np.array(_CUT_AGAIN)).sum(1)
        n_cuts = np.where(by_neuron | (len(nodes) < _FEW_NODES), 1, n_cuts)
        made = []
        for cuts in np.unique(n_cuts):
            here = np.nonzero(n_cuts == cuts)[0]
            whole = len(here) == len(nodes)
            some = nodes if whole else nodes.take(here)
            self._cut(some, influence[here], by_neuron[here], low[here], high[here], int(cuts))
            if by_neuron[here].any():
                split = here[by_neuron[here]]
                order, gap = [o[split] for o in reduced.order], [g[split] for g in gaps]
                self._split_neurons(some, np.nonzero(by_neuron[here])[0], order, gap)
            limit = max(1, min(_MAX_NODES, _MAX_BYTES // max(some.bytes_per_node, 1)))
            if len(some) > limit:
                made += split_evenly(some, reduced.unfixed[here], limit)[::-1]
            else:
                made.append(some.take(np.arange(len(some))))
        return made

    def _cut(
        self, nodes: Nodes, influence: Array, by_neuron: Array, low: Array, high: Array, cuts: int
    ) -> None:
        """Give each node 2**cuts children: halves of halves along the most influential axes."""
        Q, every = 2**cuts, np.arange(len(low))
        nodes.low, nodes.high = np.repeat(low[:, None], Q, 1), np.repeat(high[:, None], Q, 1)
        for cut in range(cuts):
            axis = influence.argmax(1)
            use = ~by_neuron & (influence[every, axis] >= 0)
            i, a = every[use], axis[use]
            middle = (low[i, a] + high[i, a]) / 2
            below = np.arange(Q) >> cut & 1 == 0
            at = i[:, None], np.nonzero(below)[0], a[:, None]
            nodes.high[at] = middle[:, None]
            at = i[:, None], np.nonzero(~below)[0], a[:, None]
            nodes.low[at] = middle[:, None]
            influence[every, axis] = -1.0
        for k in range(len(nodes.rows)):
            nodes.least[k] = np.repeat(nodes.least[k], Q, 1)
            nodes.most[k] = np.repeat(nodes.most[k], Q, 1)
        nodes.spec = np.repeat(nodes.spec, Q, 1)
        nodes.spec_error = np.repeat(nodes.spec_error, Q, 1)

    def _split_neurons(
        self, nodes: Nodes, chosen: Array, order: list[Array], gaps: list[Array]
    ) -> None:
        """Give the first child of `chosen` nodes a neuron with z >= 0, and the second z <= 0."""
        n, every = nodes.low.shape[2], np.arange(len(chosen))
        value = np.full(len(chosen), -1.0)
        layer, place = np.zeros(len(chosen), int), np.zeros(len(chosen), int)
        for k in range(len(nodes.rows)):
            m = nodes.rows[k].shape[1]
            if m:
                gap = np.take_along_axis(gaps[k], order[k][:, :m], 1)
                gap = np.where(nodes.most[k][chosen, 0] > 0, gap, -1.0)  # padding
                best = gap.argmax(1)
                better = gap[every, best] > value
                value = np.where(better, gap[every, best], value)
                layer, place = np.where(better, k, layer), np.where(better, best, place)
        # Constraints of earlier splits that a node does not have stand as the constant -1.
        spec = np.zeros((*nodes.spec.shape[:2], 1, nodes.spec.shape[3]))
        spec[..., n] = -1.0
        error = np.zeros((*nodes.spec_error.shape[:2], 1))
        for k in range(len(nodes.rows)):
            here = layer == k
            i, j = chosen[here], place[here]
            if not len(i):
                continue
            z = nodes.rows[k][i, j]
            spec[i, :, 0, n] = 0.0
            spec[i, 0, 0, : z.shape[1]], spec[i, 1, 0, : z.shape[1]] = -z, z
            error[i, :, 0] = nodes.error[k][i, j][:, None]
            nodes.least[k][i, 0, j] = 0.0
            nodes.most[k][i, 1, j] = 0.0
        self._append(nodes, spec, error)

    def _append(self, nodes: Nodes, spec: Array, error: Array) -> None:
        """Add a row, in the first place where no node needs the old one."""
        n = nodes.low.shape[2]
        for r in range(self.n_rows, nodes.spec.shape[2]):
            old = nodes.spec[:, :, r]
            inert = (old[..., n] == -1.0) & (np.count_nonzero(old, axis=2) == 1)
            new = (spec[:, :, 0, n] == -1.0) & (np.count_nonzero(spec[:, :, 0], axis=2) == 1)
            if (inert | new).all():
                nodes.spec[:, :, r] = np.where(inert[..., None], spec[:, :, 0], old)
                nodes.spec_error[:, :, r] = np.where(
                    inert, error[..., 0], nodes.spec_error[:, :, r]
                )
                return
        nodes.spec = np.concatenate([nodes.spec, spec], 2)
        nodes.spec_error = np.concatenate([nodes.spec_error, error], 2)


def _boxes(stack: list[Nodes], query: int) -> Array:
    """Return the boxes that are still open; the two halves of a split neuron share one."""
    made = [np.empty((0, 2, stack[0].low.shape[2]))]
    for nodes in stack:
        own = nodes.query == query
        both = np.stack([nodes.low[own], nodes.high[own]], 2)  # (P, Q, 2, inputs)
        made.append(both.reshape(-1, *both.shape[2:]))
    return np.unique(np.concatenate(made), axis=0)
