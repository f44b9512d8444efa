"""The loop that trains a network: the same for steps and seconds, one device and several."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.data._schema import Target
from netwright.data._task import Split
from netwright.learn import _augment, _optimizers, _schedules
from netwright.learn._average import WeightAverage
from netwright.learn._checkpoint import (
    Checkpoint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    select,
)
from netwright.learn._devices import deterministic, make_fabric, resident
from netwright.learn._evaluate import Evaluation, evaluate
from netwright.learn._events import event_log
from netwright.learn._limits import Limit, limit_for
from netwright.learn._losses import loss_for
from netwright.learn._memory import with_smaller_pieces
from netwright.learn._mixup import mixup
from netwright.learn._names import resolve
from netwright.learn._recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Epoch", "Fitted", "fit"]

# Below this many steps an evaluation and a checkpoint would cost more than a few percent.
_STEPS_PER_EPOCH = 50
# Evaluations and checkpoints may take one part in this many of the time.
_SHARE = 30


@dataclass(frozen=True, slots=True)
class Epoch:
    """Figures at the end of an epoch: whole passes over the training split, at least 50 steps.

    Attributes:
        number: counted from 1.
        step: optimiser steps taken so far.
        seconds: time spent so far, that before a resume included.
        learning_rate: of the last step.
        train_loss: mean over the epoch's steps, as minimised (with augmentation and smoothing).
        validation_loss: as in `loss_for`, of the averaged weights if the recipe averages.
        validation_score: as in `score_for`; higher is better.
    """

    number: int
    step: int
    seconds: float
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_score: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained network and how it got there.

    Attributes:
        network: the network that was given, with the weights of the epoch that scored best on the
            validation split; in eval mode, on the device where it came from.
        epochs: figures of every epoch.
        steps: optimiser steps taken.
        seconds: time spent, that before a resume included.
        stopped: what ended the training: "steps", "seconds", "patience", or "diverged" when the
            loss was no longer a finite number.
    """

    network: nn.Module
    epochs: tuple[Epoch, ...]
    steps: int
    seconds: float
    stopped: str


