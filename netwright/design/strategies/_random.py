"""Train designs drawn at random from a space: the yardstick of every other search.

Paper:    Bergstra, Bengio. Random Search for Hyper-Parameter Optimization. JMLR 13, 2012.
Departs:  no network is drawn twice.
Notation: `n_candidates` = S.
"""

import random
from collections.abc import Mapping, Sequence

from netwright import _rng
from netwright.design._design import Candidate
from netwright.design.spaces._space import Space
from netwright.design.strategies._children import Children
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["RandomCodes"]


class RandomCodes:
    """A search without memory. Deterministic for a given seed."""

    def __init__(
        self,
        space: Space,
        *,
        n_candidates: int,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        seed: int = 0,
        fidelity: float = 1.0,
    ) -> None:
        """Set up the search.

        Args:
            space: what to draw from; each code is as likely as any other.
            n_candidates: how many to train; fewer where the space holds fewer networks.
            requirements: not looked at; every strategy takes them.
            metric: not looked at; every strategy takes it.
            seed: of the draws.
            fidelity: share of a full training that each gets.

        Raises:
            ValueError: if `n_candidates` is not positive or `fidelity` is not in (0, 1].
        """
        self._children = Children(
            space,
            n_candidates=n_candidates,
            requirements=requirements,
            metric=metric,
            fidelity=fidelity,
        )
        self._random = random.Random(_rng.child_seed(seed, "strategies/random"))

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        return self._children.remaining

    def ask(self) -> Candidate | None:
        """Propose the next candidate; None when all have been asked for."""
        code = self._children.draw_new(self._random) if self._children.left else None
        if code is None:
            self._children.finish()
            return None
        return self._children.ask(code)

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements; they change nothing.

        Args:
            candidate: as asked.
            measurements: on the validation split.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        self._children.tell(candidate, measurements)
