"""Steps in a row that together do what one operator does."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from netwright.artefact._graph import Node
from netwright.audits.verify._program import Step
from netwright.audits.verify._single_steps import Reading, affine, single

__all__ = ["Chain"]


class Chain:
    """Collects the steps of one node. Every method returns the name of what its step makes.

    Functions are of the graph's own tensors, whose first axis is the batch.
    """

    def __init__(self, node: Node, reading: Reading) -> None:
        """Begin with no steps.

        Args:
            node: whose label the steps carry.
            reading: what is known.
        """
        self.node, self.reading = node, reading
        self.steps: list[Step] = []

    def close(self, output: str | None = None) -> list[Step]:
        """Name what the last step makes as the node's output, and return all.

        Args:
            output: the name; None for the node's first output.
        """
        self.steps[-1] = replace(self.steps[-1], target=output or self.node.outputs[0])
        return self.steps

    def linear(
        self,
        source: str,
        run: Callable[[Tensor], Tensor],
        absolute: Callable[[Tensor], Tensor] | None = None,
        *,
        terms: int = 1,
    ) -> str:
        """Apply an affine function.

        Args:
            source: of it.
            run: the function.
            absolute: the same with positive coefficients and nothing added; None if `run` itself is
                so.
            terms: numbers added up for one output; 0 for as many as there are inputs to an output.
        """
        lifted = self.reading.lift(run)
        sized = lifted if absolute is None else self.reading.lift(absolute)
        return self._add(affine(self._step("affine", (source,), lifted), sized, terms))

    def move(self, source: str, run: Callable[[Tensor], Tensor]) -> str:
        """Put numbers in other places, without arithmetic.

        Args:
            source: of them.
            run: the function.
        """
        return self._add(self._step("copy", (source,), self.reading.lift(run)))

    def apply(self, op: str, source: str, run: Callable[[Tensor], Tensor], *settings: float) -> str:
        """Apply an activation.

        Args:
            op: its name in `_relaxations` or `_curves`.
            source: of it.
            run: the function, of each number alone.
            settings: see `Step`.
        """
        return self._add(
            replace(self._step("activation", (source,), run), op=op, settings=settings)
        )

    def largest(self, source: str, run: Callable[[Tensor], Tensor]) -> str:
        """Take maxima.

        Args:
            source: of them.
            run: the function.
        """
        return self._add(self._step("maxpool", (source,), self.reading.lift(run)))

    def add(self, first: str, second: str) -> str:
        """Add two values.

        Args:
            first: the one.
            second: the other.
        """
        lifted = self.reading.lift(torch.add)
        return self._add(replace(self._step("sum", (first, second), lifted), op="Add"))

    def multiply(self, first: str, second: str) -> str:
        """Multiply two values.

        Args:
            first: the one.
            second: the other.
        """
        lifted = self.reading.lift(torch.mul)
        return self._add(replace(self._step("product", (first, second), lifted), op="Mul"))

    def error(self, source: str, of: str, margin: Callable[[Tensor], Tensor]) -> str:
        """Allow for what the runtime computes otherwise.

        Args:
            source: what is computed.
            of: a value whose size the error depends on.
            margin: largest error, from a bound of the absolute values of `of`.
        """
        step = self._step("error", (source, of), lambda x, _: x)
        return self._add(replace(step, margin=self.reading.lift(margin)))

    def bounded(
        self,
        source: str,
        run: Callable[[Tensor], Tensor],
        bounds: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> str:
        """Apply a function that is bounded by intervals alone.

        Args:
            source: of it.
            run: the function.
            bounds: from bounds of the source to bounds of what is made.
        """
        step = self._step("range", (source,), self.reading.lift(run))
        return self._add(replace(step, bounds=self.reading.lift(bounds)))  # type: ignore[arg-type]

    def operator(self, op: str, *inputs: str, **attributes: object) -> str:
        """Apply an operator of ONNX that is one step, or of constants alone.

        Args:
            op: the operator.
            inputs: names; of them one or two depend on the network's input.
            attributes: of the node.
        """
        made = Node(op, 20, inputs, (self._fresh(),), attributes, self.node.outputs[0])
        moving = [n for n in inputs if n and n not in self.reading.constants]
        step = single(made, moving, self.reading)
        assert step is not None
        return self._add(step)

    def constant(self, value: Tensor) -> str:
        """Keep a constant.

        Args:
            value: of any shape.
        """
        name = f"{self._fresh()}/constant{len(self.reading.constants)}"
        self.reading.constants[name] = value
        return name

    def _fresh(self) -> str:
        return f"{self.node.outputs[0]}/{len(self.steps)}"

    def _step(self, kind: str, sources: tuple[str, ...], run: Callable[..., Tensor]) -> Step:
        return Step(self.node.label, kind, self.node.op, sources, self._fresh(), run)  # type: ignore[arg-type]

    def _add(self, step: Step) -> str:
        self.steps.append(step)
        return step.target
