"""Train designs drawn at random, each in full: the yardstick of every other search.

Paper:    Bergstra, Bengio. Random Search for Hyper-Parameter Optimization. JMLR 13, 2012.
Departs:  designs are drawn without replacement from a given list.
Notation: `n_candidates` = S.
"""

from collections.abc import Mapping, Sequence

import torch

from netwright.design._design import Candidate, Design
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["RandomSearch"]


class RandomSearch:
    """A search without memory. Deterministic for a given seed."""

    def __init__(
        self,
        designs: Sequence[Design],
        *,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        n_candidates: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw the candidates.

        Args:
            designs: what to draw from.
            requirements: not looked at; every strategy takes them.
            metric: not looked at; every strategy takes it.
            n_candidates: how many to train, at most all; each gets the same share of the budget.
            generator: draws the designs; a generator with seed 0 if None.

        Raises:
            ValueError: if there is no design or `n_candidates` is not positive.
        """
        if not designs or n_candidates < 1:
            raise ValueError(
                f"`designs` and `n_candidates` must not be empty; got {len(designs)} designs and "
                f"{n_candidates} candidates."
            )
        generator = generator or torch.Generator().manual_seed(0)
        drawn = torch.randperm(len(designs), generator=generator)[:n_candidates].tolist()
        self._queue = [Candidate(number, designs[place]) for number, place in enumerate(drawn)]
        self._pending: list[Candidate] = []

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        return sum(c.fidelity for c in [*self._pending, *self._queue])

    def ask(self) -> Candidate | None:
        """Propose the next candidate; None when all have been asked for."""
        if not self._queue:
            return None
        self._pending.append(self._queue.pop(0))
        return self._pending[-1]

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements; they change nothing.

        Args:
            candidate: as asked.
            measurements: on the validation split.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        if candidate not in self._pending:
            raise ValueError(f"Candidate {candidate.number} was not asked for, or was told before.")
        self._pending.remove(candidate)
