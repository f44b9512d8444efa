"""Decide queries on larger ReLU networks: tighten one layer after the other by branch and bound.

Departs:  no one paper's method. Bounds of deep layers are loose because those of early layers are,
          and early layers have few neurons: so before a layer is relaxed, the bounds of all its
          unfixed neurons are raised by branch and bound over the layers before it (`_leaves`), all
          neurons side by side. Many become fixed and are substituted. This is the bound tightening
          that mixed-integer provers do one neuron after the other (Tjeng, Xiao, Tedrake. ICLR 2019,
          arXiv:1711.07356), with optimised linear bounds (`_multipliers`) in place of a solver.
          Rounds with more and more leaves follow each other until the query is decided.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from netwright.audits.verify._falsify import falsify
from netwright.audits.verify._leaves import raise_bounds
from netwright.audits.verify._multipliers import optimise
from netwright.audits.verify._network import AffineReLU
from netwright.audits.verify._prefix import Prefix, Rows
from netwright.audits.verify._query import Query
from netwright.audits.verify._rounding import LARGEST, TINY, gamma
from netwright.audits.verify._search import Decision
from netwright.audits.verify._threads import one_thread

__all__ = ["decide"]

Array = np.ndarray
_LEAVES = (0, 40, 160, 640, 2560, 10_240, 40_960)


def decide(
    network: AffineReLU,
    query: Query,
    *,
    deadline: float = float("inf"),
    accept: Callable[[Array], bool] = lambda point: True,
    watch: Callable[[int], None] = lambda n_bounded: None,
) -> Decision:
    """Decide a query, or give up.

    Args:
        network: any number of inputs.
        query: alternatives of one row each are decided as far as time allows; one of several rows
            is excluded only where one row alone is positive everywhere.
        deadline: when to give up, on the clock of `time.perf_counter`.
        accept: says whether a counterexample counts; where it does not the search goes on.
        watch: told now and then how many bounds have been computed.

    Returns:
        The decision; "unknown" where the last round did not decide it.
    """
    with one_thread():
        return _Layerwise(network, query, deadline, accept, watch).run()


@dataclass(slots=True)
class _Layerwise:
    network: AffineReLU
    query: Query
    deadline: float
    accept: Callable[[Array], bool]
    watch: Callable[[int], None]
    least: list[Array] = field(default_factory=list)
    most: list[Array] = field(default_factory=list)
    n_bounded: int = 0

    def run(self) -> Decision:
        if not self.network.finite:
            return Decision("unknown", None, 0)
        reach = np.maximum(np.abs(self.query.low), np.abs(self.query.high))
        for weight, bias in zip(self.network.weights, self.network.biases, strict=True):
            reach = np.abs(weight) @ reach + np.abs(bias)
        if not reach.max() < LARGEST:
            return Decision("unknown", None, 0)
        for n_starts, n_leaves in enumerate(_LEAVES):
            point = falsify(
                self.network,
                self.query,
                n_points=256,
                n_starts=24 * (1 + n_starts),
                n_steps=40,
                seed=n_starts,
                deadline=self.deadline,
                accept=self.accept,
            )
            if point is not None:
                return Decision("sat", point, self.n_bounded)
            if self._round(n_leaves):
                return Decision("unsat", None, self.n_bounded)
            if time.perf_counter() > self.deadline:
                return Decision("timeout", None, self.n_bounded)
        return Decision("unknown", None, self.n_bounded)

    def _round(self, n_leaves: int) -> bool:
        """Bound all layers, then the query; say whether every alternative is excluded."""
        prefix = Prefix(self.network, self.query.low, self.query.high)
        for k in range(len(self.network.weights) - 1):
            rows = prefix.next_rows()
            self._tighten(prefix, rows, k, n_leaves)
            prefix.append(rows, self.least[k], self.most[k])
        rows = _query_rows(prefix.next_rows(), self.query)
        low = self._raised(prefix, rows, 40, 4 * n_leaves)
        return bool((self.query.member & (low > 0)).any(1).all())

    def _tighten(self, prefix: Prefix, rows: Rows, k: int, n_leaves: int) -> None:
        width = len(rows.error)
        if k == len(self.least):
            self.least.append(np.full(width, -np.inf))
            self.most.append(np.full(width, np.inf))
        open_ = np.nonzero((self.least[k] < 0) & (self.most[k] > 0))[0]
        low = optimise(prefix, rows.take(open_).both_signs(), steps=0).low
        self._keep(k, open_, low)
        open_ = np.nonzero((self.least[k] < 0) & (self.most[k] > 0))[0]
        if k and len(open_) and time.perf_counter() < self.deadline:
            low = self._raised(prefix, rows.take(open_).both_signs(), 30, n_leaves)
            self._keep(k, open_, low)

    def _keep(self, k: int, places: Array, low: Array) -> None:
        m = len(places)
        self.least[k][places] = np.maximum(self.least[k][places], low[:m])
        self.most[k][places] = np.minimum(self.most[k][places], -low[m:])

    def _raised(self, prefix: Prefix, rows: Rows, steps: int, n_leaves: int) -> Array:
        first = optimise(prefix, rows, steps=steps)
        self.n_bounded += len(first.low)
        if not n_leaves or (first.low > 0).all():
            return first.low
        low, made = raise_bounds(prefix, rows, first, n_leaves=n_leaves, deadline=self.deadline)
        self.n_bounded += made
        self.watch(self.n_bounded)
        return low


def _query_rows(outputs: Rows, query: Query) -> Rows:
    """Put the query's rows, which are about outputs, into the columns of the prefix."""
    a, n = np.abs(query.outputs), len(query.low)
    plane = query.outputs @ outputs.plane
    plane[:, :n] += query.inputs
    plane[:, n] += query.offset
    reach = np.maximum(np.abs(query.low), np.abs(query.high))
    size = a @ outputs.size + np.abs(query.inputs) @ reach + np.abs(query.offset)
    rounding = gamma(a.shape[1] + n + 6)
    error = a @ outputs.error + rounding * size
    return Rows(plane, error * (1 + rounding) + TINY, size * (1 + rounding))
