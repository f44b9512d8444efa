"""Let a recurrent controller propose designs, and reinforce what led to good ones.

Paper:    Zoph, Le. Neural Architecture Search with Reinforcement Learning. ICLR 2017,
          arXiv:1611.01578, section 3.2 (REINFORCE with a moving average as baseline).
          `clip`: Schulman, Wolski, Dhariwal, Radford, Klimov. Proximal Policy Optimization
          Algorithms. 2017, arXiv:1707.06347, equation 7, as Zoph et al. 2018 train the controller
          of arXiv:1707.07012.
Departs:  the reward is the share of all children so far that a child beats, requirements first,
          instead of its accuracy: it has one scale for every metric. A network that is drawn again
          is passed over. Entropy is rewarded, so that a small space is not left too early.
Notation: reward = R, baseline = b, `batch` = m.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from netwright import _rng
from netwright.design._design import Candidate
from netwright.design.spaces._space import Code, Decision, Space
from netwright.design.strategies._children import Children
from netwright.design.strategies._controller import Controller, clipped_loss, score_function_loss
from netwright.design.strategies._fitness import Fitness, standings
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["Moment", "Observed", "Reinforce"]

_ROUNDS = 4  # batches that may hold nothing new before a design is drawn uniformly


@dataclass(frozen=True, slots=True)
class Moment:
    """The controller at one moment of the search, for a picture.

    Attributes:
        n_told: children that had been told.
        entropy: of a whole code, in nats.
        probabilities: of each option of each decision, whatever was decided before.
    """

    n_told: int
    entropy: float
    probabilities: tuple[tuple[float, ...], ...]


@runtime_checkable
class Observed(Protocol):
    """A strategy whose mind can be looked at, or one around such a strategy."""

    @property
    def decisions(self) -> tuple[Decision, ...]:  # honest: a protocol
        """What is decided, in the order of `Moment.probabilities`."""
        ...

    @property
    def history(self) -> tuple[Moment, ...]:  # honest: a protocol
        """Entropy and probabilities after each update; empty where nothing is learned."""
        ...


class Reinforce:
    """An RNN controller with policy gradients. The same measurements give the same candidates."""

    def __init__(
        self,
        space: Space,
        *,
        n_candidates: int,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        seed: int = 0,
        fidelity: float = 1.0,
        batch: int = 5,
        learning_rate: float = 2e-2,
        entropy_weight: float = 5e-2,
        baseline_decay: float = 0.8,
        hidden: int = 32,
        clip: float | None = None,
        passes: int = 4,
    ) -> None:
        """Set up the controller.

        Args:
            space: what to search.
            n_candidates: how many to train; fewer where the space holds fewer networks.
            requirements: a candidate that misses less of them earns more, whatever its metric.
            metric: the quantity that ranks networks.
            seed: of every random choice.
            fidelity: share of a full training that each gets.
            batch: children between two updates of the controller.
            learning_rate: of the controller, with Adam.
            entropy_weight: reward for each nat of entropy.
            baseline_decay: share of the moving average of rewards that an update keeps.
            hidden: width of the controller's state.
            clip: PPO with this bound on the ratio of probabilities; None is REINFORCE.
            passes: updates a batch under PPO.

        Raises:
            ValueError: if `n_candidates`, `batch` or `passes` is not positive, `fidelity` is not in
                (0, 1], or `clip` is not positive.
        """
        if batch < 1 or passes < 1:
            raise ValueError(f"`batch` and `passes` must be positive; got {batch} and {passes}.")
        if clip is not None and not clip > 0:
            raise ValueError(f"`clip` must be positive, or None for REINFORCE; got {clip}.")
        self._children = Children(
            space,
            n_candidates=n_candidates,
            requirements=requirements,
            metric=metric,
            fidelity=fidelity,
        )
        self._random = random.Random(_rng.child_seed(seed, "strategies/reinforce"))
        self._generator = _rng.child(seed, "strategies/reinforce/codes")
        self._controller = Controller(
            space, hidden=hidden, seed=_rng.child_seed(seed, "strategies/reinforce/weights")
        )
        self._optimizer = torch.optim.Adam(
            self._controller.parameters(), lr=learning_rate, fused=True
        )
        self._batch, self._clip, self._passes = batch, clip, passes
        self._entropy_weight, self._baseline_decay = entropy_weight, baseline_decay
        self._baseline: float | None = None
        self._queue: list[tuple[Code, float]] = []  # drawn, with their log-probability
        self._drawn: dict[int, float] = {}  # log-probabilities of candidates that are out
        self._lessons: list[tuple[Code, Fitness, float]] = []
        self._history: list[Moment] = []

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        return self._children.remaining

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What the controller decides, in the order of `Moment.probabilities`."""
        return self._children.space.decisions

    @property
    def history(self) -> tuple[Moment, ...]:
        """The controller's entropy and probabilities after each update."""
        return tuple(self._history)

    def ask(self) -> Candidate | None:
        """Propose the next candidate; None when all have been asked for."""
        drawn = self._next() if self._children.left else None
        if drawn is None:
            self._children.finish()
            return None
        candidate = self._children.ask(drawn[0])
        self._drawn[candidate.number] = drawn[1]
        return candidate

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements on the validation split; after a batch it learns.

        Args:
            candidate: as asked.
            measurements: by requirement text or quantity name; without the metric it earns least.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        child = self._children.tell(candidate, measurements)
        self._lessons.append((child.code, child.fitness, self._drawn.pop(candidate.number)))
        if len(self._lessons) >= self._batch:
            self._learn()

    def _next(self) -> tuple[Code, float] | None:
        for _ in range(_ROUNDS):
            while self._queue:
                code, log_p = self._queue.pop(0)
                if self._children.is_new(code):
                    return code, log_p
            self._draw()
        code = self._children.draw_new(self._random)
        if code is None:
            return None
        with torch.no_grad():
            return code, self._controller(torch.tensor([code])).log_p.item()

    def _draw(self) -> None:
        codes = self._controller.sample(4 * self._batch, generator=self._generator)
        with torch.no_grad():
            log_p = self._controller(codes).log_p.tolist()
        drawn = zip(map(tuple, codes.tolist()), log_p, strict=True)
        self._queue = [pair for pair in drawn if self._children.is_new(pair[0])][: self._batch]

    def _learn(self) -> None:
        codes = torch.tensor([code for code, _, _ in self._lessons])
        before = torch.tensor([chance for _, _, chance in self._lessons])
        found = [fitness for _, fitness, _ in self._lessons]
        rewards = torch.tensor(standings(found, [c.fitness for c in self._children.told]))
        self._lessons.clear()
        mean = rewards.mean().item()
        if self._baseline is None:
            self._baseline = mean
        advantages = rewards - self._baseline
        keep = self._baseline_decay
        self._baseline = keep * self._baseline + (1 - keep) * mean
        for _ in range(1 if self._clip is None else self._passes):
            decided = self._controller(codes)
            if self._clip is None:
                loss = score_function_loss(decided.log_p, advantages)
            else:
                loss = clipped_loss(decided.log_p, before, advantages, clip=self._clip)
            self._optimizer.zero_grad()
            (loss - self._entropy_weight * decided.entropy.mean()).backward()
            self._optimizer.step()
        self._history.append(
            Moment(
                len(self._children.told),
                decided.entropy.mean().item(),
                tuple(tuple(p.mean(dim=0).tolist()) for p in decided.probabilities),
            )
        )
