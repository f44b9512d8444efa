"""Operators that are several steps: softmax, normalisation, products of matrices, rounding, ...

Paper:    Shi, Zhang, Chang, Huang, Hsieh. Robustness Verification for Transformers. ICLR 2020,
          arXiv:2002.06622: products by McCormick's planes, softmax by exponentials and reciprocals.
Departs:  softmax is written `1 / sum_j exp(x_j - x_i)`, which needs no product, and whose
          intervals are exact. The runtime is taken to compute a variance from differences to the
          mean, as ONNX Runtime does, not as `E[x^2] - E[x]^2`.
Notation: names as in ONNX.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from netwright.artefact._graph import Node, dtypes
from netwright.artefact._operators import OPERATORS
from netwright.audits.verify._chain import Chain
from netwright.audits.verify._curves import APPROXIMATE
from netwright.audits.verify._program import Step
from netwright.audits.verify._single_steps import Reading, single

__all__ = ["COMPOSITES", "steps_of"]


def steps_of(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    """Turn a node into steps.

    Args:
        node: of a known operator.
        sources: those of its inputs that depend on the network's.
        reading: what is known.

    Returns:
        The steps; None if the node cannot be bounded.
    """
    made = None
    if node.op in COMPOSITES:
        made = COMPOSITES[node.op](node, sources, reading)
    if made is None and sum(map(bool, node.outputs)) == 1:
        step = single(node, sources, reading)
        made = None if step is None else [step]
    return made


def _softmax(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    total, chain, axis = _exponentials(node, reading)
    if total is None:
        return None
    y = chain.apply("Reciprocal", total, torch.reciprocal)
    return _softened(chain, chain.move(y, lambda y: y.movedim(-1, axis)), node)


def _log_softmax(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    total, chain, axis = _exponentials(node, reading)
    if total is None:
        return None
    y = chain.apply("Log", total, torch.log)
    y = chain.linear(y, lambda y: -y.movedim(-1, axis), lambda r: r.movedim(-1, axis))
    return _softened(chain, y, node)


def _exponentials(node: Node, reading: Reading) -> tuple[str | None, Chain, int]:
    """Return `sum_j exp(x_j - x_i)` for every i, on the last axis."""
    chain, axis = Chain(node, reading), node.get("axis", -1)
    if node.opset < 13 and axis != -1:
        return None, chain, axis  # older sets flatten what follows the axis

    def differences(x: Tensor) -> Tensor:
        x = x.movedim(axis, -1)
        return x.unsqueeze(-2) - x.unsqueeze(-1)  # (..., i, j)

    def sizes(r: Tensor) -> Tensor:
        r = r.movedim(axis, -1)
        apart = 1 - torch.eye(r.shape[-1], dtype=r.dtype)
        return (r.unsqueeze(-2) + r.unsqueeze(-1)) * apart

    d = chain.linear(node.inputs[0], differences, sizes)
    if node.op == "Softmax":  # moves no result by more than exp(-60), far inside the margin
        d = chain.apply("Clip", d, lambda d: d.clamp(max=60.0), -math.inf, 60.0)
    e = chain.apply("Exp", d, torch.exp)
    total = chain.linear(e, lambda e: e.sum(-1), terms=0)
    return _at_least_one(chain, total), chain, axis


def _at_least_one(chain: Chain, total: str) -> str:
    """One of the exponentials is that of 0; what a runtime rounds is counted at the end."""
    return chain.apply("Clip", total, lambda t: t.clamp(min=1 - 1e-9), 1 - 1e-9, math.inf)


def _softened(chain: Chain, y: str, node: Node) -> list[Step]:
    """Add what a runtime's exponentials and sums may err."""
    axis, unit = node.get("axis", -1), chain.reading.unit

    def margin(r: Tensor) -> Tensor:
        share = 2 * (r.shape[axis] + 10) * unit + APPROXIMATE
        largest = r.amax(axis, keepdim=True) if node.op == "LogSoftmax" else 0 * r
        return share * (1 + 2 * largest.expand_as(r))

    chain.error(y, node.inputs[0], margin)
    return chain.close()


