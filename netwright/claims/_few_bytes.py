"""A network of few bytes on mnist, trained, taught, rounded and written: what `smallest` measures.

Paper:    Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network. NeurIPS workshop
          2014, arXiv:1503.02531 (soft targets). Esser et al. Learned Step Size Quantization. ICLR
          2020, arXiv:1902.08153 (weights in whole steps). Wiedemann, Marban, Mueller, Samek.
          Entropy-Constrained Training of Deep Neural Networks. IJCNN 2019, arXiv:1812.07520 (the
          bits of the weights as a part of the loss).
Departs:  the bits of a weight are taken as log2(1 + |weight / step|), which has a gradient, instead
          of its entropy; what the file then takes is counted, not estimated.
Notation: price = lambda.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from netwright import _rng
from netwright.compress import LearnedStep, learn_steps, plain_state, settle, soft_targets
from netwright.data import Split, TensorSplit
from netwright.learn import adamw, one_cycle, rotate_scale, shift

__all__ = ["Effort", "Lessons", "Stage", "folded", "lessons", "shrink", "student", "teacher"]

_TEMPERATURE, _SHARE = 2.0, 0.7  # of the soft targets
_BATCH = 256
_DEGREES, _ZOOM, _REACH = 10.0, 0.1, 1 / 28  # of the changed copies; one pixel
_RATE, _RATE_ROUNDED, _RATE_TEACHER = 1e-2, 3e-3, 4e-3
_PRICE = 0.003  # nats for a bit more in the mean weight


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done.

    Attributes:
        widths: channels of the student's three convolutions.
        copies: changed copies of the training images, made once.
        taught: passes of the teacher over the training rows; 0 does without one.
        passes: of the student.
        rounded: further passes of the student, with rounded weights.
        bits: of a weight; biases have two more.
    """

    widths: tuple[int, int, int]
    copies: int
    taught: int
    passes: int
    rounded: int
    bits: int


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What a network learns from, all in memory.

    Attributes:
        copies: changed copies of the images; a pass goes over one of them.
        y: classes.
        logits: of a teacher, for each copy; empty without one.
    """

    copies: Sequence[UInt8[Tensor, "n 1 height width"]]
    y: Tensor
    logits: Sequence[Float[Tensor, "n classes"]] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A network on its way to few bytes.

    Attributes:
        name: what was done last.
        network: plain, in eval mode.
    """

    name: str
    network: nn.Module


def student(widths: tuple[int, int, int]) -> nn.Sequential:
    """Make a network of three small convolutions and a mean over places.

    Args:
        widths: channels of each.
    """
    first, second, third = widths
    return nn.Sequential(
        nn.Conv2d(1, first, 5, stride=2, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, bias=False),
        nn.BatchNorm2d(second),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(second, third, 3, bias=False),
        nn.BatchNorm2d(third),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(third, 10),
    )


