"""Operators that are one step: affine operations, copies, activations, sums and products of two."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from netwright.artefact._graph import Node, dtypes
from netwright.artefact._operators import OPERATORS
from netwright.audits.verify._program import Step

__all__ = ["Reading", "added", "affine", "single"]

_COPIES = frozenset(
    "DepthToSpace Dropout Expand Flatten Gather GatherElements GatherND Identity Reshape Slice "
    "SpaceToDepth Squeeze Tile Transpose Trilu Unsqueeze".split()
)
_AVERAGES = frozenset("AveragePool CumSum GlobalAveragePool ReduceMean ReduceSum".split())
_WEIGHTED = {"Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (1, 2), "MatMul": (1, None)}
_ACTIVATIONS = frozenset(
    "Abs Ceil Celu Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log Mish "
    "Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Tanh".split()
)
_MAXIMA = frozenset("GlobalMaxPool MaxPool ReduceMax".split())


@dataclass(slots=True, eq=False)
class Reading:
    """What is known while a graph is read.

    Attributes:
        constants: values that do not depend on the input, by name.
        never: values that are false or 0 for every finite input.
        rows: whether the batch axis is the graph's own first one (False), or every row is executed
            alone, as a batch of one behind the batch axis (True).
        unit: largest relative error of a rounding.
        makers: of every value, the node that makes it.
    """

    constants: dict[str, Tensor] = field(default_factory=dict)
    never: set[str] = field(default_factory=set)
    rows: bool = False
    unit: float = 2.0**-24
    makers: dict[str, Node] = field(default_factory=dict)

    def lift(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Make a function of the graph's tensors one of tensors with a batch axis.

        Args:
            function: of one row's tensors, or of a whole batch's, as `rows` says.
        """
        return torch.vmap(function) if self.rows else function

    def runner(
        self, node: Node, fixed: Sequence[Tensor | None], place: int
    ) -> Callable[[Tensor], Tensor]:
        """Make a node a function of one of its inputs.

        Args:
            node: of a known operator.
            fixed: its other inputs.
            place: which of them the function takes.
        """

        def run(x: Tensor) -> Tensor:
            arguments = list(fixed)
            arguments[place] = x
            while arguments and arguments[-1] is None:
                arguments.pop()
            made = OPERATORS[node.op](node, *arguments)
            return made[0] if isinstance(made, tuple) else made  # type: ignore[return-value]

        return self.lift(run)

    def maker(self, name: str, op: str) -> Node | None:
        """Return the node that makes a value, if it is of an operator.

        Args:
            name: of the value.
            op: the operator.
        """
        made = self.makers.get(name)
        return made if made is not None and made.op == op else None

    def fixed(self, node: Node) -> list[Tensor | None]:
        """Return a node's constant inputs in float64; None in the place of others.

        Args:
            node: of the graph.
        """
        found = [self.constants.get(name) for name in node.inputs]
        return [f.double() if f is not None and f.is_floating_point() else f for f in found]


def single(node: Node, sources: list[str], reading: Reading) -> Step | None:
    """Turn a node into one step.

    Args:
        node: of a known operator, with one output.
        sources: those of its inputs that depend on the network's.
        reading: what is known.

    Returns:
        The step; None if there is none for it.
    """
    fixed = reading.fixed(node)
    places = [i for i, n in enumerate(node.inputs) if n in sources]
    target = node.outputs[0]
    if len(places) == 2 and len(node.inputs) == 2 and node.op in ("Add", "Sub", "Mul"):
        pair = (node.inputs[0], node.inputs[1])
        kind = "product" if node.op == "Mul" else "sum"

        def both(a: Tensor, b: Tensor) -> Tensor:
            return OPERATORS[node.op](node, a, b)  # type: ignore[return-value]

        return Step(node.label, kind, node.op, pair, target, reading.lift(both))
    if len(places) != 1:
        return None
    place, data = places[0], places[0] == 0
    run = reading.runner(node, fixed, place)
    step = Step(node.label, "copy", node.op, tuple(sources), target, run)
    if node.op in _COPIES:
        return step if data else None
    if node.op in _ACTIVATIONS and data:
        settings = _settings(node, fixed)
        return None if settings is None else replace(step, kind="activation", settings=settings)
    if node.op in _MAXIMA and data:
        return replace(step, kind="maxpool")
    if node.op == "Cast":
        return _cast(node, step)
    if node.op == "CastLike":
        return replace(step, run=lambda x: x) if data else None
    return _affine(node, fixed, place, step, reading)


def affine(step: Step, absolute: Callable[[Tensor], Tensor], terms: int) -> Step:
    """Make a step an affine one.

    Args:
        step: whose `run` is affine.
        absolute: the same with positive coefficients and nothing added.
        terms: numbers added up for one output.
    """
    return replace(step, kind="affine", absolute=absolute, constant=added(step), terms=terms)


