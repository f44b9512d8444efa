"""What a quantity is measured on: a network, or the shipped artefact, and rows it has not seen."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from netwright.data._schema import Schema
from netwright.data._task import Split

__all__ = ["Subject"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network under measurement.

    Attributes:
        schema: of the task.
        split: the rows to measure on.
        network: a differentiable module in eval mode; a shipped artefact is decoded from its bytes.
        seed: every random choice of a measurement derives from it.
        artefact: the shipped file (`model.onnx`); None while the network is only a candidate.
        predict: maps inputs (as the network receives them) to logits or values; the artefact's own
            runtime when there is an artefact; None means `network`.
        before: outputs for every row of the split before the network was compressed, for quantities
            that compare with them; None where it was not.
    """

    schema: Schema
    split: Split
    network: nn.Module
    seed: int = 0
    artefact: Path | None = None
    predict: Callable[[Tensor], Tensor] | None = None
    before: Tensor | None = None

    @cached_property
    def outputs(self) -> Tensor:
        """Logits (or values) for every row of the split, float32 (n, width)."""
        run = self.predict or self.network
        with torch.no_grad():
            return torch.cat([run(x).float() for x, _ in self.split.batches(512)])

    def where(self, places: Tensor) -> "Subject":
        """Restrict the subject to some rows; `outputs` are cut, not computed again.

        Args:
            places: positions in the split, int64.
        """
        before = None if self.before is None else self.before[places]
        chosen = dataclasses.replace(self, split=_Chosen(self.split, places), before=before)
        chosen.__dict__["outputs"] = self.outputs[places]  # where `cached_property` looks first
        return chosen


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Some rows of a split, as a split."""

    split: Split
    places: Tensor

    def __len__(self) -> int:
        return len(self.places)

    @property
    def rows(self) -> Tensor:
        return self.split.rows[self.places]

    @property
    def y(self) -> Tensor:
        return self.split.y[self.places]

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        chosen = self.places.tolist()
        return {k: tuple(names[i] for i in chosen) for k, names in self.split.groups.items()}

    def take(self, places: Tensor | Sequence[int]) -> Tensor:
        return self.split.take(self.places[torch.as_tensor(places)])

    def batches(
        self, batch_size: int, *, generator: torch.Generator | None = None, drop_last: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self)
        order = torch.arange(n) if generator is None else torch.randperm(n, generator=generator)
        for chunk in order.split(batch_size):
            if not (drop_last and len(chunk) < batch_size):
                yield self.take(chunk), self.y[chunk]
