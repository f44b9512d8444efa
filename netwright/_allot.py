"""How much of the budget each candidate may use."""

import math

from netwright._journal import Journal
from netwright.design import Candidate
from netwright.learn import Budget

__all__ = ["Allotment"]

# Seconds of a wall-clock budget that are kept for writing the artefact, the audit and the report.
_RESERVE, _RESERVE_SHARE = 9.0, 0.05


class Allotment:
    """Shares a budget out by fidelity, as the search goes on.

    A candidate that was given a share keeps it: after a kill it goes on with what is left of it.
    """

    def __init__(self, limit: Budget, planned: float, journal: Journal) -> None:
        """Begin with the whole budget, less what the journal says was given.

        Args:
            limit: of the whole job.
            planned: fidelity of all candidates that the search will propose.
            journal: of the run; its clock counts earlier tries too.
        """
        self._limit = limit
        self._planned = planned
        self._journal = journal
        self._measuring = 0.0
        self._given = {
            e.facts["number"]: Budget(e.facts["seconds"], e.facts["steps"])
            for e in journal.find("candidate asked")
        }

    @property
    def left(self) -> float | None:
        """Seconds for training and measuring that are left; None where steps are counted."""
        if self._limit.seconds is None:
            return None
        reserve = _RESERVE + _RESERVE_SHARE * self._limit.seconds
        return max(1.0, self._limit.seconds - reserve - self._journal.elapsed)

    @property
    def is_used_up(self) -> bool:
        """Whether the wall clock has run out, the reserve included."""
        return self._limit.seconds is not None and self._journal.elapsed > self._limit.seconds

    @property
    def unused(self) -> float:
        """Share of the budget that no candidate was given, or, on the clock, that is left."""
        if self._limit.steps is not None:
            return 1 - sum(b.steps or 0 for b in self._given.values()) / self._limit.steps
        assert self._limit.seconds is not None and self.left is not None
        return self.left / self._limit.seconds if self.left > 1.0 else 0.0

    def leave_out(self, candidate: Candidate) -> None:
        """Give the share of a candidate that is not trained to the others.

        Args:
            candidate: as proposed.
        """
        self._planned -= candidate.fidelity

    def note_measuring(self, seconds: float) -> None:
        """Keep time for measuring what is trained, as long as it took so far.

        Args:
            seconds: that measuring a trained candidate took.
        """
        self._measuring = max(self._measuring, seconds)

    def give(
        self, candidate: Candidate, remaining: float, *, at_once: int = 1, share: float = 1.0
    ) -> Budget:
        """Give a candidate its share of what is left: steps, or seconds.

        Args:
            candidate: as proposed.
            remaining: fidelity of all that is under way or to come, this candidate included.
            at_once: candidates that train at the same time; on the clock they do not share.
            share: part of the share that a candidate of this fidelity would get.
        """
        number, fidelity = candidate.number, candidate.fidelity
        if number not in self._given:
            if self._limit.steps is not None:
                planned = max(self._planned, fidelity)
                steps = round(self._limit.steps * fidelity / planned * share)
                self._given[number] = Budget(steps=max(1, steps))
            else:
                left = self.left
                assert left is not None
                rounds = max(remaining, fidelity) / fidelity
                if at_once > 1:  # candidates of one size stand side by side
                    rounds = math.ceil(rounds / at_once - 1e-9)
                seconds = left / rounds * share
                seconds -= min(self._measuring, seconds / 2)
                self._given[number] = Budget(seconds=seconds)
        return self._given[number]

    def give_rest(self, candidate: Candidate, n: int) -> Budget:
        """Give one of a few candidates an equal part of all that nobody was given.

        Args:
            candidate: its number says whether it has its part already.
            n: candidates that share the rest, this one included.
        """
        if candidate.number not in self._given:
            if self._limit.steps is not None:
                steps = round(self._limit.steps * max(0.0, self.unused) / n)
                self._given[candidate.number] = Budget(steps=max(1, steps))
            else:
                assert self.left is not None
                self._given[candidate.number] = Budget(seconds=self.left / n)
        return self._given[candidate.number]
