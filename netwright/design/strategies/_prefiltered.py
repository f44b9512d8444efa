"""Train only what a cheap score thinks most of, among several that a strategy proposes.

Paper:    Abdelfattah, Mehrotra, Dudziak, Lane. Zero-Cost Proxies for Lightweight NAS. ICLR 2021,
          arXiv:2101.08134, section 5.1 (warm-up and moves by proxy).
Departs:  the filter stands around any strategy, which is told that what was passed over failed.
Notation: `n_scored` = N, proposals scored for each that is trained.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from netwright.design._design import Candidate, Design, Strategy
from netwright.design.spaces._space import Space
from netwright.design.strategies._awaited import Awaited
from netwright.design.strategies._random import RandomCodes
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["Prefiltered"]


class Prefiltered:
    """A filter around a strategy. As deterministic as the strategy and the score."""

    def __init__(
        self,
        space: Space,
        *,
        n_candidates: int,
        score: Callable[[Design], float],
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        seed: int = 0,
        fidelity: float = 1.0,
        n_scored: int = 8,
        make_sampler: Callable[..., Strategy] = RandomCodes,
    ) -> None:
        """Set up the strategy inside.

        Args:
            space: what to search.
            n_candidates: how many to train.
            score: of a design, more is better, for example `naswot` of its network on a batch; not
                a number is worse than all.
            requirements: as the strategy inside understands them.
            metric: the quantity that ranks networks.
            seed: of the strategy inside.
            fidelity: share of a full training that each gets.
            n_scored: proposals that are scored for each one that is trained.
            make_sampler: makes the strategy inside, with the arguments that all share.

        Raises:
            ValueError: if `n_candidates` or `n_scored` is not positive, or `fidelity` is not in
                (0, 1].
        """
        if n_scored < 1:
            raise ValueError(f"`n_scored` must be at least 1; got {n_scored}.")
        self._sampler = make_sampler(
            space,
            n_candidates=n_candidates * n_scored,
            requirements=requirements,
            metric=metric,
            seed=seed,
            fidelity=fidelity,
        )
        self._score, self._n_scored, self._fidelity = score, n_scored, fidelity
        self._left = n_candidates
        self._out: Awaited[Candidate] = Awaited()  # as asked inside

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        return self._out.fidelity + self._left * self._fidelity

    def ask(self) -> Candidate | None:
        """Propose the best by score of several candidates; None when all have been asked for."""
        proposed: list[Candidate] = []
        while self._left and len(proposed) < self._n_scored:
            candidate = self._sampler.ask()
            if candidate is None:
                break
            proposed.append(candidate)
        if not proposed:
            self._left = 0
            return None
        scores = [self._score(candidate.design) for candidate in proposed]
        ranked = [-math.inf if math.isnan(score) else score for score in scores]
        inner = proposed[ranked.index(max(ranked))]
        for candidate in proposed:
            if candidate is not inner:
                self._sampler.tell(candidate, {})
        self._left -= 1
        return self._out.send(inner.design, self._fidelity, inner)

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements on the validation split.

        Args:
            candidate: as asked.
            measurements: by requirement text or quantity name.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        self._sampler.tell(self._out.take(candidate), measurements)
