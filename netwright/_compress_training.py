"""Train what has been cut: from the rows, or from what the network before makes of them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from netwright import _rng
from netwright._files import write_atomically
from netwright._threads import threads_worth
from netwright.compress import distil, hinton
from netwright.data import Task
from netwright.learn import Budget, Recipe, fit, loss_for, score_for
from netwright.measure import macs
from netwright.nn import StochasticDepth, TokenDropout

__all__ = ["Retraining", "Taught"]

_TIMED = 3  # steps by which seconds are turned into steps


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
        robust = recipe.adversarial or recipe.certified
        self._may_choose = task.schema.target.kind == "class" and not robust
        self._macs = macs(teacher, task.train.take([0])).macs

    @property
    def taught(self) -> Taught | None:
        """Which teacher was better; None before the first training, or where there is no choice."""
        if not self._path.is_file():
            return None
        return Taught(**json.loads(self._path.read_text(encoding="utf-8")))

    def forget(self) -> None:
        """Choose a teacher anew: nothing that the choice led to has been kept."""
        self._path.unlink(missing_ok=True)

    def skip(self, units: float) -> None:
        """Leave out what an earlier call has trained already; set `spent` by what it wrote.

        Args:
            units: what of the plan that training was.
        """
        self.units = max(0.0, self.units - units)

    def __call__(self, network: nn.Module, units: float, *, name: str) -> None:
        """Train a network in place for its part of what is left of the budget.

        Args:
            network: constrained or not.
            units: what of the plan this training is.
            name: of the training, from which its seed derives.
        """
        total = self._budget.steps if self._budget.steps is not None else self._budget.seconds
        assert total is not None
        self.units = max(self.units, units)
        amount = max(0.0, total - self.spent) * units / self.units
        self.units -= units
        for module in network.modules():  # a smaller network needs less of it (Han et al. 2015)
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            elif isinstance(module, StochasticDepth | TokenDropout):
                module.p_drop = 0.0
        seed = _rng.child_seed(self._seed, name)
        began = time.monotonic()
        with threads_worth(3 * self._macs * self.recipe.batch_size):
            if self._may_choose and self.taught is None:
                amount = self._choose(network, amount, seed)
            elif self.taught is not None and self.taught.by == "network":
                amount = self._from_network(network, amount, seed)
            else:
                amount = self._from_rows(network, amount, seed)
        self.spent += amount if self._budget.seconds is None else time.monotonic() - began

    def _choose(self, network: nn.Module, amount: float, seed: int) -> float:
        start = {n: t.clone() for n, t in network.state_dict().items()}
        taken = self._from_rows(network, amount / 2, seed)
        rows, by_rows = (
            self._score(network),
            {n: t.clone() for n, t in network.state_dict().items()},
        )
        network.load_state_dict(start)
        taken += self._from_network(network, amount / 2, seed)
        score = self._score(network)
        by = "network" if score > rows else "rows"
        if by == "rows":
            network.load_state_dict(by_rows)
        write_atomically(
            self._path, json.dumps({"by": by, "rows": rows, "network": score}, indent=1)
        )
        return taken

    def _from_rows(self, network: nn.Module, amount: float, seed: int) -> float:
        in_steps = self._budget.steps is not None
        fitted = fit(
            network,
            self._task.train,
            self._task.validation,
            target=self._task.schema.target,
            recipe=self.recipe,
            steps=max(1, int(amount)) if in_steps else None,
            seconds=None if in_steps else max(0.01, amount),
            seed=seed,
            device="cpu",
        )
        return fitted.steps

    def _from_network(self, network: nn.Module, amount: float, seed: int) -> float:
        steps = max(
            1, int(amount if self._budget.steps is not None else self._steps(network, amount))
        )
        distil(
            network,
            self._teacher,
            self._task.train,
            steps=steps,
            seed=seed,
            loss=hinton(),
            batch_size=min(self.recipe.batch_size, len(self._task.train)),
            learning_rate=self.recipe.learning_rate,
        )
        return steps

    def _steps(self, network: nn.Module, seconds: float) -> float:
        # A step of both networks is timed, gradients of one included.
        rows = torch.arange(min(self.recipe.batch_size, len(self._task.train)))
        x, y = self._task.train.take(rows), self._task.train.y[rows]
        loss: Callable[[Tensor, Tensor], Tensor] = loss_for(self._task.schema.target)
        began = time.monotonic()
        network.eval()  # statistics stay as they are
        for _ in range(_TIMED):
            with torch.no_grad():
                self._teacher(x)
            loss(network(x), y).backward()
        network.zero_grad()
        return seconds / (1.2 * (time.monotonic() - began) / _TIMED)  # the optimiser takes some too

    @torch.no_grad()
    def _score(self, network: nn.Module) -> float:
        split = self._task.validation
        outputs = torch.cat([network.eval()(x) for x, _ in split.batches(512)])
        return score_for(self._task.schema.target)(outputs, split.y)
