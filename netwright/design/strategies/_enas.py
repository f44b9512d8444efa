"""Search among cells that share their weights: no child is trained alone before it is chosen.

Paper:    Pham, Guan, Zoph, Le, Dean. Efficient Neural Architecture Search via Parameter Sharing.
          ICML 2018, arXiv:1802.03268, section 2.2 (weights and controller in turn) and 2.4 (cells).
          Bender et al. Understanding and Simplifying One-Shot Architecture Search. ICML 2018
          (children are ranked by the shared weights alone).
Departs:  the reward is minus the loss of a batch, not its accuracy, so that it suits every target;
          an operation's weights belong to its edge (see `Supernet`); children are ranked on all
          rows that judge, not on one batch.
Notation: weights = omega, controller = pi(m; theta), baseline = b.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.data._schema import Schema
from netwright.data._task import Split
from netwright.design._design import Candidate
from netwright.design.spaces._cell import CellSpace
from netwright.design.spaces._space import Code
from netwright.design.strategies._children import Children
from netwright.design.strategies._controller import Controller, score_function_loss
from netwright.design.strategies._halved import HalvedBatches
from netwright.design.strategies._supernet import Supernet
from netwright.finding import Measurement
from netwright.learn._losses import loss_for
from netwright.learn._schedules import cosine
from netwright.requirement import Requirement

__all__ = ["Enas", "SharedWeights", "share_weights"]

_CLIP = 5.0  # L2 norm of the gradient of the weights
_ROWS = 256  # that are judged at once


class SharedWeights:
    """Weights that all networks of a space share, and the controller that was trained with them.

    Attributes:
        network: holds the weights.
        controller: a distribution over codes.
    """

    def __init__(
        self,
        network: Supernet,
        controller: Controller,
        rows: Split,
        places: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        """Keep what was trained.

        Args:
            network: holds the weights.
            controller: a distribution over codes.
            rows: of which some judge.
            places: of the rows that judge.
            loss: of outputs and targets.
        """
        self.network, self.controller = network, controller
        self._rows, self._places, self._loss = rows, places, loss

    @torch.no_grad()
    def loss(self, code: Code) -> float:
        """Return the loss of a code's network, with shared weights, on the rows that judge.

        Batch normalisation takes the statistics of each batch: those of a shared network's training
        belong to no single child.

        Args:
            code: an option of each decision.
        """
        self.network.train()
        total = 0.0
        for places in self._places.split(_ROWS):
            outputs = self.network(self._rows.take(places), code)
            total += float(self._loss(outputs, self._rows.y[places])) * len(places)
        return total / len(self._places)


def share_weights(
    space: CellSpace,
    train: Split,
    *,
    schema: Schema,
    steps: int,
    seed: int,
    rate: float = 0.1,
    weight_decay: float = 3e-4,
    batch_size: int = 64,
    controller_rate: float = 1e-2,
    entropy: float = 1e-2,
    warm_up: float = 0.5,
    n_drawn: int = 4,
) -> SharedWeights:
    """Train the weights of all networks, one drawn network a step, and the controller that draws.

    Half of the training rows teach the weights, the other half the controller.

    Args:
        space: of cells.
        train: rows to learn from; halved.
        schema: of the task.
        steps: optimiser steps of the weights.
        seed: of weights, halves, batches and draws.
        rate: learning rate of the weights, along a cosine to 0.
        weight_decay: L2 penalty of the weights.
        batch_size: examples a step.
        controller_rate: learning rate of the controller (Adam); 0 leaves all networks about as
            likely.
        entropy: reward of a nat of the controller's entropy.
        warm_up: share of the steps before the controller begins to learn.
        n_drawn: networks that a step of the controller judges.

    Raises:
        ValueError: if `steps` is not positive, or there are too few rows to halve.
    """
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1; got {steps}.")
    network = Supernet(space, schema, seed=_rng.child_seed(seed, "enas/weights"))
    controller = Controller(space, hidden=32, seed=_rng.child_seed(seed, "enas/controller"))
    draws = _rng.child(seed, "enas/draws")
    loss_of = loss_for(schema.target)
    batches = HalvedBatches(train, batch_size, seed)
    weights = list(network.parameters())
    descent = torch.optim.SGD(weights, lr=rate, momentum=0.9, weight_decay=weight_decay)
    policy = torch.optim.Adam(controller.parameters(), lr=controller_rate)
    baseline: float | None = None
    network.train()
    for step in range(steps):
        for group in descent.param_groups:
            group["lr"] = rate * cosine(step / steps)
        (code,) = controller.sample(1, generator=draws).tolist()
        x, y = batches.next(0)
        descent.zero_grad()  # what this network lacks keeps no gradient and does not move
        loss_of(network(x, code), y).backward()
        nn.utils.clip_grad_norm_(weights, _CLIP)
        descent.step()
        if not controller_rate or step < warm_up * steps:
            continue
        codes = controller.sample(n_drawn, generator=draws)
        x, y = batches.next(1)
        with torch.no_grad():
            rewards = torch.stack([-loss_of(network(x, each), y) for each in codes.tolist()])
        mean = float(rewards.mean())
        baseline = mean if baseline is None else 0.9 * baseline + 0.1 * mean
        decided = controller(codes)
        policy.zero_grad()
        shortfall = score_function_loss(decided.log_p, rewards - baseline)
        (shortfall - entropy * decided.entropy.mean()).backward()
        policy.step()
    return SharedWeights(network, controller, train, batches.halves[1], loss_of)


class Enas:
    """ENAS as a strategy: `ask` trains shared weights once, then proposes whom they rank best."""

    def __init__(
        self,
        space: CellSpace,
        *,
        train: Split,
        schema: Schema,
        n_candidates: int = 1,
        requirements: Sequence[Requirement] = (),
        metric: str = "accuracy",
        seed: int = 0,
        fidelity: float = 1.0,
        steps: int = 600,
        n_ranked: int = 50,
        **sharing: Any,
    ) -> None:
        """Set up the search; nothing is trained before the first `ask`.

        Args:
            space: of cells.
            train: rows that the shared weights learn from.
            schema: of the task.
            n_candidates: how many to propose.
            requirements: not looked at; every strategy takes them.
            metric: not looked at; every strategy takes it.
            seed: of every random choice.
            fidelity: share of a full training that each gets.
            steps: of the shared weights.
            n_ranked: networks that the controller draws for the ranking; at least `n_candidates`.
            sharing: further arguments of `share_weights`.

        Raises:
            ValueError: if `n_candidates` is not positive or above `n_ranked`, or `fidelity` is not
                in (0, 1].
        """
        self._children = Children(
            space,
            n_candidates=n_candidates,
            requirements=requirements,
            metric=metric,
            fidelity=fidelity,
        )
        if n_ranked < n_candidates:
            raise ValueError(
                f"`n_ranked` must be at least the {n_candidates} `n_candidates`; got {n_ranked}."
            )
        self._share = partial(
            share_weights, space, train, schema=schema, steps=steps, seed=seed, **sharing
        )
        self._n_ranked, self._draws = n_ranked, _rng.child(seed, "enas/ranked")
        self._ranked: list[Code] = []
        self.shared: SharedWeights | None = None

    @property
    def remaining(self) -> float:
        """Fidelity of all that was asked for but not told yet, and of all that is still to come."""
        return self._children.remaining

    def ask(self) -> Candidate | None:
        """Propose the next candidate; None when all have been asked for.

        The first call trains the shared weights.
        """
        if not self._children.left:
            return None
        if self.shared is None:
            self.shared = self._share()
            drawn = self.shared.controller.sample(self._n_ranked, generator=self._draws).tolist()
            distinct = dict.fromkeys(self._children.canonical(tuple(code)) for code in drawn)
            self._ranked = sorted(distinct, key=self.shared.loss)
        if not self._ranked:  # the controller has made up its mind
            self._children.finish()
            return None
        return self._children.ask(self._ranked.pop(0))

    def tell(self, candidate: Candidate, measurements: Mapping[str, Measurement]) -> None:
        """Report a candidate's measurements; they change nothing.

        Args:
            candidate: as asked.
            measurements: on the validation split.

        Raises:
            ValueError: if the candidate was not asked for, or was told before.
        """
        self._children.tell(candidate, measurements)
