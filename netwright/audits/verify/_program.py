"""A network as steps that can be bounded.

An affine step is known by three functions: itself, what it makes of absolute values (weights made
positive, constants left out), and the constants it adds. Nothing else about it is needed, so
convolutions, poolings and reshapes of any form are one case. An activation acts on each number
alone, between lines (`_relaxations`). What the runtime may compute otherwise than the steps say is
an `error` step: its source, and a number within a margin.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

__all__ = ["Program", "Step"]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation on values that depend on the input.

    Attributes:
        label: operator and name, for messages.
        kind: how it is bounded.
        op: the operator.
        sources: names of what it reads: two for a sum, a product or an error, any number for a
            concatenation, else one.
        target: name of what it makes.
        run: the operation, on float64 tensors with a batch axis. Of an error: its first source.
        absolute: for affine ones, the same with every coefficient made positive and nothing added.
        constant: bound of the absolute values of what an affine one adds, without batch.
        terms: how many numbers are added up for one output, at most; 0 for as many as there are
            inputs to an output.
        settings: of an activation: slope of LeakyRelu, bounds of Clip, and so on.
        bounds: of a range, which is bounded by intervals alone: from bounds to bounds.
        margin: of an error: its largest size, from a bound of the absolute values of its second
            source.
    """

    label: str
    kind: Literal[
        "affine", "copy", "concat", "sum", "product", "activation", "maxpool", "range", "error"
    ]
    op: str
    sources: tuple[str, ...]
    target: str
    run: Callable[..., Tensor]
    absolute: Callable[[Tensor], Tensor] | None = None
    constant: Callable[[Tensor], Tensor] | None = None
    terms: int = 1
    settings: tuple[float, ...] = ()
    bounds: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    margin: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A network as steps.

    Attributes:
        source: name of the input.
        target: name of the output.
        steps: in order.
        unit: largest relative error of one rounding in the arithmetic the file is executed in.
    """

    source: str
    target: str
    steps: tuple[Step, ...]
    unit: float

    def run(self, x: Tensor) -> Tensor:
        """Execute the steps in float64.

        Args:
            x: inputs, float64, with a batch axis.
        """
        values = {self.source: x}
        for step in self.steps:
            values[step.target] = step.run(*(values[s] for s in step.sources))
        return values[self.target]
