"""ONNX operations as NumPy: an expression for each, and the few functions that these call."""

from collections.abc import Callable

from netwright.artefact._graph import Node

__all__ = ["HELPERS", "OPERATIONS", "ExportError", "Operation"]


class ExportError(ValueError):
    """A model cannot be written in the form that is asked for."""


Operation = Callable[[Node, list[str]], str]

HELPERS = {
    "conv": '''
def conv(x, w, b, strides, pads, dilations, groups):
    """Convolve over any number of axes, as a sum over the places of the kernel."""
    n = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:n], pads[n:])])
    sizes = [(x.shape[2 + i] - dilations[i] * (w.shape[2 + i] - 1) - 1) // strides[i] + 1
             for i in range(n)]
    x = x.reshape(len(x), groups, -1, *x.shape[2:])
    w = w.reshape(groups, -1, *w.shape[1:])
    out = np.zeros((len(x), groups, w.shape[1], *sizes), np.float32)
    for place in np.ndindex(*w.shape[3:]):
        cut = tuple(slice(p * d, p * d + (m - 1) * s + 1, s)
                    for p, d, m, s in zip(place, dilations, sizes, strides))
        out += np.einsum("bgi...,goi->bgo...", x[(..., *cut)], w[(..., *place)])
    out = out.reshape(len(x), -1, *sizes)
    return out if b is None else out + b.reshape(1, -1, *[1] * n)
''',
    "pool": '''
def pool(x, kind, kernel, strides, pads, ceil, count_pads):
    """Take the mean or the largest value of every window."""
    n = len(kernel)
    sizes = []
    for i in range(n):
        room = x.shape[2 + i] + pads[i] + pads[n + i] - kernel[i]
        size = (-(-room // strides[i]) if ceil else room // strides[i]) + 1
        if ceil and (size - 1) * strides[i] >= x.shape[2 + i] + pads[i]:
            size -= 1
        sizes.append(size)
    ends = [(pads[i], max(pads[n + i], (sizes[i] - 1) * strides[i] + kernel[i] - x.shape[2 + i]
                          - pads[i])) for i in range(n)]
    fill = -np.inf if kind == "max" else 0.0
    inside = np.pad(np.ones(x.shape[2:], np.float32), ends)
    if count_pads:
        inside[tuple(slice(0, x.shape[2 + i] + pads[i] + pads[n + i]) for i in range(n))] = 1
    x = np.pad(x, [(0, 0), (0, 0), *ends], constant_values=fill)
    out, count = None, np.zeros(sizes, np.float32)
    for place in np.ndindex(*kernel):
        cut = tuple(slice(p, p + (m - 1) * s + 1, s) for p, m, s in zip(place, sizes, strides))
        part = x[(..., *cut)]
        count += inside[cut]
        out = part if out is None else np.maximum(out, part) if kind == "max" else out + part
    return out if kind == "max" else out / count
''',
    "reshape": '''
def reshape(x, shape, allow_zero):
    """Reshape; 0 keeps the size that is there."""
    shape = [int(s) for s in shape]
    if not allow_zero:
        shape = [x.shape[i] if s == 0 else s for i, s in enumerate(shape)]
    return x.reshape(shape)
''',
    "softmax": '''
def softmax(x, axis):
    """Turn logits into probabilities."""
    x = np.exp(x - x.max(axis, keepdims=True))
    return x / x.sum(axis, keepdims=True)
''',
    "log_sum_exp": '''
def log_sum_exp(x, axes, keep):
    """Add in the logarithm."""
    top = x.max(axes, keepdims=True)
    found = np.log(np.exp(x - top).sum(axes, keepdims=True)) + top
    return found if keep else found.squeeze(axes)
''',
    "sigmoid": '''
def sigmoid(x):
    """Turn a logit into a probability."""
    return 0.5 * (np.tanh(0.5 * x) + 1)
''',
    "layer_norm": '''
def layer_norm(x, scale, bias, axis, epsilon):
    """Standardise along the last axes."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    x = x - x.mean(axes, keepdims=True)
    x = x / np.sqrt((x * x).mean(axes, keepdims=True) + epsilon) * scale
    return x if bias is None else x + bias
''',
    "batch_norm": '''
def batch_norm(x, scale, bias, mean, variance, epsilon):
    """Standardise each channel by fixed statistics."""
    wide = (1, -1) + (1,) * (x.ndim - 2)
    slope = scale / np.sqrt(variance + epsilon)
    return x * slope.reshape(wide) + (bias - mean * slope).reshape(wide)
''',
    "slices": '''
def slices(x, starts, ends, axes, steps):
    """Cut along the axes that are named."""
    cut = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps):
        start, end = int(start), int(end)
        stop = None if end >= x.shape[axis] or (step < 0 and end < -x.shape[axis]) else end
        cut[axis] = slice(start, stop, int(step))
    return x[tuple(cut)]
''',
    "gather_nd": '''
def gather_nd(x, places):
    """Pick by places along the first axes."""
    return x[tuple(np.moveaxis(places, -1, 0))]
''',
}


