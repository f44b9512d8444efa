"""Evolve designs by mutation, and let the oldest die.

Paper:    Real, Aggarwal, Huang, Le. Regularized Evolution for Image Classifier Architecture Search.
          AAAI 2019, arXiv:1802.01548, algorithm 1.
Departs:  a decision of ordered options moves to a neighbour; a network that was tried is mutated
          again, so that none is trained twice; children may be told late and in any order.
Notation: `population` = P, `tournament` = S, `n_candidates` = C.
"""

import random
from collections import deque
from collections.abc import Mapping, Sequence

from netwright import _rng
from netwright.design._design import Candidate
from netwright.design.spaces._space import Code, Space
from netwright.design.strategies._children import Child, Children
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["RegularizedEvolution"]


class RegularizedEvolution:
    """Aging evolution. Deterministic: the same measurements give the same candidates."""

    def __init__(
        self,
        space: Space,
        *,
        n_candidates: int,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        seed: int = 0,
        fidelity: float = 1.0,
        population: int = 20,
        tournament: int = 5,
        start: Sequence[Code] = (),
    ) -> None:
        """Set up the search.

        Args:
            space: what to search.
            n_candidates: how many to train; fewer where the space holds fewer networks.
            requirements: a candidate that misses less of them is fitter, whatever its metric.
            metric: the quantity that ranks networks.
            seed: of every random choice.
            fidelity: share of a full training that each gets.
            population: how many live; so many are drawn at random before the first is mutated.
            tournament: how many of them compete to be the parent of the next.
            start: first members of the population, before any random one.

        Raises:
            ValueError: if a number is not positive, `fidelity` is not in (0, 1], or `tournament`
                exceeds `population`.
        """
        if not 1 <= tournament <= population:
            raise ValueError(
                f"`tournament` must be in 1..`population`; got {tournament} of {population}."
            )
        self._children = Children(
            space,
            n_candidates=n_candidates,
            requirements=requirements,
            metric=metric,
            fidelity=fidelity,
        )
        self._random = random.Random(_rng.child_seed(seed, "strategies/evolution"))
        self._alive: deque[Child] = deque(maxlen=population)  # the oldest leaves first
        self._tournament, self._population = tournament, population
        self._start = list(start)
        self._founders = 0

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        return self._children.remaining

    def ask(self) -> Candidate | None:
        """Propose the next candidate; None when all have been asked for."""
        code = self._next() if self._children.left else None
        if code is None:
            self._children.finish()
            return None
        return self._children.ask(code)

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements on the validation split; it joins the population.

        Args:
            candidate: as asked.
            measurements: by requirement text or quantity name; without the metric it ranks last.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        self._alive.append(self._children.tell(candidate, measurements))

    def _next(self) -> Code | None:
        while self._start:
            code = tuple(self._start.pop(0))
            if self._children.is_new(code):
                self._founders += 1
                return code
        if self._founders < self._population or not self._alive:
            self._founders += 1
            return self._children.draw_new(self._random)
        drawn = self._random.sample(list(self._alive), min(self._tournament, len(self._alive)))
        parent = min(drawn, key=lambda child: (child.fitness, child.candidate.number))
        return self._children.mutate_new(parent.code, self._random)
