"""Train what has been cut, or a smaller design: from rows, or from the network before as well."""

import copy
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from netwright import _rng
from netwright._files import write_atomically
from netwright._threads import threads_worth
from netwright.compress import taught_by
from netwright.data import Task
from netwright.learn import Budget, Recipe, fit, loss_for, score_for
from netwright.measure import macs
from netwright.nn import StochasticDepth, TokenDropout

__all__ = ["Retraining", "Taught"]

_TIMED = 3  # steps by which seconds are told from steps


@dataclass(frozen=True, slots=True)
class Taught:
    """From what cut networks learn: tried on the first of them, with half the time each.

    Attributes:
        by: "rows" or "network".
        rows: validation score after learning from the rows.
        network: validation score after learning from rows and the network before.
    """

    by: str
    rows: float
    network: float


class Retraining:
    """Shares a budget out among trainings, and keeps to the better of two teachers.

    Attributes:
        spent: steps, or seconds, of all trainings so far.
        units: what is still planned; each training takes its part of what is left.
    """

    def __init__(
        self,
        teacher: nn.Module,
        task: Task,
        recipe: Recipe,
        budget: Budget,
        *,
        folder: Path,
        seed: int,
    ) -> None:
        """Plan nothing yet.

        Args:
            teacher: the network before.
            task: supplies the rows.
            recipe: of the network's first training; training goes on at a third of its rate,
                without weight decay, and from the rows alone where it was against changed inputs.
            budget: of all trainings together.
            folder: keeps which teacher was better.
            seed: of the trainings.
        """
        again = replace(recipe, learning_rate=recipe.learning_rate / 3, weight_decay=0.0, epochs=0)
        self.recipe = replace(again, average=0.0)  # an average over steps is no few values
        self.spent, self.units = 0.0, 0.0
        self._teacher, self._task, self._budget, self._seed = teacher, task, budget, seed
        self._path = folder / "teacher.json"
        self._may_choose = not (recipe.adversarial or recipe.certified)
        self._macs = macs(teacher, task.train.take([0])).macs

    @property
    def taught(self) -> Taught | None:
        """Which teacher was better; None before the first training, or where there is no choice."""
        if not self._path.is_file():
            return None
        return Taught(**json.loads(self._path.read_text(encoding="utf-8")))

    @property
    def in_steps(self) -> bool:
        """Whether the budget counts steps; else seconds."""
        return self._budget.steps is not None

    def forget(self) -> None:
        """Choose a teacher anew: nothing that the choice led to has been kept."""
        self._path.unlink(missing_ok=True)

    def skip(self, units: float) -> None:
        """Leave out what an earlier call has trained already; set `spent` by what it wrote.

        Args:
            units: what of the plan that training was.
        """
        self.units = max(0.0, self.units - units)

    @property
    def left(self) -> float:
        """Steps, or seconds, that are not spent yet."""
        total = self._budget.steps if self._budget.steps is not None else self._budget.seconds
        assert total is not None
        return max(0.0, total - self.spent)

    def amount(self, units: float) -> float:
        """Return how many steps, or seconds, a part of the plan has at present.

        Args:
            units: what of the plan it is.
        """
        return self.left * units / max(self.units, units)

    def cost(self, steps: int) -> float:
        """Return what steps of the network before take of the budget; seconds are measured.

        Args:
            steps: how many.
        """
        if self.in_steps:
            return steps
        network, rows = copy.deepcopy(self._teacher).eval(), range(self.recipe.batch_size)
        places = torch.tensor([row % len(self._task.train) for row in rows])
        x, y = self._task.train.take(places), self._task.train.y[places]
        loss = loss_for(self._task.schema.target)
        with threads_worth(3 * self._macs * self.recipe.batch_size):
            loss(network(x), y).backward()  # the first warms up
            began = time.monotonic()
            for _ in range(_TIMED):
                loss(network(x), y).backward()
        return steps * (time.monotonic() - began) / _TIMED

    def __call__(self, network: nn.Module, units: float, *, name: str) -> None:
        """Train a cut network in place for its part of what is left of the budget.

        Args:
            network: constrained or not.
            units: what of the plan this training is.
            name: of the training, from which its seed derives.
        """
        for module in network.modules():  # a smaller network needs less of it (Han et al. 2015)
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            elif isinstance(module, StochasticDepth | TokenDropout):
                module.p_drop = 0.0
        seed = _rng.child_seed(self._seed, name)
        with self._spending(units) as amount:
            if self._may_choose and self.taught is None:
                self._choose(network, amount, seed)
            else:
                by_network = self.taught is not None and self.taught.by == "network"
                self._fit(network, amount, seed, self.recipe, by_network=by_network)

    def teach(self, network: nn.Module, recipe: Recipe, units: float, *, name: str) -> None:
        """Train a network of another design in place, from the network before and the rows.

        Args:
            network: fresh.
            recipe: of its design; one against changed inputs learns from the rows alone.
            units: what of the plan this training is.
            name: of the training, from which its seed derives.
        """
        by_network = not (recipe.adversarial or recipe.certified)
        with self._spending(units) as amount:
            seed = _rng.child_seed(self._seed, name)
            self._fit(network, amount, seed, recipe, by_network=by_network)

    @contextmanager
    def _spending(self, units: float) -> Iterator[float]:
        amount = self.amount(units)
        self.units = max(0.0, self.units - units)
        began = time.monotonic()
        with threads_worth(3 * self._macs * self.recipe.batch_size):
            yield amount
        if not self.in_steps:
            self.spent += time.monotonic() - began

    def _choose(self, network: nn.Module, amount: float, seed: int) -> None:
        start = {n: t.clone() for n, t in network.state_dict().items()}
        self._fit(network, amount / 2, seed, self.recipe, by_network=False)
        rows, by_rows = self._score(network), network.state_dict()
        by_rows = {n: t.clone() for n, t in by_rows.items()}
        network.load_state_dict(start)
        self._fit(network, amount / 2, seed, self.recipe, by_network=True)
        score = self._score(network)
        by = "network" if score > rows else "rows"
        if by == "rows":
            network.load_state_dict(by_rows)
        about = {"by": by, "rows": rows, "network": score}
        write_atomically(self._path, json.dumps(about, indent=1))

    def _fit(
        self, network: nn.Module, amount: float, seed: int, recipe: Recipe, *, by_network: bool
    ) -> None:
        target = self._task.schema.target
        fitted = fit(
            network,
            self._task.train,
            self._task.validation,
            target=target,
            recipe=recipe,
            steps=max(1, int(amount)) if self.in_steps else None,
            seconds=None if self.in_steps else max(0.01, amount),
            seed=seed,
            device="cpu",
            loss=taught_by(self._teacher, target) if by_network else None,
        )
        self.spent += fitted.steps if self.in_steps else 0

    @torch.no_grad()
    def _score(self, network: nn.Module) -> float:
        split = self._task.validation
        outputs = torch.cat([network.eval()(x) for x, _ in split.batches(512)])
        return score_for(self._task.schema.target)(outputs, split.y)