def _call(text: str) -> Operation:
    return lambda node, given: text.format(*given)


def _axes(node: Node, given: list[str]) -> str:
    if len(given) > 1 and given[1] != "None":
        return f"tuple({given[1]}.tolist())"
    axes = node.get("axes")
    return "None" if axes is None else repr(tuple(axes))


def _reduce(name: str) -> Operation:
    def write(node: Node, given: list[str]) -> str:
        keep = bool(node.get("keepdims", 1))
        return f"{given[0]}.{name}({_axes(node, given)}, keepdims={keep})"

    return write


def _conv(node: Node, given: list[str]) -> str:
    if node.get("auto_pad", "NOTSET") != "NOTSET":
        raise ExportError("A convolution with `auto_pad` cannot be written as NumPy.")
    b = given[2] if len(given) > 2 else "None"
    n = len(node.get("kernel_shape"))
    strides, dilations = node.get("strides", (1,) * n), node.get("dilations", (1,) * n)
    pads = node.get("pads", (0,) * 2 * n)
    return (
        f"conv({given[0]}, {given[1]}, {b}, {strides}, {pads}, {dilations}, {node.get('group', 1)})"
    )


def _pool(kind: str) -> Operation:
    def write(node: Node, given: list[str]) -> str:
        kernel = node.get("kernel_shape")
        n = len(kernel)
        if node.get("auto_pad", "NOTSET") != "NOTSET" or set(node.get("dilations", (1,))) != {1}:
            raise ExportError("A pooling with `auto_pad` or dilations cannot be written as NumPy.")
        strides, pads = node.get("strides", (1,) * n), node.get("pads", (0,) * 2 * n)
        ceil, count = bool(node.get("ceil_mode", 0)), bool(node.get("count_include_pad", 0))
        return f'pool({given[0]}, "{kind}", {kernel}, {strides}, {pads}, {ceil}, {count})'

    return write


def _gemm(node: Node, given: list[str]) -> str:
    a = f"{given[0]}.T" if node.get("transA", 0) else given[0]
    b = f"{given[1]}.T" if node.get("transB", 0) else given[1]
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    made = f"{a} @ {b}" if alpha == 1 else f"np.float32({alpha!r}) * ({a} @ {b})"
    if len(given) > 2 and given[2] != "None":
        made += f" + {given[2]}" if beta == 1 else f" + np.float32({beta!r}) * {given[2]}"
    return made


def _fold(name: str) -> Operation:
    def write(node: Node, given: list[str]) -> str:
        made = given[0]
        for other in given[1:]:
            made = f"np.{name}({made}, {other})"
        return made

    return write


def _cast(node: Node, given: list[str]) -> str:
    kinds = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 11: "float32"}
    if node.get("to") not in kinds:
        raise ExportError("A cast to an unusual kind of number cannot be written as NumPy.")
    return f'{given[0]}.astype("{kinds[node.get("to")]}")'


def _slice(node: Node, given: list[str]) -> str:
    axes = given[3] if len(given) > 3 else f"range(len({given[1]}))"
    steps = given[4] if len(given) > 4 else f"[1] * len({given[1]})"
    return f"slices({given[0]}, {given[1]}, {given[2]}, {axes}, {steps})"


def _clip(node: Node, given: list[str]) -> str:
    low = given[1] if len(given) > 1 else "None"
    high = given[2] if len(given) > 2 else "None"
    return f"np.clip({given[0]}, {low}, {high})"


def _running_sum(node: Node, given: list[str]) -> str:
    if node.get("exclusive", 0) or node.get("reverse", 0):
        raise ExportError("A running sum backwards, or of what is before, is not written as NumPy.")
    return f"np.cumsum({given[0]}, int({given[1]}))"