def teacher() -> nn.Sequential:
    """Make the network that teaches; it is thrown away in the end."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 3, padding=1, bias=False),
        nn.BatchNorm2d(48),
        nn.ReLU(),
        nn.Conv2d(48, 80, 3, bias=False),
        nn.BatchNorm2d(80),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(80, 10),
    )


def lessons(train: Split, effort: Effort, *, seed: int) -> Lessons:
    """Make the changed copies, and let a teacher look at them.

    Args:
        train: the rows, images in memory.
        effort: how many copies, and how long the teacher learns.
        seed: of all of it.

    Raises:
        TypeError: if the rows do not lie in memory.
    """
    if not isinstance(train, TensorSplit):
        raise TypeError(f"`train` must lie in memory, as a TensorSplit; got {type(train)}.")
    generator = _rng.child(seed, "copies")
    plain = Lessons([_changed(train.x, generator) for _ in range(effort.copies)], train.y)
    if not effort.taught:
        return plain
    with _rng.seeded(_rng.child_seed(seed, "teacher")):
        network = teacher()
    _learn(network, plain, passes=effort.taught, rate=_RATE_TEACHER, seed=seed, name="teacher")
    return Lessons(plain.copies, train.y, [_logits(network, images) for images in plain.copies])


def shrink(given: Lessons, effort: Effort, *, seed: int) -> tuple[Stage, ...]:
    """Train a student, take its normalisation into its weights, and round them while it learns.

    Args:
        given: what it learns from.
        effort: its size, how long it learns, and how many bits are left.
        seed: of weights and order.

    Returns:
        Each stage; the last one's weights are few whole multiples of a step for each tensor.
    """
    with _rng.seeded(_rng.child_seed(seed, "student")):
        network = student(effort.widths)
    _learn(network, given, passes=effort.passes, rate=_RATE, seed=seed, name="student")
    whole = folded(network)
    rounded = copy.deepcopy(whole)
    bits = {n: effort.bits + 2 * n.endswith("bias") for n in plain_state(rounded)}
    learn_steps(rounded, bits)
    _learn(
        rounded,
        given,
        passes=effort.rounded,
        rate=_RATE_ROUNDED,
        seed=seed,
        name="rounded",
        more=_price(rounded),
    )
    settle(rounded)
    return (
        Stage("trained", network),
        Stage("normalisation taken into the weights", whole),
        Stage(f"whole steps, {effort.bits} bits", rounded),
    )


def folded(network: nn.Sequential) -> nn.Sequential:
    """Take each batch normalisation into the convolution before it.

    Args:
        network: left as it is, in eval mode.
    """
    parts: list[nn.Module] = []
    for part in copy.deepcopy(network):
        if isinstance(part, nn.BatchNorm2d):
            before = parts.pop()
            assert isinstance(before, nn.Conv2d)
            part = fuse_conv_bn_eval(before, part)
        parts.append(part)
    return nn.Sequential(*parts).eval()


def _changed(images: Tensor, generator: torch.Generator) -> Tensor:
    # In parts, since floats take four times the memory.
    parts = []
    for part in images.split(2000):
        turned = rotate_scale(part / 255, generator=generator, degrees=_DEGREES, zoom=_ZOOM)
        moved = shift(turned, generator=generator, reach=_REACH)
        parts.append((moved * 255).round().to(torch.uint8))
    return torch.cat(parts)


def _learn(
    network: nn.Module,
    given: Lessons,
    *,
    passes: int,
    rate: float,
    seed: int,
    name: str,
    more: Callable[[], Tensor] | None = None,
) -> None:
    # The copies take turns. One step does nothing but slice, learn and step: a batch takes 10 ms.
    optimizer = adamw(network, learning_rate=rate, weight_decay=0.0)
    order, n = _rng.child(seed, f"{name}/order"), len(given.y)
    per_pass = n // _BATCH
    network.train()
    for step in range(passes * per_pass):
        turn, place = divmod(step, per_pass)
        if not place:
            rows = torch.randperm(n, generator=order)
        chosen, turn = rows[place * _BATCH :][:_BATCH], turn % len(given.copies)
        logits = network(given.copies[turn][chosen] / 255)
        loss = functional.cross_entropy(logits, given.y[chosen])
        if given.logits:
            soft = soft_targets(logits, given.logits[turn][chosen], temperature=_TEMPERATURE)
            loss = _SHARE * soft + (1 - _SHARE) * loss
        if more is not None:
            loss = loss + more()
        for group in optimizer.param_groups:
            group["lr"] = rate * one_cycle(step / (passes * per_pass))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()


def _price(network: nn.Module) -> Callable[[], Tensor]:
    # What the bits of the mean weight cost; biases are few, and free.
    held: list[tuple[Tensor, LearnedStep]] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight: Any = module.parametrizations["weight"]  # type: ignore[index]
            held.append((weight.original, weight[0]))
    n = sum(weight.numel() for weight, _ in held)

    def price() -> Tensor:
        bits = [(1 + (w / step.step).abs()).log2().sum() for w, step in held]
        return _PRICE / n * torch.stack(bits).sum()

    return price


@torch.no_grad()
def _logits(network: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([network(part / 255) for part in images.split(500)])
