"""Rows in two halves: one teaches the weights, the other judges the architecture."""

import torch
from torch import Tensor

from netwright import _rng
from netwright.data._task import Split

__all__ = ["HalvedBatches"]


class HalvedBatches:
    """Batches of both halves, each in an order of its own, again and again.

    Attributes:
        halves: places of the rows of each half.
    """

    def __init__(self, train: Split, batch_size: int, seed: int) -> None:
        """Halve the rows.

        Args:
            train: what is halved.
            batch_size: rows in a batch of each half; at most a half.
            seed: of the halves and of the orders.

        Raises:
            ValueError: if there are too few rows to halve.
        """
        if len(train) < 4:
            raise ValueError(f"`train` must have at least 4 rows, to be halved; got {len(train)}.")
        self._split = train
        self._order = _rng.child(seed, "halved/order")
        half = len(train) // 2
        rows = torch.randperm(len(train), generator=_rng.child(seed, "halved/rows"))
        self.halves = (rows[:half], rows[half:])
        self._size = min(batch_size, half)
        self._left = [rows[:0], rows[:0]]

    def next(self, half: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of the next batch of a half.

        Args:
            half: 0 teaches the weights, 1 judges.
        """
        rows = self.halves[half]
        if len(self._left[half]) < self._size:
            self._left[half] = rows[torch.randperm(len(rows), generator=self._order)]
        now, self._left[half] = self._left[half].tensor_split([self._size])
        return self._split.take(now), self._split.y[now]
