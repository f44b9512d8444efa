"""Raise lower bounds of many linear functions at once, by branch and bound over earlier neurons.

Paper:    De Palma et al. Improved Branch and Bound for Neural Network Verification via Lagrangian
          Decomposition. 2021, arXiv:2104.06718, for branching many sub-problems in one batch.
Departs:  all rows of a layer are raised side by side, each with a tree of its own, whose worst
          leaves are split first. The neuron split is the one that costs the row most by its upper
          line, |coefficient| * offset: only there is the relaxation not convex, a lower line's loss
          is what the optimised slope takes back.
Notation: as in `_multipliers`.
"""

import time

import numpy as np

from netwright.audits.verify._multipliers import Bounded, optimise
from netwright.audits.verify._prefix import Prefix, Rows

__all__ = ["raise_bounds"]

Array = np.ndarray
_BATCH = 384  # leaves split in one round, at most
_ENTRIES = 60_000_000  # of the arrays of all leaves: 9 bytes each


def raise_bounds(
    prefix: Prefix,
    rows: Rows,
    first: Bounded,
    *,
    n_leaves: int,
    steps: int = 10,
    deadline: float = float("inf"),
) -> tuple[Array, int]:
    """Split until every row is shown positive, or has so many leaves.

    Args:
        prefix: the layers before the rows.
        rows: R linear functions.
        first: their bounds without splits.
        n_leaves: leaves of a row's tree, at most; fewer where they would not fit in memory.
        steps: of the optimisation, for each leaf.
        deadline: when to stop, on the clock of `time.perf_counter`.

    Returns:
        Sound lower bounds, (R,), and the number of leaves bounded.
    """
    R = len(rows.error)
    n_leaves = min(n_leaves, max(64, _ENTRIES // max(R * sum(prefix.widths), 1)))
    pool = _Pool(prefix, first)
    found = first.low.copy()
    made = np.ones(R, int)
    n_bounded = 0
    while time.perf_counter() < deadline:
        open_ = (found <= 0) & (made < n_leaves) & np.isfinite(found)
        chosen = pool.worst(open_, max(1, min(64, _BATCH // max(int(open_.sum()), 1))))
        if not len(chosen):
            break
        owner = np.repeat(pool.owner[chosen], 2)
        signs = np.repeat(pool.signs[chosen], 2, axis=0)
        which = pool.split[chosen]
        signs[2 * np.arange(len(chosen)), which] = 1
        signs[2 * np.arange(len(chosen)) + 1, which] = -1
        child = optimise(
            prefix,
            rows.take(owner),
            steps=steps,
            signs=signs,
            slopes=np.repeat(pool.slopes[chosen], 2, axis=0),
            weights=np.repeat(pool.weights[chosen], 2, axis=0),
        )
        n_bounded += len(owner)
        low = np.maximum(child.low, np.repeat(pool.low[chosen], 2))  # a part of the parent's set
        pool.replace(chosen, owner, signs, child, low)
        made += np.bincount(owner, minlength=R) // 2
        found = pool.least(R)
    return found, n_bounded


class _Pool:
    """Leaves that are not yet shown positive."""

    def __init__(self, prefix: Prefix, first: Bounded) -> None:
        layers = prefix.layers
        self.lift = np.concatenate([np.empty(0), *(y.lift for y in layers)]).astype(np.float32)
        self.low = np.empty(0)
        self.owner = self.split = np.empty(0, int)
        M = len(self.lift)
        self.signs = np.empty((0, M), np.int8)
        self.slopes = self.weights = np.empty((0, M), np.float32)
        every = np.arange(len(first.low))
        signs = np.zeros((len(every), M), np.int8)
        self.replace(np.empty(0, int), every, signs, first, first.low)

    def replace(self, gone: Array, owner: Array, signs: Array, made: Bounded, low: Array) -> None:
        """Take leaves out, and put in those of their children that are not positive."""
        keep = np.ones(len(self.low), bool)
        keep[gone] = False
        new = low <= 0
        self.low = np.concatenate([self.low[keep], low[new]])
        self.owner = np.concatenate([self.owner[keep], owner[new]])
        for name, values in (
            ("signs", signs),
            ("slopes", made.slopes),
            ("weights", made.weights),
            ("split", self._choose(signs, made.coefficient)),
        ):
            setattr(self, name, np.concatenate([getattr(self, name)[keep], values[new]]))

    def worst(self, open_: Array, each: int) -> Array:
        """Pick the lowest leaves of every open row that can be split further."""
        can = open_[self.owner] & (self.split >= 0)
        places = np.nonzero(can)[0]
        places = places[np.lexsort((self.low[places], self.owner[places]))]
        first = np.searchsorted(self.owner[places], self.owner[places])
        return places[np.arange(len(places)) - first < each][: 2 * _BATCH]

    def least(self, R: int) -> Array:
        """Return the least bound of each row; rows without leaves are positive."""
        found = np.full(R, np.finfo(float).tiny)
        np.minimum.at(found, self.owner, self.low)
        return found

    def _choose(self, signs: Array, coefficient: Array) -> Array:
        """Return the neuron to split in each leaf; -1 where all that matter are split."""
        if not signs.shape[1]:
            return np.full(len(signs), -1)
        cost = np.where(coefficient < 0, -coefficient * self.lift, 1e-9 * np.abs(coefficient))
        cost = np.where(signs == 0, cost, -1.0)
        best = cost.argmax(1)
        return np.where(cost[np.arange(len(best)), best] > 0, best, -1)
