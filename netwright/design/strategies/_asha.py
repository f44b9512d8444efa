"""Train many designs a little, and whichever is among the best so far a good deal more.

Paper:    Li, Jamieson, Rostamizadeh, Gonina, Ben-Tzur, Hardt, Recht, Talwalkar. A System for
          Massively Parallel Hyperparameter Tuning. MLSys 2020, arXiv:1810.05934, algorithm 2.
Departs:  the number of designs of each rung is fixed from the start, so that a search ends and its
          cost is known; where the last places of a rung wait for candidates that are out, `ask`
          says so. Designs come from any strategy, which is told of the lowest rung.
Notation: `reduction` = eta, `least` = r / R, rung = k.
"""

from collections.abc import Callable, Mapping, Sequence

from netwright.design._design import AXES, Axis, Candidate, Strategy
from netwright.design.spaces._space import Space
from netwright.design.strategies._awaited import Awaited
from netwright.design.strategies._fitness import Fitness, fitness
from netwright.design.strategies._random import RandomCodes
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["Asha"]


class Asha:
    """Asynchronous successive halving around a strategy.

    A fidelity is a share of a full training: of its epochs, of the rows, or of the pixels.

    Deterministic: the same measurements, told in the same order, give the same candidates.
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
        reduction: int = 3,
        least: float = 1 / 9,
        inherit: bool = False,
        axis: Axis = "epochs",
        make_sampler: Callable[..., Strategy] = RandomCodes,
    ) -> None:
        """Plan the rungs.

        Args:
            space: what to search.
            n_candidates: designs of the lowest rung; each higher one takes so many divided by
                `reduction`, at least one.
            requirements: a candidate that misses less of them is better, whatever its metric.
            metric: the quantity that ranks networks.
            seed: of the strategy inside.
            fidelity: share of a full training that the highest rung gets.
            reduction: one in so many goes up a rung, and gets so many times the training.
            least: what the lowest rung gets, as a share of `fidelity`; rounded to a power of
                `reduction`.
            inherit: whether a candidate that goes up starts from the weights it had (`parent`) and
                is trained for the difference alone; else it is trained afresh.
            axis: what the lower rungs cut: "epochs", "rows" or "resolution" (see `Candidate`).
            make_sampler: makes the strategy inside, with the arguments that all share.

        Raises:
            ValueError: if a number is out of its range, or `inherit` is asked of another axis than
                "epochs": a training on other data is not the first part of a longer one.
        """
        if axis not in AXES or (inherit and axis != "epochs"):
            raise ValueError(
                f"`axis` must be one of {', '.join(AXES)}, and epochs with `inherit`; got {axis!r}."
            )
        if reduction < 2 or not 0 < least <= 1:
            raise ValueError(
                f"`reduction` must be at least 2 and `least` in (0, 1]; got {reduction} and "
                f"{least}."
            )
        if not 0 < fidelity <= 1:
            raise ValueError(f"`fidelity` is a share of a training, in (0, 1]; got {fidelity}.")
        rungs = [fidelity]
        while rungs[0] / reduction >= 0.9 * least * fidelity:
            rungs.insert(0, rungs[0] / reduction)
        self._rungs = rungs
        self._sampler = make_sampler(
            space,
            n_candidates=n_candidates,
            requirements=requirements,
            metric=metric,
            seed=seed,
            fidelity=rungs[0],
        )
        self._places = [max(1, n_candidates // reduction**k) for k in range(len(rungs))]
        self._costs = [
            share - (rungs[k - 1] if inherit and k else 0) for k, share in enumerate(rungs)
        ]
        self._reduction, self._inherit = reduction, inherit
        self._axis: Axis = axis
        self._requirements, self._metric = tuple(requirements), metric
        self._out: Awaited[tuple[int, Candidate | None]] = Awaited()  # rung, asked inside
        self._told: list[list[tuple[Fitness, int, Candidate]]] = [[] for _ in rungs]
        self._promoted: set[int] = set()  # numbers
        self._left = self._places.copy()

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        to_come = sum(n * cost for n, cost in zip(self._left, self._costs, strict=True))
        return self._out.fidelity + to_come

    def ask(self) -> Candidate | None:
        """Propose the next candidate: one that goes up a rung, if any may, else a new one.

        Returns:
            A candidate; None when the highest rung is full.

        Raises:
            RuntimeError: if the next candidate depends on some that have not been told.
        """
        for rung in range(len(self._rungs) - 1, 0, -1):
            if self._left[rung] and (below := self._promotable(rung - 1)) is not None:
                self._promoted.add(below.number)
                self._left[rung] -= 1
                parent = below.number if self._inherit else None
                return self._out.send(
                    below.design, self._costs[rung], (rung, None), parent=parent, axis=self._axis
                )
        inner = self._sampler.ask() if self._left[0] else None
        if inner is not None:
            self._left[0] -= 1
            return self._out.send(inner.design, self._costs[0], (0, inner), axis=self._axis)
        if self._left[0]:  # the space holds fewer designs than were planned
            self._shrink()
            return self.ask()
        self._out.require_none()
        return None

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements on the validation split.

        Args:
            candidate: as asked.
            measurements: by requirement text or quantity name; without the metric it ranks last.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        rung, inner = self._out.take(candidate)
        found = fitness(measurements, self._requirements, self._metric)
        self._told[rung].append((found, candidate.number, candidate))
        if inner is not None:
            self._sampler.tell(inner, measurements)

    def _shrink(self) -> None:
        n = self._places[0] - self._left[0]
        before = self._places
        self._places = [min(n, max(1, n // self._reduction**k)) for k in range(len(before))]
        sent = [places - left for places, left in zip(before, self._left, strict=True)]
        self._left = [max(0, p - done) for p, done in zip(self._places, sent, strict=True)]

    def _promotable(self, rung: int) -> Candidate | None:
        """Return the best of a rung that may go up: among its best `1 / reduction` so far."""
        told = sorted(self._told[rung], key=lambda entry: entry[:2])
        n_best = len(told) // self._reduction
        is_over = not any(self._left[: rung + 1]) and not any(
            below <= rung for below, _ in self._out.notes
        )
        if is_over:  # the rung is complete, so the places above go to its best
            n_best = self._places[rung + 1]
        for _, number, candidate in told[:n_best]:
            if number not in self._promoted:
                return candidate
        return None