def _split(node: Node, given: list[str]) -> str:
    n = len(node.outputs)
    places = f"np.cumsum({given[1]})[:-1]" if len(given) > 1 else str(n)
    return f"np.split({given[0]}, {places}, {node.get('axis', 0)})"


def _batch_norm(node: Node, given: list[str]) -> str:
    return f"batch_norm({', '.join(given[:5])}, np.float32({node.get('epsilon', 1e-5)!r}))"


def _layer_norm(node: Node, given: list[str]) -> str:
    bias = given[2] if len(given) > 2 else "None"
    axis, epsilon = node.get("axis", -1), node.get("epsilon", 1e-5)
    return f"layer_norm({given[0]}, {given[1]}, {bias}, {axis}, np.float32({epsilon!r}))"


OPERATIONS: dict[str, Operation] = {
    **{op: _call(f"{{0}} {sign} {{1}}") for op, sign in zip(
        ("Add", "Sub", "Mul", "Div", "MatMul", "Equal", "And", "Or", "Greater", "Less", "Mod"),
        ("+", "-", "*", "/", "@", "==", "&", "|", ">", "<", "%"), strict=True,
    )},
    **{op: _call(f"np.{name}({{0}})") for op, name in zip(
        ("Abs", "Exp", "Log", "Sqrt", "Tanh", "Round", "Floor", "IsNaN", "Not"),
        ("abs", "exp", "log", "sqrt", "tanh", "round", "floor", "isnan", "logical_not"),
        strict=True,
    )},
    "Relu": _call("np.maximum({0}, np.float32(0))"),
    "Neg": _call("-{0}"),
    "Identity": _call("{0}"),
    "Sigmoid": _call("sigmoid({0})"),
    "Pow": _call("np.power({0}, {1})"),
    "Where": _call("np.where({0}, {1}, {2})"),
    "Max": _fold("maximum"),
    "Min": _fold("minimum"),
    "Clip": _clip,
    "Conv": _conv,
    "Gemm": _gemm,
    "AveragePool": _pool("mean"),
    "MaxPool": _pool("max"),
    "GlobalAveragePool": _call("{0}.mean(tuple(range(2, {0}.ndim)), keepdims=True)"),
    "GlobalMaxPool": _call("{0}.max(tuple(range(2, {0}.ndim)), keepdims=True)"),
    "ReduceMean": _reduce("mean"),
    "ReduceSum": _reduce("sum"),
    "ReduceMax": _reduce("max"),
    "ReduceMin": _reduce("min"),
    "ReduceLogSumExp": lambda node, given: (
        f"log_sum_exp({given[0]}, {_axes(node, given)}, {bool(node.get('keepdims', 1))})"
    ),
    "Softmax": lambda node, given: f"softmax({given[0]}, {node.get('axis', -1)})",
    "LogSoftmax": lambda node, given: (
        f"{given[0]} - log_sum_exp({given[0]}, ({node.get('axis', -1)},), True)"
    ),
    "LayerNormalization": _layer_norm,
    "BatchNormalization": _batch_norm,
    "CumSum": _running_sum,
    "Split": _split,
    "GatherElements": lambda node, given: (
        f"np.take_along_axis({given[0]}, {given[1]}, {node.get('axis', 0)})"
    ),
    "Flatten": lambda node, given: (
        f"{given[0]}.reshape(int(np.prod({given[0]}.shape[:{node.get('axis', 1)}])), -1)"
    ),
    "Reshape": lambda node, given: f"reshape({given[0]}, {given[1]}, {node.get('allowzero', 0)})",
    "Transpose": lambda node, given: f"{given[0]}.transpose({node.get('perm')})",
    "Concat": lambda node, given: f"np.concatenate([{', '.join(given)}], {node.get('axis')})",
    "Unsqueeze": lambda node, given: f"np.expand_dims({given[0]}, {_axes(node, given)})",
    "Squeeze": lambda node, given: f"np.squeeze({given[0]}, {_axes(node, given)})",
    "Gather": lambda node, given: f"np.take({given[0]}, {given[1]}, axis={node.get('axis', 0)})",
    "GatherND": _call("gather_nd({0}, {1})"),
    "Slice": _slice,
    "Shape": _call("np.array({0}.shape)"),
    "Expand": _call("{0} * np.ones({1}, {0}.dtype)"),
    "Cast": _cast,
}  # fmt: skip