def fit(
    network: nn.Module,
    train: Split,
    validation: Split,
    *,
    target: Target,
    recipe: Recipe,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int,
    folder: Path | None = None,
    device: str = "auto",
    on_epoch: Callable[[Epoch], None] | None = None,
    compile: bool = False,
    fabric: "Fabric | None" = None,
) -> Fitted:
    """Train a network.

    Args:
        network: trained in place; maps a batch of inputs to logits or values.
        train: what it learns from.
        validation: what chooses the epoch whose weights are kept, and stops early.
        target: decides loss and score.
        recipe: the hyper-parameters. Batches are evened out: 200 examples in batches of at most 128
            make two of 100.
        steps: optimiser steps to take; None when counted in seconds.
        seconds: wall-clock seconds, the last evaluation included; None when counted in steps. One
            step more may be under way when they end.
        seed: every random choice derives from it. On the CPU, same seed, machine and versions give
            the same bits, when counted in steps; GPU kernels do not promise that.
        folder: where checkpoint and TensorBoard events go; the same call goes on from there, and
            when counted in steps ends as if it had never stopped. None writes nothing. An epoch's
            checkpoint is left out while writing would take more than a thirtieth of the time.
        device: "auto" (the first GPU, else the CPU), "cpu", "cuda" or "cuda:N"; ignored when
            `fabric` is given.
        on_epoch: called after each epoch.
        compile: whether to compile the network with `torch.compile` (half a minute at the start).
        fabric: a launched Fabric, to train on several devices that each hold the whole network
            (ddp); every process makes the same call, and a batch is shared out among them.

    Returns:
        The trained network and its history.

    Raises:
        ValueError: if arguments contradict each other, a split is empty, the recipe names something
            unknown, or `folder` holds another training.
        KeyboardInterrupt: on Ctrl-C; the last checkpoint stays.
    """
    identity = {"recipe": asdict(recipe), "seed": seed, "steps": steps, "n_train": len(train)}
    identity["recipe"]["augment"] = list(recipe.augment)  # as JSON reads it back
    _check_splits(train, validation)
    limit = limit_for(steps=steps, seconds=seconds)
    saved = None if folder is None else read_checkpoint(folder)
    if saved is not None:
        _check_same(saved.state["identity"], identity, folder)
        limit = limit_for(steps=steps, seconds=seconds, spent=saved.state["seconds"])
    fabric = fabric or make_fabric(device)
    home = next((p.device for p in network.parameters()), torch.device("cpu"))
    with deterministic(fabric.device), _rng.seeded(_rng.child_seed(seed, "fit")):
        training = _Training(network, recipe, target, fabric, limit, seed, compile)
        if saved is not None:
            training.restore(saved)
        with event_log(folder if fabric.is_global_zero else None, step=training.step) as log:
            training.run(
                resident(train, fabric.device),
                validation,
                save_to=folder,
                identity=identity,
                report=[log] + ([on_epoch] if on_epoch else []),
            )
    training.keep_best()
    network.to(device=home, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    assert training.stopped is not None
    return Fitted(
        network.eval(),
        tuple(training.epochs),
        training.step,
        training.epochs[-1].seconds,
        training.stopped,
    )


class _Training:
    """A training under way: all that a checkpoint must hold."""

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        target: Target,
        fabric: "Fabric",
        limit: Limit,
        seed: int,
        compile: bool,
    ) -> None:
        self.recipe, self.target, self.fabric = recipe, target, fabric
        self.limit, self.seed = limit, seed
        self.augment = [resolve(a, _augment, "augmentation") for a in recipe.augment]
        self.schedule = resolve(recipe.schedule, _schedules, "schedule")
        self.loss = loss_for(target, label_smoothing=recipe.label_smoothing)
        make_optimizer = resolve(recipe.optimizer, _optimizers, "optimizer")
        self.network = network
        module: Any = torch.compile(network) if compile else network
        self.model = fabric.setup_module(module)
        self.optimizer = make_optimizer(
            network, learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.wrapped: Any = fabric.setup_optimizers(self.optimizer)
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.average = WeightAverage(network, recipe.average) if recipe.average else None
        self.step = 0
        self.piece = recipe.batch_size
        self.epochs: list[Epoch] = []
        self.best: dict[str, Tensor] | None = None
        self.best_key = (-math.inf, -math.inf)
        self.stopped: str | None = None

    def run(
        self,
        train: Split,
        validation: Split,
        *,
        save_to: Path | None,
        identity: dict[str, Any],
        report: list[Callable[[Epoch], None]],
    ) -> None:
        """Train until the limit, patience or divergence ends it."""
        per_pass = math.ceil(len(train) / self.recipe.batch_size)
        batch_size = len(train) // per_pass
        # An evaluation costs a third of a step for each example.
        passes = math.ceil(
            max(_STEPS_PER_EPOCH / per_pass, _SHARE / 3 * len(validation) / len(train))
        )
        saving, saved_at = 0.0, -math.inf
        if self.epochs and not self.stopped and self.limit.over(self.step):
            self.stopped = self.limit.name  # the time ran out before this resume
        while self.stopped is None:
            loss, rate = self._epoch(train, batch_size, passes)
            began = time.monotonic()
            evaluation = self._evaluate(validation)
            self.limit.reserve(1.2 * (time.monotonic() - began) + saving)
            epoch = Epoch(
                number=len(self.epochs) + 1,
                step=self.step,
                seconds=self.limit.elapsed(),
                learning_rate=rate,
                train_loss=loss,
                validation_loss=evaluation.loss,
                validation_score=evaluation.score,
            )
            self._record(epoch)
            due = self.stopped or time.monotonic() - saved_at >= _SHARE * saving
            if save_to is not None and due and self.fabric.is_global_zero:
                began = time.monotonic()
                self.checkpoint(identity).write(save_to)
                saved_at = time.monotonic()
                saving = saved_at - began
            for tell in report:
                tell(epoch)

    def _epoch(self, train: Split, batch_size: int, passes: int) -> tuple[float, float]:
        # Fresh generators each epoch: a resumed training needs no generator's state.
        name = f"fit/{len(self.epochs)}"
        mine = f"{name}/{self.fabric.global_rank}"
        torch.manual_seed(_rng.child_seed(self.seed, f"{mine}/forward"))
        order = _rng.child(self.seed, f"{name}/order")
        augmenting = _rng.child(self.seed, f"{mine}/augment", self.fabric.device)
        mixing = _rng.child(self.seed, f"{mine}/mixup")
        self.model.train()
        total = torch.zeros((), device=self.fabric.device)
        first, rate = self.step, 0.0
        for _ in range(passes):
            for x, y in train.batches(batch_size, generator=order, drop_last=True):
                rate = self.recipe.learning_rate * self.schedule(self.limit.progress(self.step))
                total += self._step(x, y, rate, augmenting, mixing)
                self.step += 1
                if self.limit.over(self.step):
                    return (total / (self.step - first)).item(), rate
        return (total / (self.step - first)).item(), rate

    def _step(
        self,
        x: Tensor,
        y: Tensor,
        rate: float,
        augmenting: torch.Generator,
        mixing: torch.Generator,
    ) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        rank, n_ranks, n = self.fabric.global_rank, self.fabric.world_size, len(y)
        x = x[rank::n_ranks].to(self.fabric.device, non_blocking=True)
        y = y[rank::n_ranks].to(self.fabric.device, non_blocking=True)
        for augment in self.augment:
            x = augment(x, generator=augmenting)
        partners, weight = y, 1.0
        if self.recipe.mixup:
            mixed = mixup(x, alpha=self.recipe.mixup, generator=mixing)
            x, partners, weight = mixed.x, y[mixed.partner], mixed.weight

        def gradients(piece: int) -> Tensor:
            self.optimizer.zero_grad()
            total = torch.zeros((), device=self.fabric.device)
            for xs, ys, others in zip(
                x.split(piece), y.split(piece), partners.split(piece), strict=True
            ):
                outputs = self.model(xs)
                loss = self.loss(outputs, ys)
                if weight < 1.0:
                    loss = weight * loss + (1.0 - weight) * self.loss(outputs, others)
                # ddp divides by the number of ranks; a rank may hold one example more than another
                loss = loss * (len(ys) * n_ranks / n)
                self.fabric.backward(loss)
                total += loss.detach()
            return total

        loss, self.piece = with_smaller_pieces(gradients, self.piece)
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm, foreach=True)
        self.wrapped.step()
        if self.average is not None:
            self.average.update()
        return loss

    def _evaluate(self, validation: Split) -> Evaluation:
        size = max(self.piece, 256)
        with self.average.applied() if self.average else contextlib.nullcontext():
            found, _ = with_smaller_pieces(
                lambda piece: evaluate(self.network, validation, self.target, batch_size=piece),
                size,
            )
        return self.fabric.broadcast(found)  # all ranks must decide alike

    def _record(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        key = (epoch.validation_score, -epoch.validation_loss)
        if self.best is None or key >= self.best_key:
            weights = dict(self.network.state_dict())
            if self.average is not None:
                weights |= self.average.tensors
            self.best_key = key
            self.best = {name: tensor.clone() for name, tensor in weights.items()}
        losses = [e.validation_loss for e in self.epochs]
        since = len(losses) - 1 - losses.index(min(losses))
        if not math.isfinite(epoch.train_loss):
            self.stopped = "diverged"
        elif self.limit.over(self.step):
            self.stopped = self.limit.name
        elif self.recipe.patience and since >= self.recipe.patience:
            self.stopped = "patience"

    def keep_best(self) -> None:
        """Load the weights of the best epoch into the network."""
        assert self.best is not None
        self.network.load_state_dict(self.best)

    def checkpoint(self, identity: dict[str, Any]) -> Checkpoint:
        """Gather everything a resume needs."""
        parts = {
            "network": self.network.state_dict(),
            "average": {} if self.average is None else self.average.tensors,
            "best": self.best or {},
            "optimizer": optimizer_tensors(self.optimizer),
        }
        state = {
            "identity": identity,
            "step": self.step,
            "seconds": self.limit.elapsed(),
            "piece": self.piece,
            "updates": self.average.updates if self.average else 0,
            "best_key": self.best_key,
            "stopped": self.stopped,
            "epochs": [asdict(epoch) for epoch in self.epochs],
        }
        return Checkpoint(
            {f"{part}.{name}": t for part, named in parts.items() for name, t in named.items()},
            state,
        )

    def restore(self, saved: Checkpoint) -> None:
        """Continue from a checkpoint."""
        state, tensors = saved.state, saved.tensors
        self.network.load_state_dict(select(tensors, "network"))
        restore_optimizer(self.optimizer, select(tensors, "optimizer"))
        device = self.fabric.device
        self.best = {name: t.to(device) for name, t in select(tensors, "best").items()}
        if self.average is not None:
            for name, tensor in select(tensors, "average").items():
                self.average.tensors[name].copy_(tensor)
            self.average.updates = state["updates"]
        self.step, self.piece = state["step"], state["piece"]
        self.best_key = tuple(state["best_key"])
        self.stopped = state["stopped"]
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]


def _check_splits(train: Split, validation: Split) -> None:
    for name, split in (("train", train), ("validation", validation)):
        if not len(split):
            raise ValueError(f"`{name}` has no rows; give the split at least one.")


def _check_same(before: dict[str, Any], now: dict[str, Any], folder: Path | None) -> None:
    for name, value in now.items():
        if before.get(name) != value:
            raise ValueError(
                f"`folder` {folder} holds a checkpoint of another training: `{name}` was "
                f"{before.get(name)}, and is {value} now. Give another folder, or delete it."
            )
