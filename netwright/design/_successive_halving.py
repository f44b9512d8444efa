"""Train every design a little, the better ones more, and the best one for most of the budget.

Paper:    Jamieson, Talwalkar. Non-stochastic Best Arm Identification and Hyperparameter
          Optimization. AISTATS 2016, arXiv:1502.07943, figure 3 (Successive Halving).
Departs:  the last rung gets at least 60 percent of the budget, since a network and not only its
          rank is wanted; at most two rungs stand before it; a design that already meets every
          requirement wins over better but larger ones.
Notation: `designs` = arms, share of a rung = r_k / B.
"""

import math
from collections.abc import Mapping, Sequence

from netwright.design._design import Candidate, Design
from netwright.design._ranking import asks_for_learning, ranking_key, shortfall, size_of
from netwright.design._record import Record
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["SuccessiveHalving"]

# Fidelity of all early rungs together, beside 1.0 for the last: 0.6 / 1.6 = 37.5 % of the budget.
_EARLY = 0.6
_FINALISTS = 2


class SuccessiveHalving:
    """A search by rungs. Deterministic: the same measurements give the same candidates.

    Up to three designs are compared in one rung; more go through two rungs, the second for the best
    two. The last candidate is the winner, trained in full. A single design is trained at once.
    """

    def __init__(
        self,
        designs: Sequence[Design],
        *,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
    ) -> None:
        """Plan the rungs.

        Args:
            designs: what to try, smallest first; names must differ.
            requirements: a design that surely meets them all early on wins.
            metric: the quantity that ranks networks.

        Raises:
            ValueError: if there is no design, or two share a name.
        """
        if not designs:
            raise ValueError("`designs` is empty: there is nothing to search among.")
        names = [design.name for design in designs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"`designs` must have different names; {twice!r} occurs twice.")
        self._requirements = tuple(requirements)
        self._metric = metric
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
            self._open(self._best(self._plan[0][0]))
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
            self._queue.append(Candidate(self._number, design, fidelity))
            self._number += 1

    def _best(self, count: int) -> list[Design]:
        latest = max(r.candidate.fidelity for r in self._records)
        rung = [r for r in self._records if r.candidate.fidelity == latest]
        sure = [r for r in rung if self._meets(r)]
        if sure and count == 1:
            return [min(sure, key=lambda r: (size_of(r), r.candidate.number)).candidate.design]
        ranked = sorted(rung, key=self._rank)
        return [r.candidate.design for r in ranked[:count]]

    def _rank(self, record: Record) -> tuple[float, ...]:
        found = record.measurements
        is_useless = self._metric not in found or not math.isfinite(found[self._metric].value)
        missed = sum(
            shortfall(q, found[q.text].value) for q in self._requirements if q.text in found
        )
        return (is_useless, missed, *ranking_key(record, self._metric))

    def _meets(self, record: Record) -> bool:
        found = record.measurements
        return asks_for_learning(self._requirements) and all(
            q.text in found and q.judge(found[q.text]).verdict == "met" for q in self._requirements
        )


def _plan(n: int) -> list[tuple[int, float]]:
    if n == 1:
        return [(1, 1.0)]
    if n <= 3:
        return [(n, round(_EARLY / n / 1.5, 3)), (1, 1.0)]
    each = round(_EARLY / 2 / n, 3)
    return [(n, each), (_FINALISTS, _EARLY / 2 / _FINALISTS), (1, 1.0)]
