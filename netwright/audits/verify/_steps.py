"""A graph as steps that can be bounded: affine operations, sums, products, activations, max-pools.

An affine operation is known by three functions: itself, what it makes of absolute values (weights
made positive, constants left out), and the constants it adds. Nothing else about it is needed, so
convolutions, poolings and reshapes of any form are one case.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from netwright.artefact._graph import Graph, Node
from netwright.artefact._operators import OPERATORS, limitation
from netwright.audits.verify._network import NetworkError

__all__ = ["Program", "Step", "read_program"]

_COPIES = frozenset(
    "Dropout Expand Flatten Gather Identity Reshape Slice Squeeze Transpose Unsqueeze".split()
)
_AVERAGES = frozenset("AveragePool GlobalAveragePool ReduceMean ReduceSum".split())
_WEIGHTED = {"Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (1, 2), "MatMul": (1, None)}
_ACTIVATIONS = frozenset("Clip HardSigmoid LeakyRelu Relu Sigmoid Tanh".split())


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation on values that depend on the input.

    Attributes:
        label: operator and name, for messages.
        kind: how it is bounded.
        op: the operator.
        sources: names of what it reads: two for a sum or a product, else one.
        target: name of what it makes.
        run: the operation, on float64 tensors with a batch axis.
        absolute: for affine ones, the same with every coefficient made positive and nothing added.
        constant: bound of the absolute values of what an affine one adds, without batch.
        terms: how many numbers are added up for one output, at most; 0 for as many as there are
            inputs to an output.
        settings: of an activation: slope of LeakyRelu, bounds of Clip, and so on.
    """

    label: str
    kind: Literal["affine", "copy", "sum", "product", "activation", "maxpool"]
    op: str
    sources: tuple[str, ...]
    target: str
    run: Callable[..., Tensor]
    absolute: Callable[[Tensor], Tensor] | None = None
    constant: Callable[[Tensor], Tensor] | None = None
    terms: int = 1
    settings: tuple[float, ...] = ()


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


def read_program(graph: Graph) -> Program:
    """Turn a graph into steps; the weights keep their values and, if they have any, gradients.

    Args:
        graph: from one input to one output.

    Raises:
        NetworkError: if it holds operations that cannot be bounded; names all of them.
    """
    constants = dict(graph.initializers)
    moving = {graph.inputs[0].name}
    steps: list[Step] = []
    refused: list[str] = []
    for node in graph.nodes:
        sources = [n for n in node.inputs if n in moving]
        if not sources:
            if node.op in OPERATORS and not limitation(node, graph):
                made = OPERATORS[node.op](node, *(constants.get(n) for n in node.inputs))
                outputs = made if isinstance(made, tuple) else (made,)
                constants.update(zip(node.outputs, outputs, strict=False))  # type: ignore[arg-type]
            else:
                refused.append(node.label)
            continue
        moving.update(node.outputs)
        step = None if limitation(node, graph) else _step(node, sources, constants)
        if step is None or len(node.outputs) != 1:
            refused.append(node.label)
        else:
            steps.append(step)
    if refused:
        listed = ", ".join(refused[:8]) + (f" and {len(refused) - 8} more" if refused[8:] else "")
        raise NetworkError(f"Bounds cannot be had, for the graph has operations without: {listed}.")
    floats = [t.dtype for t in graph.initializers.values() if t.is_floating_point()]
    unit = max((torch.finfo(d).eps / 2 for d in floats), default=2.0**-24)
    return Program(graph.inputs[0].name, graph.outputs[0].name, tuple(steps), unit)


def _step(node: Node, sources: list[str], constants: Mapping[str, Tensor]) -> Step | None:
    fixed = [constants.get(n) for n in node.inputs]
    fixed = [f.double() if f is not None and f.is_floating_point() else f for f in fixed]
    places = [i for i, n in enumerate(node.inputs) if n in sources]
    if len(places) == 2 and len(node.inputs) == 2 and node.op in ("Add", "Sub", "Mul"):
        pair = (node.inputs[0], node.inputs[1])
        kind = "product" if node.op == "Mul" else "sum"
        return Step(
            node.label, kind, node.op, pair, node.outputs[0], lambda a, b: _call(node, [a, b])
        )
    if len(places) != 1:
        return None
    place, data = places[0], bool(places[0] == 0)
    step = Step(
        node.label, "copy", node.op, tuple(sources), node.outputs[0], _runner(node, fixed, place)
    )
    if node.op in _COPIES:
        return step if data else None
    if node.op in _ACTIVATIONS and data:
        settings = _settings(node, fixed)
        return None if settings is None else replace(step, kind="activation", settings=settings)
    if node.op == "MaxPool" and data:
        return replace(step, kind="maxpool")
    return _affine(node, fixed, place, step)


