"""One optimiser step: augment, blend, forward, backward in pieces, clip, update, average."""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.data._schema import Target
from netwright.data._task import Split
from netwright.learn import (
    _adversarial,
    _augment,
    _augment_series,
    _certified,
    _optimizers,
    _schedules,
)
from netwright.learn._augment_learned import LearnedWidths
from netwright.learn._average import WeightAverage
from netwright.learn._checkpoint import optimizer_tensors, restore_optimizer, select
from netwright.learn._evaluate import Evaluation, check_outputs, evaluate
from netwright.learn._losses import loss_for
from netwright.learn._memory import with_smaller_pieces
from netwright.learn._mixup import mixup
from netwright.learn._names import resolve
from netwright.learn._recipe import Recipe
from netwright.learn._threat import Threat

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Learner"]

_GROWTH = (0.02, 0.5)  # of a certified training's radius: where it begins and where it ends


class Learner:
    """A network with its optimiser and weight average, one step at a time.

    Attributes:
        target: what is learned.
        piece: examples that go through the network at once; halved when memory runs out, while the
            step's gradient stays that of the whole batch.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        target: Target,
        *,
        fabric: "Fabric",
        images: bool,
        series: bool = False,
        compile: bool,
        direct: bool,
        loss: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """Set up a network for training.

        Args:
            network: trained in place.
            recipe: the hyper-parameters.
            target: decides the loss.
            fabric: where to train.
            images: whether inputs are images; they are laid out channels last, which is faster
                (`benchmarks/precision.py` prints by how much).
            series: whether inputs are numeric sequences.
            compile: whether to compile the network.
            direct: whether `fabric` is of one device and plain or autocast precision, so that its
                wrappers have nothing to do and their time can be saved.
            loss: from outputs, inputs and targets, in the place of the target's own.

        Raises:
            ValueError: if the recipe names something unknown or does not fit inputs or target.
        """
        self._recipe, self.target, self._fabric = recipe, target, fabric
        self._learned: LearnedWidths | None = None
        self._augment: list[Callable[..., Tensor]] = []
        for name in recipe.augment:
            if name == "learned" and not series:
                _check_learned(recipe, alone=direct)
                self._learned = LearnedWidths(device=fabric.device)
                self._augment.append(self._learned)
            else:
                known = _augment_series if series else _augment
                self._augment.append(resolve(name, known, "augmentation"))
        self._schedule = resolve(recipe.schedule, _schedules, "schedule")
        self._loss = loss_for(target, label_smoothing=recipe.label_smoothing)
        self._given = loss
        self._robust_loss: Any = None
        self._threat: Threat | None = None
        if recipe.adversarial:
            self._robust_loss = resolve(recipe.adversarial, _adversarial, "adversarial training")
            _check_adversarial(recipe, target, images)
        if recipe.certified:
            self._robust_loss = resolve(recipe.certified, _certified, "certified training")
            _check_certified(recipe, target, images, alone=direct and not compile)
        if loss is not None and self._robust_loss is not None:
            raise ValueError(
                "`loss` cannot be given where training is against changed inputs, which has one of "
                "its own; leave `adversarial` and `certified` empty."
            )
        make_optimizer = resolve(recipe.optimizer, _optimizers, "optimizer")
        if (recipe.augment and not (images or series)) or (recipe.mixup and not images):
            raise ValueError(
                "`augment` changes images and numeric sequences, `mixup` images, and these inputs "
                "are none; leave `augment` empty and `mixup` at 0."
            )
        self._format = torch.channels_last if images else torch.contiguous_format
        self._network = network.to(memory_format=self._format)  # type: ignore[call-overload]
        module: Any = torch.compile(network) if compile else network
        wrapped = fabric.setup_module(module)
        self._model = module if direct else wrapped
        self._backward = Tensor.backward if direct else fabric.backward
        self._optimizer = make_optimizer(
            network, learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        stepper: Any = fabric.setup_optimizers(self._optimizer)
        self._stepper = self._optimizer if direct else stepper
        self._direct = direct
        self._average = WeightAverage(network, recipe.average) if recipe.average else None
        self._augmenting = self._mixing = torch.Generator()
        self.piece = recipe.batch_size
        self._rows = max(recipe.batch_size, 256)  # evaluated at once

    @property
    def is_robust(self) -> bool:
        """Whether it trains against changed inputs."""
        return self._robust_loss is not None

    def begin(self, seed: int, epoch: int) -> None:
        """Set all generators for an epoch, so that a resume needs nobody's state.

        Args:
            seed: of the training.
            epoch: counted from 0.
        """
        name = f"fit/{epoch}/{self._fabric.global_rank}"
        torch.manual_seed(_rng.child_seed(seed, f"{name}/forward"))  # dropout; `fit` restores it
        self._augmenting = _rng.child(seed, f"{name}/augment", self._fabric.device)
        self._mixing = _rng.child(seed, f"{name}/mixup")
        if self._robust_loss is not None:
            self._threat = Threat(
                radius=self._recipe.radius,
                norm=self._recipe.attack_norm,
                n_steps=self._recipe.attack_steps,
                generator=_rng.child(seed, f"{name}/attack", self._fabric.device),
            )
            if self._recipe.certified:
                self._threat.starts, self._threat.full = _GROWTH
        self._model.train()

    def rate(self, progress: float) -> float:
        """Return the learning rate of a step.

        Args:
            progress: share of the training that is done, in [0, 1].
        """
        if self._threat is not None:
            self._threat.progress = progress
        return self._recipe.learning_rate * self._schedule(progress)

    def step(self, x: Tensor, y: Tensor, *, rate: float) -> Tensor:
        """Take one step on a batch and return its loss, on the network's device.

        Args:
            x: inputs of the whole batch; with several devices each takes its share.
            y: their targets.
            rate: learning rate.
        """
        device = self._fabric.device
        n, n_ranks = len(y), self._fabric.world_size
        if n_ranks > 1:
            x, y = (t[self._fabric.global_rank :: n_ranks] for t in (x, y))
        x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        for augment in self._augment:
            x = augment(x, generator=self._augmenting)
        others, weight = y, 1.0
        if self._recipe.mixup:
            mixed = mixup(x, alpha=self._recipe.mixup, generator=self._mixing)
            x, others, weight = mixed.x, y[mixed.partner], mixed.weight
        x = x.contiguous(memory_format=self._format)
        changed = x
        if self._learned is not None:  # the network's gradients end here, those of widths begin
            x = changed.detach().requires_grad_()

        def gradients(piece: int) -> Tensor:
            self._optimizer.zero_grad()
            x.grad = None
            losses = []
            for x_piece, y_piece, others_piece in _split(math.ceil(len(y) / piece), x, y, others):
                with self._fabric.autocast():
                    if self._threat is None:
                        outputs = self._model(x_piece)
                        check_outputs(outputs, y_piece, self.target)
                        loss = self._loss_of(outputs.float(), x_piece, y_piece)
                    else:
                        loss = self._robust_loss(
                            self._model, x_piece, y_piece, self._loss, self._threat
                        )
                if weight < 1.0:
                    blend = self._loss_of(outputs.float(), x_piece, others_piece)
                    loss = weight * loss + (1.0 - weight) * blend
                if len(y_piece) < n:  # ddp, for its part, divides by the number of ranks
                    loss = loss * (len(y_piece) * n_ranks / n)
                self._backward(loss)
                losses.append(loss.detach())
            return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

        for group in self._optimizer.param_groups:
            group["lr"] = rate
        for _ in range(self._recipe.attack_steps if self._recipe.adversarial == "free" else 1):
            if n_ranks == 1:
                loss, self.piece = with_smaller_pieces(gradients, self.piece)
            else:  # ranks exchange gradients in lockstep; none may start a step over alone
                loss = gradients(self.piece)
            if self._recipe.clip_norm:
                self._clip(self._recipe.clip_norm)
            self._stepper.step()
        if self._learned is not None and x.grad is not None and loss.isfinite():
            self._learned.learn(changed, x.grad)
        if self._average is not None:
            self._average.update()
        return loss

    def _loss_of(self, outputs: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return self._loss(outputs, y) if self._given is None else self._given(outputs, x, y)

    def _clip(self, norm: float) -> None:
        if self._direct:
            nn.utils.clip_grad_norm_(self._parameters, norm)
        else:
            self._fabric.clip_gradients(
                self._model, self._stepper, max_norm=norm, error_if_nonfinite=False
            )

    def evaluate(self, split: Split) -> Evaluation:
        """Measure the averaged weights (the live ones, if the recipe does not average) on a split.

        Args:
            split: the rows.
        """
        averaged = self._average.applied() if self._average else contextlib.nullcontext()
        with averaged, self._fabric.autocast():
            found, self._rows = with_smaller_pieces(
                lambda n: evaluate(self._network, split, self.target, batch_size=n), self._rows
            )
        return Evaluation(*self._fabric.broadcast(tuple(found)))  # all ranks must decide alike

    def weights(self) -> dict[str, Tensor]:
        """Copy the weights that `evaluate` measures, by the names of the network's `state_dict`."""
        weights = dict(self._network.state_dict())
        if self._average is not None:
            weights |= self._average.tensors
        return {name: tensor.clone() for name, tensor in weights.items()}

    @property
    def widths(self) -> dict[str, float]:
        """How far images are changed at most, where that is learned; else empty."""
        return {} if self._learned is None else self._learned.widths

    def tensors(self) -> dict[str, Tensor]:
        """Name all tensors that `restore` needs."""
        parts = {
            "network": self._network.state_dict(),
            "average": {} if self._average is None else self._average.tensors,
            "optimizer": optimizer_tensors(self._optimizer),
        }
        if self._learned is not None:
            parts["learned"] = self._learned.state_dict()
            parts["learning"] = optimizer_tensors(self._learned.optimizer)
        return {f"{part}.{name}": t for part, named in parts.items() for name, t in named.items()}

    def restore(self, tensors: Mapping[str, Tensor], *, step: int, piece: int) -> None:
        """Go back to where `tensors` was called.

        Args:
            tensors: what it returned.
            step: steps taken until then.
            piece: the attribute, then.

        Raises:
            ValueError: if they belong to another network.
        """
        try:
            self._network.load_state_dict(select(tensors, "network"))
        except RuntimeError as error:
            raise ValueError(
                f"The checkpoint in `folder` is of another network; give another folder. {error}"
            ) from error
        restore_optimizer(self._optimizer, select(tensors, "optimizer"))
        if self._learned is not None:
            self._learned.load_state_dict(select(tensors, "learned"))
            restore_optimizer(self._learned.optimizer, select(tensors, "learning"))
        if self._average is not None:
            for name, tensor in select(tensors, "average").items():
                self._average.tensors[name].copy_(tensor)
            self._average.updates = step
        self.piece = piece


