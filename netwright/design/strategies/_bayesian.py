"""Model which designs are good and which are not, and try what is likelier among the good.

Paper:    Bergstra, Bardenet, Bengio, Kegl. Algorithms for Hyper-Parameter Optimization. NeurIPS
          2011, section 4 (tree-structured Parzen estimator), as Optuna's `TPESampler` runs it.
          Requirements as in Watanabe, Hutter. c-TPE. 2022, arXiv:2211.14411.
Departs:  a design that was proposed before is mutated until it is new.
Notation: `n_first` = number of random designs before the model is asked.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from netwright import _rng
from netwright.design._design import Candidate
from netwright.design.spaces._space import Code, Space
from netwright.design.strategies._children import Children
from netwright.finding import Measurement
from netwright.requirement import Requirement

if TYPE_CHECKING:
    import optuna

__all__ = ["Bayesian"]


class Bayesian:
    """Bayesian optimisation by Optuna. The same measurements give the same candidates."""

    def __init__(
        self,
        space: Space,
        *,
        n_candidates: int,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        seed: int = 0,
        fidelity: float = 1.0,
        n_first: int = 10,
        sampler: "optuna.samplers.BaseSampler | None" = None,
    ) -> None:
        """Set up the study, in memory.

        Args:
            space: what to search.
            n_candidates: how many to train; fewer where the space holds fewer networks.
            requirements: constraints of the study; a candidate that misses less of them is better,
                whatever its metric.
            metric: the quantity that ranks networks.
            seed: of every random choice.
            fidelity: share of a full training that each gets.
            n_first: designs drawn at random before the model is asked.
            sampler: of Optuna, with a seed of its own; `TPESampler` if None. `GPSampler` is the
                other that suits codes; its cost grows with the cube of the number of candidates.

        Raises:
            ValueError: if `n_candidates` or `n_first` is not positive, or `fidelity` is not in
                (0, 1].
        """
        import optuna  # 0.6 s

        if n_first < 1:
            raise ValueError(f"`n_first` must be at least 1; got {n_first}.")
        self._children = Children(
            space,
            n_candidates=n_candidates,
            requirements=requirements,
            metric=metric,
            fidelity=fidelity,
        )
        self._random = random.Random(_rng.child_seed(seed, "strategies/bayesian"))
        own_seed = _rng.child_seed(seed, "strategies/bayesian/sampler") % 2**32
        self._sampler = sampler or optuna.samplers.TPESampler(
            seed=own_seed, n_startup_trials=n_first
        )
        self._names = [f"{place}" for place in range(len(space.decisions))]
        self._kinds: dict[str, optuna.distributions.BaseDistribution] = {}
        for name, decision in zip(self._names, space.decisions, strict=True):
            places = range(len(decision.options))
            self._kinds[name] = (
                optuna.distributions.IntDistribution(0, len(places) - 1)
                if decision.ordered
                else optuna.distributions.CategoricalDistribution(tuple(places))
            )
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(sampler=self._sampler)
        optuna.logging.set_verbosity(level)
        self._trials: dict[int, optuna.Trial | None] = {}  # of candidates that are out
        self._n_first, self._worst = n_first, -math.inf

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        return self._children.remaining

    def ask(self) -> Candidate | None:
        """Propose the next candidate; None when all have been asked for."""
        code, trial = self._next() if self._children.left else (None, None)
        if code is None:
            self._children.finish()
            return None
        candidate = self._children.ask(code)
        self._trials[candidate.number] = trial
        return candidate

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements on the validation split.

        Args:
            candidate: as asked.
            measurements: by requirement text or quantity name; without the metric it is a failure,
                from which the model learns nothing but what it misses.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        import optuna

        child = self._children.tell(candidate, measurements)
        trial, found = self._trials.pop(candidate.number), child.fitness
        if math.isfinite(found.loss):
            self._worst = max(self._worst, found.loss)
        if not math.isfinite(found.missed):
            if trial is not None:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return
        value = min(found.loss, max(self._worst, -1e9))  # finite for what was not trained, too
        if trial is not None:
            trial.set_constraint("missed", found.missed)
            self._study.tell(trial, value)
            return
        self._study.add_trial(
            optuna.trial.create_trial(
                params=dict(zip(self._names, child.code, strict=True)),
                distributions=self._kinds,
                value=value,
                constraints={"missed": found.missed},
            )
        )

    def _next(self) -> "tuple[Code | None, optuna.Trial | None]":
        if len(self._children.told) < self._n_first:
            return self._children.draw_new(self._random), None
        import optuna

        trial = self._study.ask(self._kinds)
        code = tuple(int(trial.params[name]) for name in self._names)
        if self._children.is_new(code):
            return code, trial
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return self._children.mutate_new(code, self._random), None
