"""Decide a few decisions at a time, and let a learned surrogate say which to go on with.

Paper:    Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang, Murphy. Progressive Neural
          Architecture Search. ECCV 2018, arXiv:1712.00559, algorithm 1.
Departs:  a space of any decisions has no smaller designs to begin with. An unfinished design is
          ranked by the mean prediction over random completions, and trained as the completion that
          is predicted to be best. More unfinished designs are kept than are trained. The surrogate
          is also renewed within a stage. After the last stage, neighbours of the best designs are
          proposed.
Notation: stage = b, `beam` = K, surrogate = pi.
"""

import itertools
import math
import random
from collections.abc import Mapping, Sequence

import torch

from netwright import _rng
from netwright.design._design import Candidate
from netwright.design.spaces._space import Code, Space
from netwright.design.strategies._children import Children
from netwright.design.strategies._encoding import encode, width
from netwright.design.strategies._fitness import standings
from netwright.design.strategies._surrogate import Surrogate
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["Progressive"]

_MOST = 2048  # unfinished designs that are ranked at once
_NEIGHBOURS = 64


class Progressive:
    """PNAS over any space. Deterministic: the same measurements give the same candidates."""

    def __init__(
        self,
        space: Space,
        *,
        n_candidates: int,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        seed: int = 0,
        fidelity: float = 1.0,
        n_stages: int = 3,
        beam: int = 256,
        completions: int = 4,
        batch: int = 4,
    ) -> None:
        """Set up the stages.

        Args:
            space: what to search; decisions are decided in its order.
            n_candidates: how many to train; fewer where the space holds fewer networks.
            requirements: a candidate that misses less of them stands higher, whatever its metric.
            metric: the quantity that ranks networks.
            seed: of every random choice.
            fidelity: share of a full training that each gets.
            n_stages: decisions are divided among so many stages, and so are candidates.
            beam: unfinished designs that go on to the next stage.
            completions: ways to finish a design over which predictions are averaged.
            batch: children after which the surrogate is renewed, or a tenth of all if that is more.

        Raises:
            ValueError: if a number is not positive or `fidelity` is not in (0, 1].
        """
        if min(n_stages, beam, completions, batch) < 1:
            raise ValueError(
                f"`n_stages`, `beam`, `completions` and `batch` must be positive; got {n_stages}, "
                f"{beam}, {completions} and {batch}."
            )
        self._children = Children(
            space,
            n_candidates=n_candidates,
            requirements=requirements,
            metric=metric,
            fidelity=fidelity,
        )
        self._space, self._n = space, n_candidates
        self._random = random.Random(_rng.child_seed(seed, "strategies/progressive"))
        self._surrogate = Surrogate(
            width(space), seed=_rng.child_seed(seed, "strategies/progressive/surrogate")
        )
        self._sizes = [len(decision.options) for decision in space.decisions]
        n = len(self._sizes)
        self._n_stages = min(n_stages, n)
        self._ends = [n * (stage + 1) // self._n_stages for stage in range(self._n_stages)]
        self._beam_width, self._completions, self._batch = beam, completions, batch
        self._stage = 0
        self._beam: list[Code] = [()]  # decided in the stages before
        self._ranked: list[Code] = []  # decided in this stage, the best first
        self._queue: list[Code] = []  # finished designs, the best first
        self._n_fitted = 0

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
        """Report a candidate's measurements on the validation split.

        Args:
            candidate: as asked.
            measurements: by requirement text or quantity name; without the metric it stands last.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        self._children.tell(candidate, measurements)

    def _next(self) -> Code | None:
        n_told = len(self._children.told)
        first = self._n // self._n_stages  # candidates of the first stage, drawn without surrogate
        if n_told < 2 or self._n - self._children.left < first:
            return self._children.draw_new(self._random)
        stage = self._n_stages * (self._n - self._children.left) // self._n
        is_due = n_told - self._n_fitted >= max(self._batch, n_told // 10)
        if is_due or stage > self._stage or not self._n_fitted:
            self._fit()
            while self._stage < stage:
                self._rank()
                self._beam = self._ranked[: self._beam_width]
                self._stage += 1
            self._rank()
            self._queue = self._finished()
        while self._queue:
            code = self._queue.pop(0)
            if self._children.is_new(code):
                return code
        return self._neighbour()

    def _fit(self) -> None:
        told = self._children.told
        found = [child.fitness for child in told]
        rows = self._encode([child.code for child in told])
        self._surrogate.fit(rows, torch.tensor(standings(found, found)))
        self._n_fitted = len(told)

    def _rank(self) -> None:
        """Decide this stage's decisions in every way, or many, and order what comes of it."""
        begin = self._ends[self._stage - 1] if self._stage else 0
        sizes = self._sizes[begin : self._ends[self._stage]]
        if math.prod(sizes) <= _MOST:
            added = list(itertools.product(*map(range, sizes)))
        else:
            added = list(dict.fromkeys(self._draw(sizes) for _ in range(_MOST)))
        places = range(len(self._beam) * len(added))
        if len(places) > _MOST:
            places = self._random.sample(places, _MOST)
        grown = [(*self._beam[p // len(added)], *added[p % len(added)]) for p in places]
        n = self._completions if self._stage + 1 < self._n_stages else 1
        codes = [self._complete(code) for code in grown for _ in range(n)]
        means = self._predict(codes).view(len(grown), n).mean(dim=1)
        self._ranked = [grown[place] for place in means.argsort(descending=True, stable=True)]

    def _finished(self) -> list[Code]:
        """Complete the designs that rank first, each in the way that is predicted to be best."""
        if self._stage + 1 == self._n_stages:
            return self._ranked.copy()
        chosen = self._ranked[: max(self._n // self._n_stages, self._batch)]
        n = 4 * self._completions
        codes = [self._complete(code) for code in chosen for _ in range(n)]
        best = self._predict(codes).view(len(chosen), n).argmax(dim=1).tolist()
        return [codes[place * n + which] for place, which in enumerate(best)]

    def _complete(self, code: Code) -> Code:
        return (*code, *self._draw(self._sizes[len(code) :]))

    def _draw(self, sizes: Sequence[int]) -> Code:
        return tuple(self._random.randrange(size) for size in sizes)

    def _neighbour(self) -> Code | None:
        best = sorted(self._children.told, key=lambda child: child.fitness)[:8]
        near: list[Code] = []
        for _ in range(_NEIGHBOURS):
            parent = self._random.choice(best).code
            near.append(self._children.mutate(parent, self._random, n_changes=2))
        near = [code for code in near if self._children.is_new(code)]
        if not near:
            return self._children.draw_new(self._random)
        return near[int(self._predict(near).argmax())]

    def _predict(self, codes: Sequence[Code]) -> torch.Tensor:
        return self._surrogate.predict(self._encode(codes))[0]

    def _encode(self, codes: Sequence[Code]) -> torch.Tensor:
        return encode(self._space, [self._space.canonical(code) for code in codes])
