"""Try strong defaults, evolve from good starts, compare the best, and train one in full.

Paper:    the evolution is that of Real, Aggarwal, Huang, Le. AAAI 2019, arXiv:1802.01548; the rungs
          are those of Jamieson, Talwalkar. AISTATS 2016, arXiv:1502.07943; that defaults from
          experience go first is the portfolio of Feurer et al. Auto-Sklearn 2.0. JMLR 23, 2022,
          section 4.
Departs:  two rungs stand before one full training, and each has a share of the budget of its own.
Notation: `explore`, `compare` = budgets of the rungs, in full trainings.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from netwright.design._design import Candidate, Design, Strategy
from netwright.design._ranking import asks_for_learning, size_of, surely_meets
from netwright.design._record import Record
from netwright.design.spaces._space import Code, Decision, Space
from netwright.design.strategies._awaited import Awaited
from netwright.design.strategies._fitness import fitness
from netwright.design.strategies._regularized_evolution import RegularizedEvolution
from netwright.design.strategies._reinforce import Moment, Observed
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["PortfolioEvolution"]


class PortfolioEvolution:
    """The search to use. Deterministic: the same measurements give the same candidates.

    Designs are tried briefly: a portfolio first, then codes of a space, mutated from the best. The
    best of all are trained longer, and the best of those, or the smallest that surely meets every
    requirement, in full.
    """

    def __init__(
        self,
        space: Space,
        *,
        n_candidates: int,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        seed: int = 0,
        fidelity: float = 1.0,
        portfolio: Sequence[Design] = (),
        start: Sequence[Code] = (),
        explore: float = 0.4,
        compare: float = 0.4,
        n_finalists: int | None = None,
        population: int = 12,
        tournament: int = 4,
        inherit: bool = False,
        make_sampler: Callable[..., Strategy] | None = None,
    ) -> None:
        """Plan the rungs.

        Args:
            space: what to search.
            n_candidates: designs that are tried, the portfolio included; 1 trains one in full.
            requirements: a candidate that misses less of them is better, whatever its metric.
            metric: the quantity that ranks networks.
            seed: of every random choice.
            fidelity: share of a full training that the last candidate gets.
            portfolio: designs to try first, of any family.
            start: codes to try next, and to evolve from, for example those of the portfolio.
            explore: budget of the first rung, all candidates together, in trainings of the last.
            compare: budget of the second, likewise.
            n_finalists: candidates of the second rung; an eighth of all if None, but at least two.
            population: how many codes live in the evolution.
            tournament: how many of them compete to be the parent of the next.
            inherit: whether a candidate that goes up a rung starts from the weights it had.
            make_sampler: makes another strategy that proposes codes instead of evolution, with the
                arguments that all share; `start`, `population` and `tournament` are then not used.

        Raises:
            ValueError: if a number is out of its range.
        """
        if n_candidates < 1 or (n_finalists is not None and n_finalists < 1):
            raise ValueError(
                f"`n_candidates` and `n_finalists` must be at least 1; got {n_candidates} and "
                f"{n_finalists}."
            )
        if not (0 < explore <= n_candidates and compare > 0):
            raise ValueError(
                f"`explore` and `compare` must be positive, and no candidate may get more than a "
                f"full training; got {explore} and {compare}."
            )
        self._queue_up: list[Record] = []  # who goes up to this rung
        self._queue = list(portfolio)[:n_candidates]
        n_codes = n_candidates - len(self._queue)
        finalists = n_finalists or max(2, n_candidates // 8)
        finalists = min(finalists, n_candidates)
        self._plan = [  # (places, fidelity)
            (n_candidates, round(fidelity * explore / n_candidates, 4)),
            (finalists, round(fidelity * min(1.0, compare / finalists), 4)),
            (1, fidelity),
        ]
        if n_candidates == 1:
            self._plan = self._plan[2:]
        if make_sampler is None:
            make_sampler = partial(
                RegularizedEvolution,
                population=min(population, max(1, n_codes)),
                tournament=min(tournament, population, max(1, n_codes)),
                start=start,
            )
        self._sampler = make_sampler(
            space,
            n_candidates=max(1, n_codes),
            requirements=requirements,
            metric=metric,
            seed=seed,
            fidelity=fidelity,
        )
        self._requirements, self._metric = tuple(requirements), metric
        self._inherit = inherit
        self._rung = 0
        self._left = self._plan[0][0]
        self._out: Awaited[Candidate | None] = Awaited()  # as asked of the strategy inside
        self._records: list[list[Record]] = [[] for _ in self._plan]

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        to_come = sum(places * share for places, share in self._plan[self._rung + 1 :])
        return self._out.fidelity + self._left * self._plan[self._rung][1] + to_come

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What is decided, where the strategy inside can be looked at."""
        return self._sampler.decisions if isinstance(self._sampler, Observed) else ()

    @property
    def history(self) -> tuple[Moment, ...]:
        """What the strategy inside has learned, where it can be looked at."""
        return self._sampler.history if isinstance(self._sampler, Observed) else ()

    def ask(self) -> Candidate | None:
        """Propose the next candidate; None when one has been trained in full.

        Raises:
            RuntimeError: if the next rung depends on candidates that have not been told.
        """
        if not self._left and self._rung + 1 < len(self._plan):
            self._out.require_none()
            self._climb()
        if not self._left:
            return None
        if self._rung and self._queue_up:
            below = self._queue_up.pop(0).candidate
            return self._send(below.design, below.number if self._inherit else None, None)
        if self._queue:
            return self._send(self._queue.pop(0), None, None)
        inner = self._sampler.ask()
        if inner is None:  # the space holds fewer designs than were planned
            self._left = 0
            return self.ask()
        return self._send(inner.design, None, inner)

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements on the validation split.

        Args:
            candidate: as asked.
            measurements: by requirement text or quantity name; without the metric it ranks last.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        inner = self._out.take(candidate)
        self._records[self._rung].append(Record(candidate, dict(measurements)))
        if inner is not None:
            self._sampler.tell(inner, measurements)

    def _send(self, design: Design, parent: int | None, inner: Candidate | None) -> Candidate:
        self._left -= 1
        return self._out.send(design, self._plan[self._rung][1], inner, parent=parent)

    def _climb(self) -> None:
        told = sorted(self._records[self._rung], key=self._rank)
        self._rung += 1
        places = min(self._plan[self._rung][0], len(told))
        sure = [record for record in told if self._surely_meets(record)]
        if sure:
            smallest = min(sure, key=lambda r: (size_of(r), r.candidate.number))
            told.remove(smallest)
            told.insert(0, smallest)
        self._queue_up, self._left = told[:places], places

    def _rank(self, record: Record) -> tuple[object, ...]:
        found = fitness(record.measurements, self._requirements, self._metric)
        return not math.isfinite(found.loss), found, record.candidate.number

    def _surely_meets(self, record: Record) -> bool:
        requirements = self._requirements
        return asks_for_learning(requirements) and surely_meets(record, requirements)
