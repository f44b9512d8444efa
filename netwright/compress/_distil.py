"""Teach a small network what a large one has learned: its logits, its features, where it looks.

Paper:    Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network. NeurIPS workshop
          2014, arXiv:1503.02531, section 2 (`soft_targets`, `hinton`).
          Romero, Ballas, Kahou, Chassang, Gatta, Bengio. FitNets: Hints for Thin Deep Nets. ICLR
          2015, arXiv:1412.6550, equation 3 (`hint`).
          Zagoruyko, Komodakis. Paying More Attention to Attention. ICLR 2017, arXiv:1612.03928,
          equation 2 (`attention_transfer`).
          Beyer, Zhai, Royer, Markeeva, Anil, Kolesnikov. Knowledge Distillation: A Good Teacher Is
          Patient and Consistent. CVPR 2022, arXiv:2106.05237, section 3.1 (`taught_by`: teacher and
          student see the same changed input).
Departs:  hints are learned together with the logits, not in a stage before; a map of attention that
          is larger than the student's is averaged down to its size.
Notation: temperature = T, share = the weight of the soft targets, helpers = the regressor r.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from netwright import _rng
from netwright.data._schema import Target
from netwright.data._task import Split
from netwright.learn import adamw, loss_for, one_cycle

__all__ = [
    "Distilled",
    "Seen",
    "attention_transfer",
    "distil",
    "hint",
    "hinton",
    "soft_targets",
    "taught_by",
]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a network made of a batch.

    Attributes:
        logits: its outputs.
        features: the outputs of some of its modules, by their names.
    """

    logits: Float[Tensor, "batch classes"]
    features: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Distilled:
    """A student after its lessons.

    Attributes:
        network: the student, trained in place; in eval mode.
        losses: of every step.
    """

    network: nn.Module
    losses: tuple[float, ...]


def soft_targets(
    student: Float[Tensor, "batch classes"],
    teacher: Float[Tensor, "batch classes"],
    *,
    temperature: float,
) -> Float[Tensor, ""]:
    """Return how far a student's softened probabilities are from a teacher's.

    Args:
        student: its logits.
        teacher: its logits; no gradient passes to them.
        temperature: both are divided by it; positive. High ones compare the logits themselves.

    Returns:
        Mean divergence over the batch, nats, times the square of `temperature`, so that gradients
        keep their size.

    Raises:
        ValueError: if `temperature` is not positive.

    Example:
        >>> alike = torch.tensor([[2.0, 1.0]])
        >>> soft_targets(alike + 3, alike, temperature=4.0).abs().item() < 1e-6
        True
    """
    if not temperature > 0:
        raise ValueError(f"`temperature` must be positive; got {temperature}.")
    ours = functional.log_softmax(student / temperature, dim=1)
    theirs = functional.log_softmax(teacher.detach() / temperature, dim=1)
    return temperature**2 * functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def hint(student: Float[Tensor, "batch *rest"], teacher: Float[Tensor, "batch *rest"]) -> Tensor:
    """Return half the squared distance of features, averaged over their numbers.

    Args:
        student: what a helper has made of its features, in the teacher's shape.
        teacher: its features; no gradient passes to them.
    """
    return functional.mse_loss(student, teacher.detach()) / 2


def attention_transfer(
    student: Float[Tensor, "batch student_channels height width"],
    teacher: Float[Tensor, "batch teacher_channels teacher_height teacher_width"],
) -> Tensor:
    """Return how differently two networks weigh the places of an image.

    Args:
        student: a map of its features.
        teacher: a map of its features, as large as the student's or larger; no gradient passes.

    Returns:
        Squared distance of the maps of squares, each of unit length, averaged over places.
    """
    theirs = teacher.detach().square().mean(1, keepdim=True)
    if theirs.shape[2:] != student.shape[2:]:
        theirs = functional.adaptive_avg_pool2d(theirs, (student.shape[2], student.shape[3]))
    ours = functional.normalize(student.square().mean(1).flatten(1), dim=1)
    return (ours - functional.normalize(theirs.flatten(1), dim=1)).square().mean()


