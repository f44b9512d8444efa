"""A task: what is to be learned, from what, in fixed splits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from netwright.data._schema import Schema
from netwright.finding import Table

__all__ = ["SealedSplit", "Split", "Task", "TensorSplit"]


@runtime_checkable
class Split(Protocol):
    """Rows of one split. `TensorSplit` keeps them in memory, `ArrowSplit` streams them.

    Attributes:
        rows: row numbers in the source, int64 (n,).
        y: all targets, as in `Target`; targets always fit in memory.
        groups: for each group column, the group's name of each row.
    """

    # Read-only, so that frozen dataclasses are splits.
    @property
    def rows(self) -> Tensor: ...  # noqa: D102  # honest: a protocol
    @property
    def y(self) -> Tensor: ...  # noqa: D102  # honest: a protocol
    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]: ...  # noqa: D102  # honest: a protocol

    def __len__(self) -> int: ...

    def take(self, places: Tensor | Sequence[int]) -> Tensor:  # honest: a protocol
        """Return the inputs at these places of the split, as the network receives them."""
        ...

    def batches(  # honest: a protocol
        self, batch_size: int, *, generator: torch.Generator | None = None, drop_last: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (x, y) batches, in order, or in an order drawn from `generator`."""
        ...


@dataclass(frozen=True, eq=False)
class TensorSplit:
    """A split that lies in memory.

    Attributes:
        x: inputs as stored: uint8 (n, channels, height, width) for images, else as the network
            receives them.
        y: targets, as in `Target`.
        rows: row numbers in the source, int64 (n,).
        groups: for each group column, the group's name of each row.
    """

    x: Tensor
    y: Tensor
    rows: Tensor
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    def take(self, places: Tensor | Sequence[int] | slice) -> Tensor:
        """Return inputs as the network receives them: images become float in [0, 1].

        Args:
            places: positions in this split.
        """
        chosen = self.x[places] if isinstance(places, slice) else self.x[torch.as_tensor(places)]
        return chosen.float().div_(255) if chosen.dtype == torch.uint8 else chosen

    def batches(
        self, batch_size: int, *, generator: torch.Generator | None = None, drop_last: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (x, y) batches.

        Args:
            batch_size: rows in a batch; the last may have fewer.
            generator: draws the order of the rows; None keeps their order.
            drop_last: leave out a last batch that is not full.
        """
        n = len(self)
        order = None if generator is None else torch.randperm(n, generator=generator)
        for start in range(0, n - batch_size + 1 if drop_last else n, batch_size):
            if order is None:
                places: Tensor | slice = slice(start, start + batch_size)
            else:
                places = order[start : start + batch_size]
            yield self.take(places), self.y[places]


class SealedSplit:
    """The test split. Opening it is an act that is counted and shown."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self.looks: list[str] = []

    def __len__(self) -> int:
        return len(self._split)

    @property
    def rows(self) -> Tensor:
        """Row numbers in the source, int64 (n,); knowing them is no look at the rows."""
        return self._split.rows

    def __repr__(self) -> str:
        return f"SealedSplit(n={len(self)}, looks={len(self.looks)})"

    def open(self, reason: str) -> Split:
        """Open the split, and write down why.

        Args:
            reason: who looks, for example "audit".
        """
        self.looks.append(reason)
        return self._split


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be learned, from what, in fixed splits.

    Attributes:
        name: for people.
        schema: input, target, groups.
        train: what networks learn from.
        validation: what the search and early stopping look at.
        calibration: what temperatures and prediction sets are fitted on.
        test: sealed; the audit alone opens it.
        fingerprint: hex digest of the source's rows, the schema and the split.
        quarantine: rows left out: file, row, reason.
        duplicates: exact and near duplicates across splits; empty rows when there are none.
        notes: what a reader must know about the data, one sentence each.
    """

    name: str
    schema: Schema
    train: Split
    validation: Split
    calibration: Split
    test: SealedSplit
    fingerprint: str
    quarantine: Table
    duplicates: Table
    notes: tuple[str, ...] = ()