def _affine(node: Node, fixed: list[Tensor | None], place: int, step: Step) -> Step | None:
    step = replace(step, kind="affine")
    if node.op in _WEIGHTED:
        where, added = _WEIGHTED[node.op]
        if place == where and node.op == "MatMul":
            where = 0
        elif place != 0:
            return None
        weight = fixed[where]
        if weight is None:
            return None
        bare = list(fixed)
        bare[where] = weight.abs()
        if added is not None and len(bare) > added:
            bare[added] = None
        shared = weight.shape[0] if node.op == "Conv" else 1  # a kernel each
        terms = weight.numel() // shared if "Conv" in node.op else max(weight.shape)
        positive = _runner(_unsigned(node), bare, place)
        return replace(step, absolute=positive, constant=_added(step), terms=terms + 3)
    if node.op in _AVERAGES and place == 0:
        terms = math.prod(node.get("kernel_shape", ())) + 2 if node.op == "AveragePool" else 0
        return replace(step, absolute=step.run, constant=_added(step), terms=terms)
    if node.op in ("Add", "Sub"):
        return replace(step, absolute=_grown(step), constant=_added(step), terms=1)
    if node.op in ("Mul", "Div") and (node.op == "Mul" or place == 0):
        bare = [f.abs() if f is not None else None for f in fixed]
        return replace(step, absolute=_runner(node, bare, place), constant=_added(step), terms=1)
    if node.op == "Neg":
        return replace(step, absolute=lambda r: r, constant=_added(step), terms=0)
    if node.op == "BatchNormalization" and place == 0:
        scale, shift, mean, variance = (f for f in fixed[1:5] if f is not None)
        zero = torch.zeros_like(mean)
        bare = [None, scale.abs(), zero, zero, variance]
        size = [None, scale.abs(), shift.abs(), -mean.abs(), variance]
        total = _runner(node, size, 0)
        return replace(
            step,
            absolute=_runner(node, bare, 0),
            constant=lambda x: total(torch.zeros_like(x)),
            terms=8,
        )
    return None


def _unsigned(node: Node) -> Node:
    if node.op != "Gemm" or node.get("alpha", 1.0) >= 0:
        return node
    return replace(node, attributes={**node.attributes, "alpha": -node.get("alpha")})


def _runner(node: Node, fixed: list[Tensor | None], place: int) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        arguments = list(fixed)
        arguments[place] = x
        return _call(node, arguments)

    return run


def _call(node: Node, arguments: list[Tensor | None]) -> Tensor:
    while arguments and arguments[-1] is None:
        arguments.pop()
    made = OPERATORS[node.op](node, *arguments)
    return made[0] if isinstance(made, tuple) else made  # type: ignore[return-value]


def _added(step: Step) -> Callable[[Tensor], Tensor]:
    return lambda x: step.run(torch.zeros_like(x)).abs()


def _grown(step: Step) -> Callable[[Tensor], Tensor]:
    """Return `r` in the shape that adding a constant gives it."""
    return lambda r: r + 0 * step.run(r)


def _settings(node: Node, fixed: list[Tensor | None]) -> tuple[float, ...] | None:
    if node.op == "LeakyRelu":
        slope = float(node.get("alpha", 0.01))
        return (slope,) if 0 <= slope <= 1 else None
    if node.op == "HardSigmoid":
        slope, shift = float(node.get("alpha", 0.2)), float(node.get("beta", 0.5))
        return (slope, shift) if slope > 0 else None
    if node.op == "Clip":
        ends = [node.get("min", -math.inf), node.get("max", math.inf)]
        for i, given in enumerate(fixed[1:3]):
            if given is not None:
                ends[i] = float(given)
        return (float(ends[0]), float(ends[1])) if ends[0] <= ends[1] else None
    return ()
