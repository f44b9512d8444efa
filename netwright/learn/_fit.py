"""The loop that trains a network: the same for steps and seconds, one device and several."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.data._schema import Target
from netwright.data._task import Split
from netwright.learn._bounds import require_bounds
from netwright.learn._checkpoint import Checkpoint, read_checkpoint, select
from netwright.learn._devices import deterministic, make_fabric, resident, strides_over_a_pixel
from netwright.learn._events import event_log
from netwright.learn._limits import StepLimit, TimeLimit, limit_for
from netwright.learn._losses import score_error
from netwright.learn._recipe import Recipe
from netwright.learn._step import Learner

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Epoch", "Fitted", "fit"]

_STEPS = 50  # fewest in an epoch: a tiny pass is no reason to evaluate and save
_SHARE = 30  # evaluations, and checkpoints, may each take one part in this many of the time


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
        network: the network that was given; in eval mode, on the device where it came from. Its
            weights are the last ones (averaged, if the recipe averages), unless an earlier epoch
            scored better on the validation split by more than the score's standard error, or the
            training was cut short: then those of the epoch that scored best. A training against
            changed inputs keeps its last ones: the score says nothing of what it was for.
        epochs: figures of every epoch.
        steps: optimiser steps taken.
        seconds: time spent, that before a resume included.
        stopped: what ended the training: "steps", "seconds", "patience", or "diverged" when the
            loss was no longer a finite number.
        widths: how far images were changed in the end, as in `WIDTHS`, if the recipe has that
            `learned`; else empty.
    """

    network: nn.Module
    epochs: tuple[Epoch, ...]
    steps: int
    seconds: float
    stopped: str
    widths: Mapping[str, float] = field(default_factory=dict)


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
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Fitted:
    """Train a network.

    Args:
        network: trained in place; maps a batch of inputs to logits or values.
        train: what it learns from.
        validation: shows whether an earlier epoch's weights were better, and stops early.
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
        on_epoch: called after each epoch, by the first process if there are several.
        compile: whether to compile the network with `torch.compile`; that takes a minute or more at
            the start, which counts as time spent.
        fabric: a launched Fabric, to train on several devices that each hold the whole network
            (ddp); every process makes the same call, and a batch is shared out among them.
        loss: what is minimised in the place of the target's own loss, from outputs, the inputs as
            augmentation has left them, and `y`; a mean over the batch. None takes the target's.

    Returns:
        The trained network and its history.

    Raises:
        ValueError: if arguments contradict each other, a split is empty, the recipe names something
            unknown, or `folder` holds another training.
        KeyboardInterrupt: on Ctrl-C; the last checkpoint stays.
    """
    started = time.monotonic()
    limit_for(steps=steps, seconds=seconds, started=started)  # before anything is touched
    for name, split in (("train", train), ("validation", validation)):
        if not len(split):
            raise ValueError(f"`{name}` has no rows; give the split at least one.")
    identity = {
        "recipe": asdict(recipe) | {"augment": list(recipe.augment)},  # as JSON reads it back
        "seed": seed,
        "steps": steps,
        "rows": [len(train), len(validation)],
    }
    saved = None if folder is None else read_checkpoint(folder)
    if saved is not None:
        _check_same(saved.state["identity"], identity, folder)
        started -= saved.state["seconds"]
    example = train.take([0])
    direct = fabric is None
    if fabric is None:
        is_safe = not strides_over_a_pixel(network, example)
        fabric = make_fabric(device, example=example if is_safe else None)
    if recipe.batch_size < fabric.world_size:
        raise ValueError(
            f"`batch_size` must be at least the {fabric.world_size} processes of `fabric`; got "
            f"{recipe.batch_size}."
        )
    home = next((p.device for p in network.parameters()), torch.device("cpu"))
    with deterministic(fabric.device), _rng.seeded(_rng.child_seed(seed, "fit")):
        learner = Learner(
            network,
            recipe,
            target,
            fabric=fabric,
            images=example.ndim == 4,
            series=example.ndim == 3,
            compile=compile,
            direct=direct,
            loss=loss,
        )
        if recipe.certified:
            require_bounds(network, example.to(fabric.device))
        training = _Training(
            learner=learner,
            fabric=fabric,
            limit=limit_for(
                steps=steps,
                seconds=seconds,
                started=started,
                most_steps=recipe.epochs * math.ceil(len(train) / recipe.batch_size) or None,
            ),
            started=started,
            seed=seed,
            identity=identity,
        )
        if saved is not None:
            training.restore(saved)
        mine = folder if fabric.is_global_zero and training.stopped is None else None
        with event_log(mine, step=training.step) as log:
            listeners = (log, on_epoch) if on_epoch and fabric.is_global_zero else (log,)
            training.run(
                resident(train, fabric.device),
                resident(validation, fabric.device),
                batch_size=recipe.batch_size,
                patience=recipe.patience,
                folder=mine,
                report=listeners,
            )
    assert training.best is not None and training.stopped is not None
    network.load_state_dict(fabric.broadcast(training.best))
    network.to(device=home, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return Fitted(
        network=network.eval(),
        epochs=tuple(training.epochs),
        steps=training.step,
        seconds=training.epochs[-1].seconds,
        stopped=training.stopped,
        widths=learner.widths,
    )


@dataclass
class _Training:
    # A training under way: what a checkpoint must hold, and what it is made of.
    learner: Learner
    fabric: "Fabric"
    limit: StepLimit | TimeLimit
    started: float
    seed: int
    identity: dict[str, Any]
    step: int = 0
    epochs: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] | None = None
    best_epoch: int = 0
    stopped: str | None = None

    def run(
        self,
        train: Split,
        validation: Split,
        *,
        batch_size: int,
        patience: int,
        folder: Path | None,
        report: tuple[Callable[[Epoch], None], ...],
    ) -> None:
        n_batches = math.ceil(len(train) / batch_size)
        batch_size = len(train) // n_batches
        # Evaluating an example costs a third of learning from it.
        share = _SHARE / 3 * len(validation) / len(train)
        passes = math.ceil(max(_STEPS / n_batches, share))
        noise = partial(score_error, kind=self.learner.target.kind, n=len(validation))
        # Until there has been an evaluation, its time is guessed, in steps: a forward is a third.
        guess = 0.4 * len(validation) / batch_size
        saving = looking = 0.0
        saved_at = -math.inf
        if self.epochs and self.stopped is None and self._progress() >= 1.0:
            self.stopped = self.limit.name  # the time had run out before this resume
        while self.stopped is None:
            until = time.monotonic() + _SHARE * looking
            loss, rate = self._epoch(train, batch_size, passes, until, guess)
            began = time.monotonic()
            found = self.learner.evaluate(validation)
            epoch = Epoch(
                number=len(self.epochs) + 1,
                step=self.step,
                seconds=time.monotonic() - self.started,
                learning_rate=rate,
                train_loss=loss,
                validation_loss=found.loss,
                validation_score=found.score,
            )
            self._record(epoch, patience, noise)
            looking = time.monotonic() - began
            due = self.stopped is not None or time.monotonic() - saved_at >= _SHARE * saving
            if folder is not None and due:
                began = time.monotonic()
                self._checkpoint().write(folder)
                saved_at = time.monotonic()
                saving = saved_at - began
            for tell in report:
                tell(epoch)
            if isinstance(self.limit, TimeLimit):
                self.limit.reserved, guess = 1.2 * looking + saving, 0.0

    def _epoch(
        self, train: Split, batch_size: int, passes: int, until: float, guess: float
    ) -> tuple[float, float]:
        # Mean loss, and the last step's learning rate.
        epoch = len(self.epochs)
        self.learner.begin(self.seed, epoch)
        order = _rng.child(self.seed, f"fit/{epoch}/order")
        total = torch.zeros((), device=self.fabric.device)
        first, rate = self.step, 0.0
        timed = isinstance(self.limit, TimeLimit)
        while passes > 0 or (timed and self._agree(time.monotonic() < until)):
            passes -= 1
            for x, y in train.batches(batch_size, generator=order, drop_last=True):
                progress = self._progress()
                if progress >= 1.0 and self.step > first:
                    return (total / (self.step - first)).item(), rate
                began = time.monotonic()
                rate = self.learner.rate(progress)
                total += self.learner.step(x, y, rate=rate)
                self.step += 1
                # The first step warms up, and takes longer than the second.
                if isinstance(self.limit, TimeLimit) and guess and self.step - first <= 2:
                    self.limit.reserved = guess * (time.monotonic() - began)
        return (total / (self.step - first)).item(), rate

    def _progress(self) -> float:
        return self._agree(self.limit.progress(self.step))

    def _agree(self, value: Any) -> Any:
        # Clocks differ between ranks, and all must take the same steps at the same rates.
        timed = isinstance(self.limit, TimeLimit)
        return self.fabric.broadcast(value) if timed and self.fabric.world_size > 1 else value

    def _record(self, epoch: Epoch, patience: int, noise: Callable[[float], float]) -> None:
        self.epochs.append(epoch)
        losses = [-_finite(-e.validation_loss) for e in self.epochs]
        if not math.isfinite(epoch.train_loss):
            self.stopped = "diverged"
        elif self._progress() >= 1.0:
            self.stopped = self.limit.name
        elif patience and len(losses) - 1 - losses.index(min(losses)) >= patience:
            self.stopped = "patience"
        # At the end of a whole schedule the last weights are the best, unless the network overfits:
        # they yield only to a clear difference (tests/learn/test_weights_kept.py measures this).
        best = self.epochs[self.best_epoch]
        annealed = self.stopped == self.limit.name
        ahead = epoch.validation_score - best.validation_score
        ended_well = annealed and ahead >= -noise(best.validation_score)
        newest = self.learner.is_robust and self.stopped != "diverged"
        if self.best is None or newest or ended_well or _merit(epoch) >= _merit(best):
            self.best, self.best_epoch = self.learner.weights(), len(self.epochs) - 1

    def _checkpoint(self) -> Checkpoint:
        best = {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        state = {
            "identity": self.identity,
            "step": self.step,
            "seconds": time.monotonic() - self.started,
            "piece": self.learner.piece,
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
            "epochs": [asdict(epoch) for epoch in self.epochs],
        }
        return Checkpoint(self.learner.tensors() | best, state)

    def restore(self, saved: Checkpoint) -> None:
        state = saved.state
        self.learner.restore(saved.tensors, step=state["step"], piece=state["piece"])
        best = select(saved.tensors, "best")
        self.best = {name: tensor.to(self.fabric.device) for name, tensor in best.items()}
        self.step, self.best_epoch = state["step"], state["best_epoch"]
        self.stopped = state["stopped"]
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]


def _merit(epoch: Epoch) -> tuple[float, float]:
    return _finite(epoch.validation_score), _finite(-epoch.validation_loss)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf  # NaN compares with nothing


def _check_same(before: dict[str, Any], now: dict[str, Any], folder: Path | None) -> None:
    for name, value in now.items():
        if before.get(name) != value:
            raise ValueError(
                f"`folder` {folder} holds a checkpoint of another training: `{name}` was "
                f"{before.get(name)}, and is {value} now. Give another folder, or delete it."
            )