def added(step: Step) -> Callable[[Tensor], Tensor]:
    """Return what an affine step adds, as a function of any input of the right shape.

    Args:
        step: whose `run` is affine.
    """
    return lambda x: step.run(torch.zeros_like(x)).abs()


def _cast(node: Node, step: Step) -> Step | None:
    kind = dtypes().get(node.get("to"))
    if kind in (torch.float32, torch.float64):
        return replace(step, run=lambda x: x)
    if kind is None or kind.is_floating_point or kind == torch.bool:
        return None
    return replace(step, kind="activation", op="Trunc", run=torch.trunc)


def _affine(
    node: Node, fixed: list[Tensor | None], place: int, step: Step, reading: Reading
) -> Step | None:
    if node.op in _WEIGHTED:
        where, extra = _WEIGHTED[node.op]
        if place == where and node.op == "MatMul":
            where = 0
        elif place != 0:
            return None
        weight = fixed[where]
        if weight is None:
            return None
        bare = list(fixed)
        bare[where] = weight.abs()
        if extra is not None and len(bare) > extra:
            bare[extra] = None
        shared = weight.shape[0] if node.op == "Conv" else 1  # a kernel each
        terms = weight.numel() // shared if "Conv" in node.op else max(weight.shape)
        return affine(step, reading.runner(_unsigned(node), bare, place), terms + 3)
    if node.op in _AVERAGES and place == 0:
        terms = math.prod(node.get("kernel_shape", ())) + 2 if node.op == "AveragePool" else 0
        return affine(step, step.run, terms)
    if node.op in ("Resize", "Upsample") and place == 0 and node.get("mode", "nearest") != "cubic":
        return step if node.get("mode", "nearest") == "nearest" else affine(step, step.run, 24)
    if node.op == "Pad" and place == 0:
        bare = [fixed[i] if i < len(fixed) and i != 2 else None for i in range(4)]
        plain = replace(node, attributes={**node.attributes, "value": 0.0})
        return affine(step, reading.runner(plain, bare, 0), 1)
    if node.op in ("Add", "Sub"):
        return affine(step, lambda r: r + 0 * step.run(r), 1)  # in the shape that adding gives
    if node.op in ("Mul", "Div") and (node.op == "Mul" or place == 0):
        bare = [f.abs() if f is not None else None for f in fixed]
        return affine(step, reading.runner(node, bare, place), 1)
    if node.op == "Neg":
        return affine(step, lambda r: r, 1)
    if node.op == "DequantizeLinear" and place == 0 and fixed[1] is not None:
        return affine(step, reading.runner(node, [None, fixed[1].abs()], 0), 2)
    if node.op == "Where" and place and fixed[0] is not None:
        nothing = torch.zeros((), dtype=torch.float64)
        bare = [fixed[0], nothing, nothing]
        return affine(step, reading.runner(node, bare, place), 1)
    if node.op == "BatchNormalization" and place == 0:
        scale, shift, mean, variance = (f for f in fixed[1:5] if f is not None)
        zero = torch.zeros_like(mean)
        total = reading.runner(node, [None, scale.abs(), shift.abs(), -mean.abs(), variance], 0)
        return replace(
            affine(step, reading.runner(node, [None, scale.abs(), zero, zero, variance], 0), 8),
            constant=lambda x: total(torch.zeros_like(x)),
        )
    return None


def _unsigned(node: Node) -> Node:
    if node.op != "Gemm" or node.get("alpha", 1.0) >= 0:
        return node
    return replace(node, attributes={**node.attributes, "alpha": -node.get("alpha")})


def _settings(node: Node, fixed: list[Tensor | None]) -> tuple[float, ...] | None:
    if node.op == "LeakyRelu":
        slope = float(node.get("alpha", 0.01))
        return (slope,) if 0 <= slope <= 1 else None
    if node.op == "HardSigmoid":
        slope, shift = float(node.get("alpha", 0.2)), float(node.get("beta", 0.5))
        return (slope, shift) if slope > 0 else None
    if node.op in ("Elu", "Celu", "Selu"):
        alpha, gamma = 1.0, 1.0
        if node.op == "Selu":
            alpha, gamma = 1.6732631921768188, 1.0507010221481323
        alpha, gamma = float(node.get("alpha", alpha)), float(node.get("gamma", gamma))
        return (alpha, gamma) if alpha > 0 and gamma > 0 else None
    if node.op == "Clip":
        ends = [node.get("min", -math.inf), node.get("max", math.inf)]
        for i, given in enumerate(fixed[1:3]):
            if given is not None:
                ends[i] = float(given)
        return (float(ends[0]), float(ends[1])) if ends[0] <= ends[1] else None
    return ()
