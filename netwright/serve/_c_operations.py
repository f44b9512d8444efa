"""ONNX operations as C99: loops over sizes that are known when they are written.

What only moves numbers (transposing, picking, slicing) becomes a table of places. Values share
buffers as soon as nobody needs them any more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from netwright.artefact._graph import Node
from netwright.artefact._operators import OPERATORS
from netwright.serve._to_python import ExportError

__all__ = ["C_OPERATIONS", "CWriter", "write_node"]

_MOVES = ("Transpose", "GatherND", "Slice", "Gather", "Expand")
_SAME = ("Reshape", "Flatten", "Unsqueeze", "Squeeze", "Identity", "Cast")
_UNARY = {
    "Relu": "x > 0.0f ? x : 0.0f",
    "Sigmoid": "1.0f / (1.0f + expf(-x))",
    "Tanh": "tanhf(x)",
    "Exp": "expf(x)",
    "Log": "logf(x)",
    "Sqrt": "sqrtf(x)",
    "Abs": "fabsf(x)",
    "Neg": "-x",
    "Round": "rintf(x)",
    "Floor": "floorf(x)",
    "IsNaN": "x != x ? 1.0f : 0.0f",
    "Not": "x != 0.0f ? 0.0f : 1.0f",
}
_BINARY = {
    "Add": "x + y",
    "Sub": "x - y",
    "Mul": "x * y",
    "Div": "x / y",
    "Max": "x > y ? x : y",
    "Min": "x < y ? x : y",
    "Equal": "x == y ? 1.0f : 0.0f",
    "Greater": "x > y ? 1.0f : 0.0f",
    "Less": "x < y ? 1.0f : 0.0f",
    "And": "x != 0.0f && y != 0.0f ? 1.0f : 0.0f",
    "Pow": "powf(x, y)",
}


@dataclass(eq=False)
class CWriter:
    """What has been written of a network so far.

    Attributes:
        shapes: of every value, for one row.
        weights: by name.
        names: C expression of every value that is known.
        constants: arrays that stand in flash memory.
        lines: of the function.
        buffers: size of every buffer, in floats.
        busy: buffers whose values are still needed.
    """

    shapes: dict[str, tuple[int, ...]]
    weights: dict[str, Tensor]
    names: dict[str, str] = field(default_factory=dict)
    constants: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    buffers: list[int] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)

    def value(self, name: str) -> str:
        """Name a value in C; a weight becomes a constant.

        Args:
            name: in the graph.
        """
        if name not in self.names:
            self.names[name] = self.constant(self.weights[name].numpy())
        return self.names[name]

    def constant(self, array: np.ndarray) -> str:
        """Write an array of constants, and name it.

        Args:
            array: floats, or places.
        """
        name = f"w{len(self.constants)}"
        whole = array.dtype.kind in "iu"
        kind, shown = ("uint16_t", _whole) if whole and _is_place(array) else ("float", _real)
        cells = [shown(v) for v in array.flatten().tolist()] or ["0"]
        rows = [", ".join(cells[i : i + 12]) for i in range(0, len(cells), 12)]
        body = ",\n  ".join(rows)
        self.constants.append(f"static const {kind} {name}[{len(cells)}] = {{\n  {body}}};")
        return name

    def new(self, name: str) -> str:
        """Give a value a buffer that nobody uses.

        Args:
            name: in the graph.
        """
        size = max(1, math.prod(self.shapes[name]))
        free = [i for i in range(len(self.buffers)) if f"b{i}" not in self.busy]
        best = min(
            free, key=lambda i: (self.buffers[i] < size, abs(self.buffers[i] - size)), default=-1
        )
        if best < 0:
            best = len(self.buffers)
            self.buffers.append(size)
        self.buffers[best] = max(self.buffers[best], size)
        self.names[name] = f"b{best}"
        self.busy.add(f"b{best}")
        return f"b{best}"


def write_node(writer: CWriter, node: Node) -> None:
    """Write one operation.

    Args:
        writer: gets the lines.
        node: of a known operator.

    Raises:
        ExportError: if it is of a kind that is not written.
    """
    op = node.op
    if op in _SAME:
        writer.names[node.outputs[0]] = writer.value(node.inputs[0])
    elif op in _UNARY:
        _each(writer, node, [node.inputs[0]], _UNARY[op])
    elif op in _BINARY:
        _each(writer, node, node.inputs, _BINARY[op])
    elif op == "Where":
        _each(writer, node, [node.inputs[1], node.inputs[2], node.inputs[0]], "z != 0.0f ? x : y")
    elif (
        op == "Gather" and node.inputs[0] in writer.weights and node.inputs[1] not in writer.weights
    ):
        _look_up(writer, node)
    elif op in _MOVES:
        _move(writer, node)
    else:
        C_OPERATIONS[op](writer, node)


def _loop(writer: CWriter, n: int, body: str) -> None:
    writer.lines.append(f"for (i = 0; i < {n}; ++i) {{ {body} }}")


def _each(writer: CWriter, node: Node, inputs: Sequence[str], formula: str) -> None:
    """Write one formula for every number of the output; smaller inputs are repeated."""
    shape = writer.shapes[node.outputs[0]]
    reads = []
    for letter, name in zip("xyz", inputs, strict=False):
        reads.append(f"const float {letter} = {_at(writer, name, shape)};")
    if len(inputs) > 3:
        raise ExportError(f"{node.label} has too many inputs to be written in C.")
    out = writer.new(node.outputs[0])
    _loop(writer, math.prod(shape), f"{' '.join(reads)} {out}[i] = {formula};")


def _at(writer: CWriter, name: str, shape: tuple[int, ...]) -> str:
    """Say where number i of a result finds its number of a value that is repeated over it."""
    own = writer.shapes[name]
    value = writer.value(name)
    if math.prod(own) == 1:
        return f"{value}[0]"
    wide = (1,) * (len(shape) - len(own)) + own
    if wide == shape:
        return f"{value}[i]"
    real = [a for a, size in enumerate(wide) if size != 1]
    if all(shape[a] == wide[a] or shape[a] == 1 for a in range(real[0], real[-1] + 1)):
        inner = math.prod(shape[real[-1] + 1 :])
        count = math.prod(wide)
        place = "i" if inner == 1 else f"i / {inner}"
        return f"{value}[{place if math.prod(shape) == inner * count else f'({place}) % {count}'}]"
    places = torch.arange(math.prod(own)).reshape(wide).expand(shape)
    return f"{value}[{writer.constant(places.flatten().numpy())}[i]]"


def _move(writer: CWriter, node: Node) -> None:
    """Let the operation move places instead of numbers, and write down where each came from."""
    own = writer.shapes[node.inputs[0]]
    if any(name and name not in writer.weights for name in node.inputs[1:]):
        raise ExportError(f"{node.label} moves by places that are computed; not written in C.")
    others = [writer.weights[name] if name else None for name in node.inputs[1:]]
    made = OPERATORS[node.op](node, torch.arange(math.prod(own)).reshape(own), *others)
    assert isinstance(made, Tensor)
    places = made.flatten().numpy()
    if np.array_equal(places, np.arange(math.prod(own))):
        writer.names[node.outputs[0]] = writer.value(node.inputs[0])
        return
    source, table = writer.value(node.inputs[0]), writer.constant(places)
    out = writer.new(node.outputs[0])
    _loop(writer, len(places), f"{out}[i] = {source}[{table}[i]];")


def _look_up(writer: CWriter, node: Node) -> None:
    shape, wanted = writer.shapes[node.inputs[0]], writer.shapes[node.inputs[1]]
    if node.get("axis", 0) != 0:
        raise ExportError(f"{node.label} looks up along an inner axis; not written in C.")
    width, table = math.prod(shape[1:]), writer.value(node.inputs[0])
    places = writer.value(node.inputs[1])
    out = writer.new(node.outputs[0])
    _loop(
        writer,
        math.prod(wanted) * width,
        f"{out}[i] = {table}[(int){places}[i / {width}] * {width} + i % {width}];",
    )


def _flat_image(shape: tuple[int, ...]) -> tuple[int, ...]:
    # A sequence is an image one row high.
    return shape if len(shape) == 4 else (*shape[:2], 1, shape[2])


def _two(sizes: tuple[int, ...] | None, plain: int) -> tuple[int, ...]:
    return (plain, plain) if sizes is None else (plain, *sizes)[-2:]


def _four(pads: tuple[int, ...] | None) -> tuple[int, ...]:
    if pads is None:
        return (0,) * 4
    return tuple(pads) if len(pads) == 4 else (0, pads[0], 0, pads[1])


def _conv(writer: CWriter, node: Node) -> None:
    x, w = writer.shapes[node.inputs[0]], writer.shapes[node.inputs[1]]
    out_shape = writer.shapes[node.outputs[0]]
    if len(x) not in (3, 4) or node.get("auto_pad", "NOTSET") != "NOTSET":
        raise ExportError(
            f"{node.label} is no plain convolution of images or sequences; not written in C."
        )
    x, w, out_shape = _flat_image(x), _flat_image(w), _flat_image(out_shape)
    strides, dilations = _two(node.get("strides"), 1), _two(node.get("dilations"), 1)
    pads, groups = _four(node.get("pads")), node.get("group", 1)
    source, weights = writer.value(node.inputs[0]), writer.value(node.inputs[1])
    bias = writer.value(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else ""
    out = writer.new(node.outputs[0])
    (_, M, OH, OW), (_, C, H, W), (_, K, KH, KW) = out_shape, x, w
    per_group = M // groups
    assert C == K * groups
    row = f"{source} + (({f'm / {per_group} * {K} + c' if groups > 1 else 'c'}) * {H} + y) * {W}"
    writer.lines.append(
        f"""for (m = 0; m < {M}; ++m) for (oy = 0; oy < {OH}; ++oy) for (ox = 0; ox < {OW}; ++ox) {{
    float sum = {f"{bias}[m]" if bias else "0.0f"};
    for (c = 0; c < {K}; ++c) for (ky = 0; ky < {KH}; ++ky) {{
      const int y = oy * {strides[0]} - {pads[0]} + ky * {dilations[0]};
      const float *row, *tap;
      if (y < 0 || y >= {H}) continue;
      row = {row};
      tap = {weights} + ((m * {K} + c) * {KH} + ky) * {KW};
      for (kx = 0; kx < {KW}; ++kx) {{
        const int x = ox * {strides[1]} - {pads[1]} + kx * {dilations[1]};
        if (x >= 0 && x < {W}) sum += row[x] * tap[kx];
      }}
    }}
    {out}[(m * {OH} + oy) * {OW} + ox] = sum;
  }}"""
    )


def _pool(writer: CWriter, node: Node) -> None:
    x, out_shape = writer.shapes[node.inputs[0]], writer.shapes[node.outputs[0]]
    kernel = node.get("kernel_shape")
    plain = node.get("auto_pad", "NOTSET") == "NOTSET" and set(node.get("dilations", (1,))) == {1}
    if len(x) not in (3, 4) or not plain:
        raise ExportError(
            f"{node.label} is no plain pooling of images or sequences; not written in C."
        )
    x, out_shape, kernel = _flat_image(x), _flat_image(out_shape), _two(kernel, 1)
    strides, pads = _two(node.get("strides"), 1), _four(node.get("pads"))
    (_, M, OH, OW), (_, _, H, W) = out_shape, x
    source = writer.value(node.inputs[0])
    out = writer.new(node.outputs[0])
    largest = node.op == "MaxPool"
    step = "if (v > sum) sum = v;" if largest else "sum += v; n += 1.0f;"
    first = "-INFINITY" if largest else "0.0f"
    end = "sum" if largest else "sum / n"
    counted = bool(node.get("count_include_pad", 0)) and not largest
    inside = f"y >= -{pads[0]} && x >= -{pads[1]} && y < {H + pads[2]} && x < {W + pads[3]}"
    outside = f"if (y < 0 || y >= {H} || x < 0 || x >= {W}) "
    outside += f"{{ if ({inside}) n += 1.0f; continue; }}" if counted else "continue;"
    writer.lines.append(
        f"""for (m = 0; m < {M}; ++m) for (oy = 0; oy < {OH}; ++oy) for (ox = 0; ox < {OW}; ++ox) {{
    float sum = {first}{"" if largest else ", n = 0.0f"};
    for (ky = 0; ky < {kernel[0]}; ++ky) for (kx = 0; kx < {kernel[1]}; ++kx) {{
      const int y = oy * {strides[0]} - {pads[0]} + ky, x = ox * {strides[1]} - {pads[1]} + kx;
      float v;
      {outside}
      v = {source}[(m * {H} + y) * {W} + x];
      {step}
    }}
    {out}[(m * {OH} + oy) * {OW} + ox] = {end};
  }}"""
    )


def _matrix(writer: CWriter, node: Node) -> None:
    """Write Gemm and MatMul, over a batch of matrices where there is one."""
    gemm = node.op == "Gemm"
    a, b = (writer.shapes[name] for name in node.inputs[:2])
    if gemm and (
        node.get("transA", 0) or node.get("alpha", 1.0) != 1 or node.get("beta", 1.0) != 1
    ):
        raise ExportError(f"{node.label} is scaled or transposed; not written in C.")
    shape = writer.shapes[node.outputs[0]]
    N, K = shape[-1], a[-1]
    turned = gemm and bool(node.get("transB", 0))
    first, second = (writer.value(name) for name in node.inputs[:2])
    batch = math.prod(shape[:-2])
    rows = shape[-2] if len(shape) > 1 else 1
    if math.prod(a[:-2]) not in (1, batch) or math.prod(b[:-2]) not in (1, batch) or len(b) < 2:
        raise ExportError(f"{node.label} multiplies matrices of mixed shapes; not written in C.")
    one = f"{first}[(({'g' if math.prod(a[:-2]) > 1 else '0'}) * {rows} + r) * {K} + k]"
    many = f"(({'g' if math.prod(b[:-2]) > 1 else '0'}) * {K * N})"
    other = f"{second}[{many} + {f'm * {K} + k' if turned else f'k * {N} + m'}]"
    start = "0.0f"
    if gemm and len(node.inputs) > 2 and node.inputs[2]:
        size = math.prod(writer.shapes[node.inputs[2]])
        start = f"{writer.value(node.inputs[2])}[{'m' if size == N else '0'}]"
    out = writer.new(node.outputs[0])
    writer.lines.append(
        f"""for (g = 0; g < {batch}; ++g) for (r = 0; r < {rows}; ++r) for (m = 0; m < {N}; ++m) {{
    float sum = {start};
    for (k = 0; k < {K}; ++k) sum += {one} * {other};
    {out}[(g * {rows} + r) * {N} + m] = sum;
  }}"""
    )


def _reduce(writer: CWriter, node: Node) -> None:
    """Write a mean, sum, maximum or log-sum-exp along neighbouring axes."""
    first = node.inputs[0]
    own = writer.shapes[first]
    if node.op in ("GlobalAveragePool", "GlobalMaxPool"):
        axes = tuple(range(2, len(own)))
    elif len(node.inputs) > 1 and node.inputs[1]:
        axes = tuple(writer.weights[node.inputs[1]].tolist())
    else:
        axes = tuple(node.get("axes") or range(len(own)))
    axes = [*sorted(a % len(own) for a in axes)]
    if tuple(axes) != tuple(range(axes[0], axes[-1] + 1)):
        raise ExportError(f"{node.label} reduces axes that are apart; not written in C.")
    n, inner = math.prod(own[a] for a in axes), math.prod(own[axes[-1] + 1 :])
    total = math.prod(own) // n
    source = writer.value(first)
    out = writer.new(node.outputs[0])
    at = f"{source}[(i / {inner} * {n} + k) * {inner} + i % {inner}]"
    top = f"float top = -INFINITY; for (k = 0; k < {n}; ++k) if ({at} > top) top = {at};"
    add = f"float sum = 0.0f; for (k = 0; k < {n}; ++k) sum += "
    body = {
        "ReduceMax": f"{top} {out}[i] = top;",
        "GlobalMaxPool": f"{top} {out}[i] = top;",
        "ReduceSum": f"{add}{at}; {out}[i] = sum;",
        "ReduceMean": f"{add}{at}; {out}[i] = sum / {n}.0f;",
        "GlobalAveragePool": f"{add}{at}; {out}[i] = sum / {n}.0f;",
        "ReduceLogSumExp": f"{top} {{ {add}expf({at} - top); {out}[i] = top + logf(sum); }}",
    }[node.op]
    _loop(writer, total, body)


def _soft(writer: CWriter, node: Node) -> None:
    own = writer.shapes[node.inputs[0]]
    axis = node.get("axis", -1) % len(own)
    n, inner = own[axis], math.prod(own[axis + 1 :])
    source = writer.value(node.inputs[0])
    out = writer.new(node.outputs[0])
    place = f"(i / {inner} * {n} + k) * {inner} + i % {inner}"
    last = f"expf({source}[{place}] - top) / sum"
    if node.op == "LogSoftmax":
        last = f"{source}[{place}] - top - logf(sum)"
    _loop(
        writer,
        math.prod(own) // n,
        f"float top = -INFINITY, sum = 0.0f; "
        f"for (k = 0; k < {n}; ++k) if ({source}[{place}] > top) top = {source}[{place}]; "
        f"for (k = 0; k < {n}; ++k) sum += expf({source}[{place}] - top); "
        f"for (k = 0; k < {n}; ++k) {out}[{place}] = {last};",
    )


def _cumulate(writer: CWriter, node: Node) -> None:
    """Write a running sum along one axis."""
    own, axes = writer.shapes[node.inputs[0]], writer.weights.get(node.inputs[1])
    if axes is None or node.get("exclusive", 0) or node.get("reverse", 0):
        raise ExportError(f"{node.label} is no plain running sum; not written in C.")
    axis = int(axes) % len(own)
    n, inner = own[axis], math.prod(own[axis + 1 :])
    source = writer.value(node.inputs[0])
    out = writer.new(node.outputs[0])
    place = f"(i / {inner} * {n} + k) * {inner} + i % {inner}"
    body = f"for (k = 0; k < {n}; ++k) {out}[{place}] = sum += {source}[{place}];"
    _loop(writer, math.prod(own) // n, f"float sum = 0.0f; {body}")


def _batch_norm(writer: CWriter, node: Node) -> None:
    own = writer.shapes[node.inputs[0]]
    if any(name not in writer.weights for name in node.inputs[1:]):
        raise ExportError(f"{node.label} normalises by what is computed; not written in C.")
    scale, bias, mean, variance = (writer.weights[name].double() for name in node.inputs[1:5])
    slope = scale / (variance + node.get("epsilon", 1e-5)).sqrt()
    slopes = writer.constant(slope.float().numpy())
    starts = writer.constant((bias - mean * slope).float().numpy())
    source = writer.value(node.inputs[0])
    out = writer.new(node.outputs[0])
    channel = f"i / {math.prod(own[2:])} % {own[1]}"
    body = f"const int j = {channel}; {out}[i] = {source}[i] * {slopes}[j] + {starts}[j];"
    _loop(writer, math.prod(own), body)


def _concat(writer: CWriter, node: Node) -> None:
    shape = writer.shapes[node.outputs[0]]
    axis = node.get("axis") % len(shape)
    outer = math.prod(shape[:axis])
    whole = math.prod(shape[axis:])
    parts = [(writer.value(n), math.prod(writer.shapes[n][axis:])) for n in node.inputs]
    out = writer.new(node.outputs[0])
    start = 0
    for source, size in parts:
        place = f"i / {size} * {whole} + {start} + i % {size}" if outer > 1 else f"{start} + i"
        _loop(writer, outer * size, f"{out}[{place}] = {source}[i];")
        start += size


def _clip(writer: CWriter, node: Node) -> None:
    first = node.inputs[0]
    low = float(writer.weights[node.inputs[1]]) if len(node.inputs) > 1 and node.inputs[1] else None
    high = float(writer.weights[node.inputs[2]]) if len(node.inputs) > 2 else None
    formula = "x"
    if low is not None:
        formula = f"x < {_real(low)} ? {_real(low)} : {formula}"
    if high is not None:
        formula = f"x > {_real(high)} ? {_real(high)} : ({formula})"
    _each(writer, node, [first], formula)


def _plain(writer: CWriter, node: Node) -> None:
    raise AssertionError(node.op)  # `write_node` takes these itself


C_OPERATIONS: dict[str, Callable[[CWriter, Node], None]] = {
    **dict.fromkeys((*_SAME, *_UNARY, *_BINARY, *_MOVES, "Where"), _plain),
    "Conv": _conv,
    "AveragePool": _pool,
    "MaxPool": _pool,
    "Gemm": _matrix,
    "MatMul": _matrix,
    "Concat": _concat,
    "CumSum": _cumulate,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceLogSumExp"), _reduce),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _soft),
}


def _is_place(array: np.ndarray) -> bool:
    return bool(array.size == 0 or (array.min() >= 0 and array.max() <= 0xFFFF))


def _whole(value: float) -> str:
    return str(int(value))


def _real(value: float) -> str:
    if math.isinf(value):
        return "-INFINITY" if value < 0 else "INFINITY"
    if math.isnan(value):
        return "NAN"
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
