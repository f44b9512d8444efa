"""What a candidate of low fidelity sees of a task: all of it, fewer rows, or smaller images."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from netwright import _rng
from netwright.data import ArrowSplit, Input, Split, Task, TensorSplit
from netwright.design import Candidate

__all__ = ["reduced", "shrunk_shape", "steps_of"]

_FEWEST_ROWS = 32
_SMALLEST = 4  # pixels of the shorter edge


def reduced(task: Task, candidate: Candidate, *, seed: int) -> Task:
    """Cut a task to what a candidate's fidelity lets it see.

    Rows are a random part of the training split; a larger part holds the smaller ones. Validation
    rows are all kept. Smaller images are averages of the pixels that each of theirs covers, in
    training, validation and calibration alike.

    Args:
        task: as loaded.
        candidate: its axis and its fidelity say what is cut.
        seed: of the whole job.

    Raises:
        ValueError: if smaller images are asked for and the inputs are none.
        TypeError: if rows are to be left out of a split of another kind than `load` makes.
    """
    if candidate.fidelity >= 1 or candidate.axis == "epochs":
        return task
    if candidate.axis == "rows":
        n = len(task.train)
        kept = min(n, max(_FEWEST_ROWS, math.ceil(n * candidate.fidelity)))
        order = torch.randperm(n, generator=_rng.child(seed, "fidelity/rows"))
        return replace(task, train=_rows(task.train, order[:kept].sort().values))
    shape = shrunk_shape(task.schema.input, candidate.fidelity)
    smaller = replace(task.schema, input=replace(task.schema.input, shape=shape))
    return replace(
        task,
        schema=smaller,
        train=_shrink(task.train, shape),
        validation=_shrink(task.validation, shape),
        calibration=_shrink(task.calibration, shape),
    )


def shrunk_shape(what: Input, fidelity: float) -> tuple[int, ...]:
    """Return the shape of images of so many of the pixels; no edge falls below 4 pixels.

    Args:
        what: the task's input.
        fidelity: share of the pixels, in (0, 1].

    Raises:
        ValueError: if the inputs are no images.
    """
    if what.kind != "image":
        raise ValueError(
            f'The axis "resolution" needs images; these inputs are of kind `{what.kind}`. "rows" '
            f'and "epochs" suit every task.'
        )
    channels, *edges = what.shape
    times = math.sqrt(fidelity)
    return (channels, *(min(edge, max(_SMALLEST, round(edge * times))) for edge in edges))


def steps_of(work: int | None, candidate: Candidate, what: Input) -> int | None:
    """Turn a share of the budget, in steps on the task's images, into steps of a candidate.

    Args:
        work: steps on the task's own inputs; None where the clock counts.
        candidate: a step on smaller images costs it less.
        what: the task's input.
    """
    if work is None or not candidate.is_shrunk:
        return work
    pixels = math.prod(shrunk_shape(what, candidate.fidelity)) / math.prod(what.shape)
    return max(1, round(work / pixels))


def _rows(split: Split, places: Tensor) -> Split:
    groups = {
        name: tuple(column[place] for place in places.tolist())
        for name, column in split.groups.items()
    }
    if isinstance(split, TensorSplit):
        return TensorSplit(split.x[places], split.y[places], split.rows[places], groups)
    if isinstance(split, ArrowSplit):
        index = split.index[places.numpy()]
        return replace(
            split, index=index, y=split.y[places], rows=split.rows[places], groups=groups
        )
    raise TypeError(
        f'The axis "rows" needs a `TensorSplit` or an `ArrowSplit`; got {type(split).__name__}.'
    )


def _shrink(split: Split, shape: Sequence[int]) -> Split:
    if isinstance(split, TensorSplit):
        pieces = [_smaller(split.take(p), shape) for p in torch.arange(len(split)).split(1024)]
        x = torch.cat(pieces)
        if split.x.dtype == torch.uint8:
            x = x.mul_(255).round_().to(torch.uint8)
        return TensorSplit(x, split.y, split.rows, split.groups)
    return _Shrunk(split, tuple(shape))


def _smaller(x: Tensor, shape: Sequence[int]) -> Tensor:
    return functional.interpolate(x, size=tuple(shape[1:]), mode="area")


@dataclass(frozen=True, eq=False)
class _Shrunk:
    # A split that does not lie in memory, of smaller images.
    whole: Split
    shape: tuple[int, ...]

    @property
    def y(self) -> Tensor:
        return self.whole.y

    @property
    def rows(self) -> Tensor:
        return self.whole.rows

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        return self.whole.groups

    def __len__(self) -> int:
        return len(self.whole)

    def take(self, places: Tensor | Sequence[int]) -> Tensor:
        return _smaller(self.whole.take(places), self.shape)

    def batches(
        self, batch_size: int, *, generator: torch.Generator | None = None, drop_last: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in self.whole.batches(batch_size, generator=generator, drop_last=drop_last):
            yield _smaller(x, self.shape), y
