"""Train every design a little, the better ones more, and the best one for most of the budget.

Paper:    Jamieson, Talwalkar. Non-stochastic Best Arm Identification and Hyperparameter
          Optimization. AISTATS 2016, arXiv:1502.07943, figure 3 (Successive Halving).
          Hestness et al. Deep Learning Scaling is Predictable, Empirically. 2017,
          arXiv:1712.00409, section 2 (errors fall by a power of what is spent).
Departs:  the last rung gets at least 60 percent of the budget, since a network and not only its
          rank is wanted; two rungs stand before it. Small networks lead early and are overtaken
          later, so the leader of the first rung meets the best of the larger designs in the second,
          and the winner is the one whose error, by the power law through both rungs, will be lower.
          A design that already meets every requirement wins over better but larger ones.
Notation: `designs` = arms, share of a rung = r_k / B.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from netwright.design._design import AXES, Axis, Candidate, Design
from netwright.design._ranking import (
    asks_for_learning,
    higher_is_better,
    ranking_key,
    shortfall,
    size_of,
    surely_meets,
)
from netwright.design._record import Record
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["SuccessiveHalving"]

# Fidelity of the early rungs, beside 1.0 for the last: 0.6 / 1.6 = 37.5 % of the budget.
_FIRST, _SECOND = 0.2, 0.4
_FINALISTS = 2
_STEEPEST = 0.7  # errors of larger powers of the budget are noise of small validation splits


class SuccessiveHalving:
    """A search by rungs. Deterministic: the same measurements give the same candidates.

    All designs are trained a little; the leader and the best of the larger ones more; the one that
    promises more in full. A single design is trained in full at once.
    """

    def __init__(
        self,
        designs: Sequence[Design],
        *,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        axis: Axis = "epochs",
    ) -> None:
        """Plan the rungs.

        Args:
            designs: what to try, smallest first; names must differ.
            requirements: a design that surely meets them all early on wins.
            metric: the quantity that ranks networks.
            axis: what the lower rungs cut: "epochs", "rows" or "resolution" (see `Candidate`).

        Raises:
            ValueError: if there is no design, two share a name, or there is no such axis.
        """
        if axis not in AXES:
            raise ValueError(f"`axis` must be one of {', '.join(AXES)}; got {axis!r}.")
        if not designs:
            raise ValueError("`designs` is empty: there is nothing to search among.")
        names = [design.name for design in designs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"`designs` must have different names; {twice!r} occurs twice.")
        self._order = {name: place for place, name in enumerate(names)}
        self._requirements = tuple(requirements)
        self._metric = metric
        self._axis: Axis = axis
        self._records: list[Record] = []
        self._pending: list[Candidate] = []
        self._plan = _plan(len(designs))  # rungs to come: (number of candidates, fidelity of each)
        self._queue: list[Candidate] = []
        self._number = 0
        self._open(list(designs))

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        under_way = sum(c.fidelity for c in [*self._pending, *self._queue])
        return under_way + sum(count * fidelity for count, fidelity in self._plan)

    def ask(self) -> Candidate | None:
        """Propose the next candidate; None when the winner has been trained.

        Raises:
            RuntimeError: if the next rung depends on candidates that have not been told.
        """
        if not self._queue:
            if self._pending:
                waiting = ", ".join(str(c.number) for c in self._pending)
                raise RuntimeError(f"Tell candidates {waiting} before asking for the next rung.")
            if not self._plan:
                return None
            self._open(self._finalists() if len(self._plan) > 1 else [self._winner()])
        candidate = self._queue.pop(0)
        self._pending.append(candidate)
        return candidate

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements on the validation split.

        Args:
            candidate: as asked.
            measurements: by requirement text or quantity name; without the metric (a training that
                diverged, a design not worth training) the candidate ranks last.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        if candidate not in self._pending:
            raise ValueError(f"Candidate {candidate.number} was not asked for, or was told before.")
        self._pending.remove(candidate)
        self._records.append(Record(candidate, measurements))

    def _open(self, designs: list[Design]) -> None:
        _, fidelity = self._plan.pop(0)
        for design in designs:
            self._queue.append(Candidate(self._number, design, fidelity, axis=self._axis))
            self._number += 1

    def _finalists(self) -> list[Design]:
        ranked = sorted(self._records, key=self._rank)
        sure = [r for r in ranked if self._meets(r)]
        leader = min(sure, key=_by_size) if sure else ranked[0]
        others = [r for r in ranked if r is not leader]
        larger = [r for r in others if self._place(r) > self._place(leader)]
        larger = [r for r in larger if not self._is_useless(r)]
        return [r.candidate.design for r in (leader, (larger or others)[0])]

    def _winner(self) -> Design:
        latest = max(r.candidate.fidelity for r in self._records)
        rung = [r for r in self._records if r.candidate.fidelity == latest]
        sure = [r for r in rung if self._meets(r)]
        if sure:
            return min(sure, key=_by_size).candidate.design
        return min(rung, key=lambda r: self._rank(self._projected(r))).candidate.design

    def _projected(self, late: Record) -> Record:
        """Put the metric that a full training promises in place of the one measured."""
        early = next(r for r in self._records if r.candidate.design == late.candidate.design)
        if self._is_useless(early) or self._is_useless(late):
            return late
        before, after = early.measurements[self._metric], late.measurements[self._metric]
        spent = late.candidate.fidelity / early.candidate.fidelity
        higher = higher_is_better(self._metric)

        def error(found: Measurement) -> float:
            if higher:
                return max(1 - found.value, 0.5 / max(found.n, 1))  # no error seen is not none
            return max(found.value, 1e-30)

        power = math.log(error(before) / error(after)) / math.log(spent)
        power = min(max(power, 0.0), _STEEPEST)
        promised = error(after) * late.candidate.fidelity**power
        value = 1 - promised if higher else promised
        names = {self._metric} | {q.text for q in self._requirements if q.quantity == self._metric}
        hoped = {
            name: replace(found, value=value) if name in names else found
            for name, found in late.measurements.items()
        }
        return replace(late, measurements=hoped)

    def _place(self, record: Record) -> int:
        return self._order[record.candidate.design.name]

    def _is_useless(self, record: Record) -> bool:
        found = record.measurements.get(self._metric)
        return found is None or not math.isfinite(found.value)

    def _rank(self, record: Record) -> tuple[float, ...]:
        found = record.measurements
        missed = sum(
            shortfall(q, found[q.text].value) for q in self._requirements if q.text in found
        )
        return (self._is_useless(record), missed, *ranking_key(record, self._metric))

    def _meets(self, record: Record) -> bool:
        requirements = self._requirements
        return asks_for_learning(requirements) and surely_meets(record, requirements)


def _by_size(record: Record) -> tuple[float, int]:
    return size_of(record), record.candidate.number


def _plan(n: int) -> list[tuple[int, float]]:
    if n == 1:
        return [(1, 1.0)]
    return [(n, round(_FIRST / n, 3)), (_FINALISTS, _SECOND / _FINALISTS), (1, 1.0)]