def _log_sum_exp(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    axes = _axes(node, reading)
    if axes is None or len(axes) != 1:
        return None
    (axis,), keep = axes, bool(node.get("keepdims", 1))
    chain, x, unit = Chain(node, reading), node.inputs[0], reading.unit

    def apart(r: Tensor) -> Tensor:
        first = torch.zeros(r.shape[axis], dtype=r.dtype)
        first[0] = 1.0
        mask = 1 - first.reshape(-1, *[1] * ((-axis - 1) % r.dim()))
        return (r + r.narrow(axis, 0, 1)) * mask

    d = chain.linear(x, lambda x: x - x.narrow(axis, 0, 1), apart)
    e = chain.apply("Exp", d, torch.exp)
    total = chain.linear(e, lambda e: e.sum(axis, keepdim=keep), terms=0)
    total = _at_least_one(chain, total)
    y = chain.apply("Log", total, torch.log)

    def first(x: Tensor) -> Tensor:
        part = x.narrow(axis, 0, 1)
        return part if keep else part.squeeze(axis)

    y = chain.add(y, chain.move(x, first))

    def margin(r: Tensor) -> Tensor:
        largest = r.amax(axis, keepdim=keep)
        return (2 * (r.shape[axis] + 10) * unit + APPROXIMATE) * (1 + largest)

    chain.error(y, x, margin)
    return chain.close()


def _normalise(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    """Take the mean away (RMSNormalization: not), and divide by the root of the mean square."""
    outputs = [name for name in node.outputs if name]
    if sources != [node.inputs[0]] or len(outputs) != 1 or node.outputs[0] != outputs[0]:
        return None
    instance, first = node.op == "InstanceNormalization", node.get("axis", -1)
    chain, x = Chain(node, reading), node.inputs[0]

    def axes(x: Tensor) -> list[int]:
        return list(range(2 if instance else first % x.dim(), x.dim()))

    def count(x: Tensor) -> int:
        return math.prod(x.shape[a] for a in axes(x))

    def mean(x: Tensor) -> Tensor:
        return x.mean(axes(x), keepdim=True)

    centred = x
    if node.op != "RMSNormalization":
        centred = chain.operator("Sub", x, chain.linear(x, mean, terms=0))
    square = chain.apply("Square", centred, torch.square)
    variance = chain.linear(square, mean, terms=0)
    epsilon = node.get("epsilon", 1e-5)
    shifted = chain.linear(variance, lambda v: v + epsilon, lambda r: r)
    # A mean of squares is not negative, however it is rounded; nor is one of the n squares more
    # than n times the mean.
    floor = epsilon * (1 - 1e-6)
    shifted = chain.apply("Clip", shifted, lambda v: v.clamp(min=floor), floor, math.inf)
    y = chain.multiply(centred, chain.apply("Rsqrt", shifted, torch.rsqrt))
    scale = reading.constants.get(node.inputs[1])
    if not instance and scale is not None and scale.numel() > 1:
        end = math.sqrt(scale.numel()) * (1 + 8 * (scale.numel() + 20) * reading.unit)
        y = chain.apply("Clip", y, lambda y: y.clamp(-end, end), -end, end)
    for op, name in zip(("Mul", "Add"), node.inputs[1:3], strict=False):
        value = reading.constants.get(name)
        if value is not None and instance:
            y = _by_channel(chain, op, y, value.double())
        elif name:
            y = chain.operator(op, y, name)
    return chain.close()


def _by_channel(chain: Chain, op: str, y: str, value: Tensor) -> str:
    def shaped(x: Tensor) -> Tensor:
        return value.reshape(-1, *[1] * (x.dim() - 2))

    if op == "Mul":
        return chain.linear(y, lambda x: x * shaped(x), lambda r: r * shaped(r).abs())
    return chain.linear(y, lambda x: x + shaped(x), lambda r: r)


def _matmul(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    if set(node.inputs) != set(sources):
        return None
    chain, (a, b) = Chain(node, reading), node.inputs
    a = chain.move(a, lambda a: a.unsqueeze(-1))  # (..., i, k, 1)
    b = chain.move(b, lambda b: b.unsqueeze(-3))  # (..., 1, k, j)
    chain.linear(chain.multiply(a, b), lambda p: p.sum(-2), terms=0)
    return chain.close()


def _multiply(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    if len(node.inputs) != 2:
        return None
    chain = Chain(node, reading)
    for a, b in (node.inputs, node.inputs[::-1]):
        gate = reading.maker(b, "Sigmoid")
        if a in sources and gate is not None and gate.inputs[0] == a:
            chain.apply("Swish", a, torch.nn.functional.silu)
            return chain.close()
    if node.inputs[0] != node.inputs[1]:
        return None
    chain.apply("Square", node.inputs[0], torch.square)
    return chain.close()


def _divide(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    if node.inputs[1] not in sources:
        return None
    chain, (a, b) = Chain(node, reading), node.inputs
    inverse = chain.apply("Reciprocal", b, torch.reciprocal)
    if a in sources:
        chain.multiply(a, inverse)
    else:
        chain.operator("Mul", inverse, a)
    return chain.close()


def _power(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    exponent = reading.constants.get(node.inputs[1])
    if exponent is None or exponent.numel() != 1:
        return None
    chain, x = Chain(node, reading), node.inputs[0]
    power = float(exponent)
    if power == 1.0:
        chain.move(x, lambda x: x)
    elif power == 2.0:
        chain.apply("Square", x, torch.square)
    elif power == 0.5:
        chain.apply("Sqrt", x, torch.sqrt)
    elif power == -1.0:
        chain.apply("Reciprocal", x, torch.reciprocal)
    else:
        return None
    return chain.close()


def _larger(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    """`max(a, b) = b + relu(a - b)`, `min(a, b) = b - relu(b - a)`."""
    chain = Chain(node, reading)
    ordered = sorted(node.inputs, key=lambda name: name not in sources)
    a = ordered[0]
    for b in ordered[1:]:
        constant = reading.constants.get(b)
        if constant is not None and constant.isinf().any():
            a = _beyond_infinity(chain, a, constant.double())
            continue
        gap = chain.operator("Sub", *((a, b) if node.op == "Max" else (b, a)))
        gap = chain.apply("Relu", gap, torch.relu)
        if b in sources:
            gap = gap if node.op == "Max" else chain.operator("Neg", gap)
            a = chain.add(b, gap)
        elif node.op == "Max":
            a = chain.operator("Add", gap, b)
        else:
            a = chain.operator("Sub", b, gap)
    return chain.close() if chain.steps else None


def _beyond_infinity(chain: Chain, a: str, bound: Tensor) -> str:
    """The larger or smaller of `a` and a bound that is infinite, and so none, in places."""
    sign = 1.0 if chain.node.op == "Max" else -1.0
    bounded = bound.isfinite()
    end = torch.where(bounded, bound, 0.0)
    gap = chain.linear(a, lambda a: sign * (a - end), lambda r: r + 0 * end)
    gap = chain.apply("Relu", gap, torch.relu)
    kept = chain.linear(gap, lambda g: torch.where(bounded, sign * g + end, 0.0),
                        lambda r: torch.where(bounded, r, 0.0))  # fmt: skip
    return chain.add(kept, chain.move(a, lambda a: torch.where(bounded, 0.0, a)))


def _sum(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    chain = Chain(node, reading)
    total = node.inputs[0]
    for name in node.inputs[1:]:
        if total in reading.constants and name in reading.constants:
            total = chain.constant(reading.constants[total] + reading.constants[name])
        else:
            total = chain.operator("Add", total, name)
    if node.op == "Mean":
        share = 1 / len(node.inputs)
        chain.linear(total, lambda x: x * share, terms=2)
    elif not chain.steps:
        chain.move(total, lambda x: x)
    return chain.close()


def _least(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    if sources != [node.inputs[0]]:
        return None
    chain, x = Chain(node, reading), node.inputs[0]
    plain = reading.fixed(node)
    y = chain.operator("Neg", x)
    highest = Node("ReduceMax", node.opset, (y, *node.inputs[1:]), ("",), node.attributes)
    rowwise = Reading(reading.constants).runner(highest, [None, *plain[1:]], 0)
    chain.operator("Neg", chain.largest(y, rowwise))
    return chain.close()


def _reduce_after(op: str, run: Callable[[Tensor], Tensor]) -> Callable[..., list[Step] | None]:
    def steps(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
        if sources != [node.inputs[0]]:
            return None
        chain = Chain(node, reading)
        made = chain.apply(op, node.inputs[0], run)
        chain.operator("ReduceSum", made, *node.inputs[1:], **node.attributes)
        return chain.close()

    return steps


def _where(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    condition, a, b = node.inputs
    chain = Chain(node, reading)
    if condition in reading.never:
        if b in sources:
            chain.move(b, lambda b: b)
        else:
            value = reading.constants[b].double()
            chain.linear(condition, lambda x: 0 * x + value, lambda r: 0 * r)
        return chain.close()
    if condition in sources:
        return _torch_softplus(node, reading)
    if not {a, b} <= set(sources):
        return None
    true = reading.constants[condition]
    first = chain.move(a, lambda a: torch.where(true, a, 0.0))
    chain.add(first, chain.move(b, lambda b: torch.where(true, 0.0, b)))
    return chain.close()


def _torch_softplus(node: Node, reading: Reading) -> list[Step] | None:
    """Torch exports `x if beta x > threshold else softplus(beta x) / beta`."""
    condition, a, b = node.inputs
    greater, share = reading.maker(condition, "Greater"), reading.maker(b, "Div")
    scaled = None if greater is None else reading.maker(greater.inputs[0], "Mul")
    inner = None if share is None else reading.maker(share.inputs[0], "Softplus")
    if greater is None or share is None or scaled is None or inner is None:
        return None
    threshold = reading.constants.get(greater.inputs[1])
    factors = [reading.constants.get(n) for n in (scaled.inputs[1], share.inputs[1])]
    if threshold is None or threshold.numel() != 1 or any(f is None for f in factors):
        return None
    beta, again = (float(f) for f in factors if f is not None)
    if scaled.inputs[0] != a or inner.inputs[0] != greater.inputs[0] or beta != again or beta <= 0:
        return None
    # Beyond the threshold the softplus is the identity but for exp(-threshold) / beta.
    gap = math.exp(-float(threshold)) / beta
    chain = Chain(node, reading)
    chain.error(b, a, lambda r: gap + 0 * r)
    return chain.close()


def _compare(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    """What comes of a comparison is bounded where it is used, if it can be."""
    return [] if len(sources) == 1 else None


def _is_nan(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    """Every number of a box is finite."""
    reading.never.add(node.outputs[0])
    chain = Chain(node, reading)
    chain.move(node.inputs[0], lambda x: 0 * x)
    return chain.close()


def _cast(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    if node.inputs[0] not in reading.never:
        return None
    reading.never.add(node.outputs[0])
    chain = Chain(node, reading)
    chain.move(node.inputs[0], lambda x: x)
    return chain.close()


def _concat(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    axis, fixed = node.get("axis", 1), reading.fixed(node)
    moving = tuple(n for n in node.inputs if n in sources)

    def run(*values: Tensor) -> Tensor:
        given, rows = iter(values), len(values[0])
        parts = [next(given) if f is None else f for f in fixed]
        if axis % values[0].dim():  # a constant is the same for every row
            parts = [p.expand(rows, *p.shape[1:]) for p in parts]
        return torch.cat(parts, axis)

    return [Step(node.label, "concat", node.op, moving, node.outputs[0], reading.lift(run))]


def _split(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    if sources != [node.inputs[0]]:
        return None
    rest, steps = reading.fixed(node)[1:], []
    for i, name in enumerate(node.outputs):
        if not name:
            continue

        def part(x: Tensor, i: int = i) -> Tensor:
            return OPERATORS["Split"](node, x, *rest)[i]  # type: ignore[index]

        chain = Chain(node, reading)
        chain.move(node.inputs[0], part)
        steps += chain.close(name)
    return steps


def _leaky(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    """`s x + (1 - s) relu(x)`, for slopes of any kind."""
    if sources != [node.inputs[0]]:
        return None
    slope = torch.tensor(node.get("alpha", 0.01), dtype=torch.float64)
    if node.op == "PRelu":
        slope = reading.constants[node.inputs[1]].double()
    elif 0 <= slope <= 1:
        return None  # one step
    chain, x = Chain(node, reading), node.inputs[0]
    bent = chain.operator("Mul", chain.apply("Relu", x, torch.relu), chain.constant(1 - slope))
    chain.add(chain.operator("Mul", x, chain.constant(slope)), bent)
    return chain.close()


def _look_up(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    """A table's rows between the least and the largest place: bounded by intervals."""
    table = reading.constants.get(node.inputs[0])
    if table is None or node.get("axis", 0) != 0 or node.inputs[1] not in sources:
        return None
    table = table.double()
    places = torch.arange(len(table), dtype=torch.float64)

    def run(x: Tensor) -> Tensor:
        at = x.round().long()
        return table[torch.where(at < 0, at + len(table), at)]

    def bounds(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        # Places are whole numbers but for what rounding has been added to them.
        met = (places >= low.unsqueeze(-1) - 0.25) & (places <= high.unsqueeze(-1) + 0.25)
        beyond = (low < -0.25) | (high > len(table) - 0.75)
        met |= beyond.unsqueeze(-1)
        spread = [1] * (table.dim() - 1)
        met = met.reshape(*met.shape, *spread)
        unknown = (0 * (low + high)).reshape(*low.shape, *spread)  # NaN where either is
        least = torch.where(met, table, torch.inf).amin(low.dim())
        return least + unknown, torch.where(met, table, -torch.inf).amax(low.dim()) + unknown

    chain = Chain(node, reading)
    chain.bounded(node.inputs[1], run, bounds)
    return chain.close()


def _quantize(node: Node, sources: list[str], reading: Reading) -> list[Step] | None:
    """Divide, round, add the zero point, and clip: the rounding is within half a step."""
    if sources != [node.inputs[0]]:
        return None
    scale, zero = ([*reading.fixed(node), None])[1:3]
    if scale is None or scale.numel() > 1 and "axis" not in node.attributes and node.opset < 13:
        return None
    kind = dtypes()[node.get("output_dtype", 0) or 2] if zero is None else zero.dtype  # 2: uint8
    if kind.is_floating_point:
        return None
    offset = torch.zeros(1, dtype=torch.float64) if zero is None else zero.double()
    axis, info = node.get("axis", 1), torch.iinfo(kind)

    def along(values: Tensor | None, x: Tensor) -> Tensor:
        assert values is not None
        if values.numel() == 1:
            return values.reshape(())
        return values.reshape(-1, *[1] * (x.dim() - axis % x.dim() - 1))

    chain = Chain(node, reading)
    steps = chain.linear(node.inputs[0], lambda x: x / along(scale, x))
    whole = chain.apply("Round", steps, torch.round)
    moved = chain.linear(whole, lambda q: q + along(offset, q), lambda r: r)
    low, high = float(info.min), float(info.max)
    chain.apply("Clip", moved, lambda q: q.clamp(low, high), low, high)
    return chain.close()


def _axes(node: Node, reading: Reading) -> list[int] | None:
    if len(node.inputs) > 1 and node.inputs[1]:
        given = reading.constants.get(node.inputs[1])
        return None if given is None else [int(a) for a in given.reshape(-1)]
    return list(node.get("axes", ())) or None


COMPOSITES: Mapping[str, Callable[[Node, list[str], Reading], list[Step] | None]] = (
    MappingProxyType(
        {
            "Cast": _cast,
            "Concat": _concat,
            "Div": _divide,
            "Gather": _look_up,
            "Greater": _compare,
            "InstanceNormalization": _normalise,
            "IsNaN": _is_nan,
            "LayerNormalization": _normalise,
            "LeakyRelu": _leaky,
            "LogSoftmax": _log_softmax,
            "MatMul": _matmul,
            "Max": _larger,
            "Mean": _sum,
            "Min": _larger,
            "Mul": _multiply,
            "PRelu": _leaky,
            "Pow": _power,
            "QuantizeLinear": _quantize,
            "RMSNormalization": _normalise,
            "ReduceL1": _reduce_after("Abs", torch.abs),
            "ReduceLogSumExp": _log_sum_exp,
            "ReduceMin": _least,
            "ReduceSumSquare": _reduce_after("Square", torch.square),
            "Softmax": _softmax,
            "Split": _split,
            "Sum": _sum,
            "Where": _where,
        }
    )
)
