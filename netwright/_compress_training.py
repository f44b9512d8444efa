"""Train what has been cut, or a smaller design: from rows, or from the network before as well."""

import copy
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from netwright import _rng
from netwright._evaluate import prepare, score
from netwright._files import write_atomically
from netwright._threads import threads_worth
from netwright.compress import taught_by
from netwright.data import Task
from netwright.design._ranking import higher_is_better
from netwright.learn import Budget, Recipe, fit, loss_for
from netwright.measure import macs
from netwright.nn import StochasticDepth, TokenDropout

__all__ = ["Retraining", "Taught"]

_TIMED = 3  # steps by which seconds are told from steps
_BRIEFEST = 0.01  # seconds
_SOLVED, _SLOW = 1e-4, 1e-3  # learning rates: of what was solved at most, and what it gets


@dataclass(frozen=True, slots=True)
class Taught:
    """From what networks learn again: tried on the first of them, with half the time each.

    Attributes:
        by: "rows" or "network".
        rows: the task's metric after learning from the rows.
        network: the same after learning from rows and the network before.
        unit: of both.
    """

    by: str
    rows: float
    network: float
    unit: str = "share"


class Retraining:
    """Shares a budget out among trainings, and keeps to the better of two teachers.

    Attributes:
        spent: steps, or seconds, of all trainings so far.
        units: what is still planned; each training takes its part of what is left.
    """

    def __init__(
        self, teacher: nn.Module, task: Task, budget: Budget, *, folder: Path, seed: int
    ) -> None:
        """Plan nothing yet.

        Args:
            teacher: the network before.
            task: supplies the rows.
            budget: of all trainings together.
            folder: keeps which teacher was better.
            seed: of the trainings.
        """
        self.spent, self.units = 0.0, 0.0
        self._teacher, self._task, self._budget, self._seed = teacher, task, budget, seed
        self._path = folder / "teacher.json"
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
    def total(self) -> float:
        """Steps, or seconds, of the whole budget."""
        total = self._budget.steps if self._budget.steps is not None else self._budget.seconds
        assert total is not None
        return total

    @property
    def left(self) -> float:
        """Steps, or seconds, that are not spent yet."""
        return max(0.0, self.total - self.spent)

    def amount(self, units: float) -> float:
        """Return how many steps, or seconds, a part of the plan has at present.

        Args:
            units: what of the plan it is.
        """
        return self.left * units / max(self.units, units)

    def cost(self, steps: int, recipe: Recipe) -> float:
        """Return what steps of the network before take of the budget; seconds are measured.

        Args:
            steps: how many.
            recipe: whose batches they take.
        """
        if self.in_steps:
            return steps
        network = copy.deepcopy(self._teacher).eval()
        n = len(self._task.train)
        places = torch.tensor([row % n for row in range(recipe.batch_size)])
        x, y = self._task.train.take(places), self._task.train.y[places]
        loss = loss_for(self._task.schema.target)
        with threads_worth(3 * self._macs * recipe.batch_size):
            loss(network(x), y).backward()  # the first warms up
            began = time.monotonic()
            for _ in range(_TIMED):
                loss(network(x), y).backward()
        return steps * (time.monotonic() - began) / _TIMED

    def __call__(self, network: nn.Module, units: float, *, recipe: Recipe, name: str) -> None:
        """Train a cut network in place for its part of what is left of the budget.

        It goes on at a third of its recipe's rate, without weight decay, and from the rows alone
        where it was trained against changed inputs. What was solved, by steps too small to learn
        with, learns by larger ones.

        Args:
            network: constrained or not.
            units: what of the plan this training is.
            recipe: of the network's first training.
            name: of the training, from which its seed derives.
        """
        for module in network.modules():  # a smaller network needs less of it (Han et al. 2015)
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            elif isinstance(module, StochasticDepth | TokenDropout):
                module.p_drop = 0.0
        again = replace(
            recipe,
            learning_rate=recipe.learning_rate / 3 if recipe.learning_rate > _SOLVED else _SLOW,
            weight_decay=0.0,
            epochs=0,
            average=0.0,  # an average over steps is no few values
        )
        seed = _rng.child_seed(self._seed, name)
        with self._spending(units, recipe) as amount:
            if not _follows(recipe) or (self.in_steps and amount < 2 and self.taught is None):
                self._fit(network, amount, seed, again, by_network=False)
            elif self.taught is None:
                self._choose(network, amount, seed, again)
            else:
                self._fit(network, amount, seed, again, by_network=self.taught.by == "network")

    def teach(self, network: nn.Module, recipe: Recipe, units: float, *, name: str) -> None:
        """Train a network of another design in place, from the network before and the rows.

        Args:
            network: fresh.
            recipe: of its design; one against changed inputs learns from the rows alone.
            units: what of the plan this training is.
            name: of the training, from which its seed derives.
        """
        with self._spending(units, recipe) as amount:
            bounds = _rng.child(self._seed, f"{name}/bounds")
            prepare(network, recipe, self._task.train, generator=bounds)
            seed = _rng.child_seed(self._seed, name)
            self._fit(network, amount, seed, recipe, by_network=_follows(recipe))

    @contextmanager
    def _spending(self, units: float, recipe: Recipe) -> Iterator[float]:
        amount = self.amount(units)
        self.units = max(0.0, self.units - units)
        began = time.monotonic()
        with threads_worth(3 * self._macs * recipe.batch_size):
            yield amount
        if not self.in_steps:
            self.spent += time.monotonic() - began

    def _choose(self, network: nn.Module, amount: float, seed: int, recipe: Recipe) -> None:
        start = {n: t.clone() for n, t in network.state_dict().items()}
        self._fit(network, amount / 2, seed, recipe, by_network=False)
        rows = score(network, self._task, self._task.validation)
        by_rows = {n: t.clone() for n, t in network.state_dict().items()}
        network.load_state_dict(start)
        self._fit(network, amount / 2, seed, recipe, by_network=True)
        found = score(network, self._task, self._task.validation)
        gain = found.value - rows.value
        better = gain > 0 if higher_is_better(self._task.schema.target.metric) else gain < 0
        if not better:
            network.load_state_dict(by_rows)
        taught = Taught("network" if better else "rows", rows.value, found.value, rows.unit)
        write_atomically(self._path, json.dumps(asdict(taught), indent=1))

    def _fit(
        self, network: nn.Module, amount: float, seed: int, recipe: Recipe, *, by_network: bool
    ) -> None:
        if amount < (1 if self.in_steps else _BRIEFEST):
            network.eval()
            return  # nothing is left
        target = self._task.schema.target
        fitted = fit(
            network,
            self._task.train,
            self._task.validation,
            target=target,
            recipe=recipe,
            steps=int(amount) if self.in_steps else None,
            seconds=None if self.in_steps else amount,
            seed=seed,
            device="cpu",
            loss=taught_by(self._teacher, target) if by_network else None,
        )
        self.spent += fitted.steps if self.in_steps else 0


def _follows(recipe: Recipe) -> bool:
    """Whether a network may learn from a teacher: not if it is trained against changed inputs."""
    return not (recipe.adversarial or recipe.certified)