def _check_adversarial(recipe: Recipe, target: Target, images: bool) -> None:
    if not images:
        raise ValueError(
            "`adversarial` training changes pixels, and these inputs are no images; leave it empty."
        )
    if recipe.mixup:
        raise ValueError("`adversarial` and `mixup` cannot be had together; set `mixup` to 0.")
    if recipe.adversarial == "trades" and target.kind != "class":
        raise ValueError(
            f"`trades` compares probabilities of classes; for a target of kind `{target.kind}` set "
            f"`adversarial` to `pgd`."
        )


def _check_learned(recipe: Recipe, *, alone: bool) -> None:
    if recipe.adversarial or recipe.certified or not alone:
        raise ValueError(
            "The augmentation `learned` follows the gradient of plain training on one device; with "
            "`adversarial`, `certified` or `fabric` name others, such as `shift`."
        )
    if recipe.augment.count("learned") > 1:
        raise ValueError("The augmentation `learned` stands twice in `augment`; name it once.")


def _check_certified(recipe: Recipe, target: Target, images: bool, *, alone: bool) -> None:
    if not images or target.kind != "class":
        raise ValueError(
            f"`certified` training is for classes of images; the target here is of kind "
            f"`{target.kind}`{'' if images else ', and the inputs are no images'}. Leave it empty."
        )
    if recipe.mixup:
        raise ValueError("`certified` and `mixup` cannot be had together; set `mixup` to 0.")
    if not alone:
        raise ValueError(
            "`certified` training follows a network operation by operation, on one device; it "
            "cannot be had with `compile` or `fabric`."
        )


def _split(n_pieces: int, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    # Even pieces: BatchNorm cannot take a last one of a single example.
    if n_pieces == 1:
        return [tensors]
    return list(zip(*(t.tensor_split(n_pieces) for t in tensors), strict=True))
