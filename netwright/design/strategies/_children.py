"""The children of a search: each asked for once, numbered, awaited, and scored when it is told."""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netwright.design._design import Candidate
from netwright.design._ranking import quantity_of
from netwright.design.spaces._space import Code, Space, count
from netwright.design.strategies._awaited import Awaited
from netwright.design.strategies._fitness import Fitness, fitness
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["Child", "Children"]

_DRAWS = 64  # before a small space is searched for what is left of it
_LISTED = 1 << 16  # codes that may be listed


@dataclass(frozen=True, slots=True)
class Child:
    """A candidate that was told.

    Attributes:
        candidate: as asked.
        code: its place in the space.
        fitness: what it turned out to be.
        measurements: as told.
    """

    candidate: Candidate
    code: Code
    fitness: Fitness
    measurements: Mapping[str, Measurement]


class Children:
    """The books that every strategy keeps: what is out, what came back, what has been tried.

    Attributes:
        space: what codes mean.
        told: all children that were told, in the order of telling.
    """

    def __init__(
        self,
        space: Space,
        *,
        n_candidates: int,
        requirements: Sequence[Requirement],
        metric: str,
        fidelity: float,
    ) -> None:
        """Open the books.

        Args:
            space: what codes mean.
            n_candidates: how many to ask for.
            requirements: what the network must meet.
            metric: the quantity that ranks networks.
            fidelity: share of a full training that each child gets.

        Raises:
            ValueError: if `n_candidates` is not positive, `fidelity` is not in (0, 1], or the
                catalogue of quantities has no `metric`.
        """
        if n_candidates < 1:
            raise ValueError(f"`n_candidates` must be at least 1; got {n_candidates}.")
        if not 0 < fidelity <= 1:
            raise ValueError(f"`fidelity` is a share of a training, in (0, 1]; got {fidelity}.")
        try:
            quantity_of(metric)
        except KeyError:
            raise ValueError(f"`metric` must be a quantity; none is called {metric!r}.") from None
        self.space = space
        self.told: list[Child] = []
        self._n, self._fidelity = n_candidates, fidelity
        self._requirements, self._metric = tuple(requirements), metric
        self._out: Awaited[Code] = Awaited()
        self._tried: set[Code] = set()
        self._canonical: dict[Code, Code] = {}
        self._sizes = [len(decision.options) for decision in space.decisions]

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        return self._out.fidelity + self.left * self._fidelity

    @property
    def left(self) -> int:
        """How many may still be asked for."""
        return self._n - self._out.n_sent

    def finish(self) -> None:
        """Ask for no more: the space holds nothing new."""
        self._n = self._out.n_sent

    def ask(self, code: Code) -> Candidate:
        """Send a child out.

        Args:
            code: its place in the space.
        """
        assert self.left > 0
        self._tried.add(self.canonical(code))
        return self._out.send(self.space.design(code), self._fidelity, code)

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> Child:
        """Take a child back and score it.

        Args:
            candidate: as asked.
            measurements: by requirement text or quantity name.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        code = self._out.take(candidate)
        found = fitness(measurements, self._requirements, self._metric)
        self.told.append(Child(candidate, code, found, dict(measurements)))
        return self.told[-1]

    def canonical(self, code: Code) -> Code:
        """Return the one code that stands for all codes of the same network; remembers it.

        Args:
            code: an option of each decision.
        """
        if code not in self._canonical:
            self._canonical[code] = self.space.canonical(code)
        return self._canonical[code]

    def is_new(self, code: Code) -> bool:
        """Say whether no child of the same network has been sent out.

        Args:
            code: an option of each decision.
        """
        return self.canonical(code) not in self._tried

    def draw(self, source: random.Random) -> Code:
        """Draw a code, uniformly.

        Args:
            source: of randomness.
        """
        return tuple(source.randrange(size) for size in self._sizes)

    def draw_new(self, source: random.Random) -> Code | None:
        """Draw a code of a network that has not been tried.

        Args:
            source: of randomness.

        Returns:
            A code, uniformly among those left; None if there is none. In a space too large to list,
            a code that may have been tried, should 64 draws find no other.
        """
        code = ()
        for _ in range(_DRAWS):
            code = self.draw(source)
            if self.is_new(code):
                return code
        if count(self.space) > _LISTED:
            return code
        every = itertools.product(*(range(size) for size in self._sizes))
        left = [code for code in every if self.is_new(code)]
        return source.choice(left) if left else None

    def mutate(self, code: Code, source: random.Random, *, n_changes: int = 1) -> Code:
        """Change decisions of a code: to the next option where options are ordered, else to any.

        Args:
            code: an option of each decision.
            source: of randomness.
            n_changes: how many decisions to change; one may be changed twice.
        """
        changed = list(code)
        open_places = [place for place, size in enumerate(self._sizes) if size > 1]
        for _ in range(n_changes if open_places else 0):
            place = source.choice(open_places)
            size, old = self._sizes[place], changed[place]
            if self.space.decisions[place].ordered and size > 2:
                new = old + source.choice((-1, 1))
                changed[place] = new if 0 <= new < size else old + old - new
            else:
                changed[place] = (old + source.randrange(1, size)) % size
        return tuple(changed)

    def mutate_new(self, code: Code, source: random.Random) -> Code | None:
        """Change as few decisions of a code as give a network that has not been tried.

        Args:
            code: an option of each decision.
            source: of randomness.

        Returns:
            As `draw_new`, which decides where all near networks have been tried.
        """
        for attempt in range(_DRAWS):
            changed = self.mutate(code, source, n_changes=1 + attempt // 8)
            if self.is_new(changed):
                return changed
        return self.draw_new(source)