def hinton(
    *, temperature: float = 4.0, share: float = 0.9
) -> Callable[[Seen, Seen, Tensor], Tensor]:
    """Make the loss of soft targets and labels.

    Args:
        temperature: of the soft targets.
        share: of the soft targets in the loss, in [0, 1]; with 1 labels are not looked at, and may
            be anything.

    Raises:
        ValueError: if `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"`share` must lie in [0, 1]; got {share}.")

    def loss(student: Seen, teacher: Seen, y: Tensor) -> Tensor:
        soft = soft_targets(student.logits, teacher.logits, temperature=temperature)
        if share == 1:
            return soft
        return share * soft + (1 - share) * functional.cross_entropy(student.logits, y)

    return loss


def taught_by(
    teacher: nn.Module, target: Target, *, temperature: float = 4.0, share: float = 0.9
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Make a loss for `fit` that follows a teacher on every input as augmentation leaves it.

    Classes follow soft targets. Labels follow the teacher's probabilities, values its answers, by
    the target's own loss.

    Args:
        teacher: run in eval mode, without gradients.
        target: of both networks.
        temperature: of the soft targets.
        share: of the teacher in the loss, in [0, 1]; `y` has the rest.

    Returns:
        Takes the student's outputs, the inputs, and `y`.

    Raises:
        ValueError: if `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"`share` must lie in [0, 1]; got {share}.")
    by_rows = loss_for(target)

    def loss(outputs: Tensor, x: Tensor, y: Tensor) -> Tensor:
        with _mode(teacher), torch.no_grad():
            theirs = teacher(x).float()
        if target.kind == "class":
            soft = soft_targets(outputs, theirs, temperature=temperature)
        else:
            soft = by_rows(outputs, theirs.sigmoid() if target.kind == "labels" else theirs)
        return share * soft + (1 - share) * by_rows(outputs, y)

    return loss


def distil(
    student: nn.Module,
    teacher: nn.Module,
    train: Split,
    *,
    steps: int,
    seed: int,
    loss: Callable[[Seen, Seen, Tensor], Tensor] | None = None,
    watch: Sequence[str] = (),
    watch_teacher: Sequence[str] = (),
    helpers: Sequence[nn.Module] = (),
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.0,
) -> Distilled:
    """Train a student on what a teacher makes of the same inputs.

    Args:
        student: trained in place.
        teacher: run in eval mode, and left as it is.
        train: inputs, and labels where the loss looks at them.
        steps: of the optimiser.
        seed: of the order of rows, and of dropout.
        loss: from what student and teacher made of a batch, and its labels; `hinton()` if None.
            Any sum of `soft_targets`, `hint` and `attention_transfer` will do.
        watch: names of the student's modules whose outputs the loss looks at.
        watch_teacher: names of the teacher's.
        helpers: modules that the loss uses and that learn along, such as those that bring features
            to the teacher's shape.
        batch_size: rows of a step, at most.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.

    Raises:
        ValueError: if `steps` is below 1, `train` is empty, or a name is unknown.

    Cost: a step of the student and a forward pass of the teacher, for each step.
    """
    if steps < 1 or not len(train):
        raise ValueError(
            f"`steps` must be at least 1, and `train` have rows; got {steps} and {len(train)}."
        )
    loss = hinton() if loss is None else loss
    learning = nn.ModuleList([student, *helpers])
    optimizer = adamw(learning, learning_rate=learning_rate, weight_decay=weight_decay)
    schedule, order = one_cycle, _rng.child(seed, "distil/order")
    losses: list[Tensor] = []
    with (
        _rng.seeded(_rng.child_seed(seed, "distil")),
        _watched(student, watch) as see,
        _watched(teacher, watch_teacher) as see_teacher,
        _mode(teacher),
    ):
        learning.train()
        while len(losses) < steps:
            for x, y in train.batches(min(batch_size, len(train)), generator=order, drop_last=True):
                if len(losses) == steps:
                    break
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * schedule(len(losses) / steps)
                with torch.no_grad():
                    target = see_teacher(x)
                value = loss(see(x), target, y)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                losses.append(value.detach())
    learning.eval()
    return Distilled(student, tuple(torch.stack(losses).tolist()))


@contextmanager
def _mode(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _watched(network: nn.Module, names: Sequence[str]) -> Iterator[Callable[[Tensor], Seen]]:
    features: dict[str, Tensor] = {}
    modules = dict(network.named_modules())
    unknown = [name for name in names if name not in modules]
    if unknown:
        listed = ", ".join(filter(None, modules))
        raise ValueError(f"The network has no module `{unknown[0]}`; it has {listed}.")

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: Tensor) -> None:
            features[name] = output

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in names]
    try:
        yield lambda x: Seen(network(x), dict(features))
    finally:
        for handle in handles:
            handle.remove()
