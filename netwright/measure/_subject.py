"""What a quantity is measured on: a network, or the shipped artefact, and rows it has not seen."""

from collections.abc import Callable
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
    """

    schema: Schema
    split: Split
    network: nn.Module
    seed: int = 0
    artefact: Path | None = None
    predict: Callable[[Tensor], Tensor] | None = None

    @cached_property
    def outputs(self) -> Tensor:
        """Logits (or values) for every row of the split, float32 (n, width)."""
        run = self.predict or self.network
        with torch.no_grad():
            return torch.cat([run(x).float() for x, _ in self.split.batches(512)])
