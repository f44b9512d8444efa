"""Write a small network as one Python file that needs NumPy alone.

The file holds the weights, the preprocessing of raw rows and one line for each operation; it is
meant to be read. It computes in float32, as the shipped file does.
"""

import base64
import json
from collections.abc import Callable

import numpy as np

from netwright.artefact._file import load_model
from netwright.artefact._graph import Graph, Node, from_seam, parse_graph
from netwright.data._text import counts_blanks
from netwright.serve._model import ServedModel

__all__ = ["ExportError", "MOST_BYTES", "to_python"]

MOST_BYTES = 4_000_000  # of weights
_WIDTH = 96

_HELPERS = {
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


class ExportError(ValueError):
    """A model cannot be written in the form that is asked for."""


def to_python(model: ServedModel) -> str:
    """Write a model as one Python file.

    Args:
        model: whose network has at most 4 MB of weights.

    Returns:
        Source with `predict(rows)`; `python FILE rows.json` prints its answers.

    Raises:
        ExportError: if the network is too large, or holds operations that cannot be written; names
            them.
    """
    graph = from_seam(parse_graph(load_model(model.path)))
    size = sum(t.numel() * t.element_size() for t in graph.initializers.values())
    if size > MOST_BYTES:
        raise ExportError(
            f"{model.name} has {size / 1e6:.1f} MB of weights; a Python file takes at most "
            f"{MOST_BYTES / 1e6:g} MB. Ship {model.path.name}."
        )
    lines, helpers = _body(graph)
    finish = {
        "class": ("softmax(logits, 1)", "softmax"),
        "labels": ("sigmoid(logits)", "sigmoid"),
    }.get(model.schema.target.kind, ("logits", ""))
    helpers |= {finish[1]} - {""}
    return "\n".join(
        [
            _head(model),
            _weights(graph),
            *(_HELPERS[name].strip() + "\n\n" for name in sorted(helpers)),
            "def network(features):",
            '    """Return logits (or values) for what the network receives."""',
            *(f"    {line}" for line in lines),
            f"    return {_name(graph.outputs[0].name)}",
            "",
            "",
            _preprocessing(model).strip(),
            "",
            "",
            "def predict(rows):",
            f'    """Return {model.outputs} for raw rows: float32 (rows, {len(model.classes)})."""',
            "    logits = network(prepare(rows))",
            f"    return {finish[0]}",
            "",
            "",
            'if __name__ == "__main__":',
            '    with open(sys.argv[1], encoding="utf-8") as file:',
            "        print(json.dumps(predict(json.load(file)).tolist()))",
            "",
        ]
    )


def _head(model: ServedModel) -> str:
    about = f'"""{model.name} {model.version}, written by Netwright: predicts {model.outputs}.'
    return f'''{about}

Needs NumPy alone. `python FILE rows.json` prints a list of numbers for each row of a JSON list.
"""

import base64
import json
import re
import sys

import numpy as np

np.seterr(over="ignore")
OUTPUTS = {json.dumps(list(model.classes))}
'''


def _name(value: str) -> str:
    if value == "features":
        return "features"
    return "v_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in value)


def _weights(graph: Graph) -> str:
    lines = []
    used = {name for node in graph.nodes for name in node.inputs}
    for name, tensor in graph.initializers.items():
        if name not in used:
            continue
        array = np.ascontiguousarray(tensor.numpy())
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        text = base64.b64encode(array.tobytes()).decode()
        parts = [text[i : i + _WIDTH] for i in range(0, len(text), _WIDTH)] or [""]
        body = "\n".join(f'    "{part}"' for part in parts)
        lines.append(
            f"{_name(name)} = np.frombuffer(base64.b64decode(\n{body}\n"
            f'), "{array.dtype.str}").reshape({tuple(tensor.shape)})'
        )
    return "\n".join(lines) + "\n\n"


def _body(graph: Graph) -> tuple[list[str], set[str]]:
    unknown = sorted({node.op for node in graph.nodes if node.op not in _OPERATIONS})
    if unknown:
        raise ExportError(
            f"The network holds operations that cannot be written as NumPy: {', '.join(unknown)}."
        )
    lines, helpers = [], set()
    for node in graph.nodes:
        given = [_name(name) if name else "None" for name in node.inputs]
        made = _OPERATIONS[node.op](node, given)
        lines.append(f"{_name(node.outputs[0])} = {made}")
        helpers |= {name for name in _HELPERS if f"{name}(" in made}
    return lines, helpers


Operation = Callable[[Node, list[str]], str]


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


def _layer_norm(node: Node, given: list[str]) -> str:
    bias = given[2] if len(given) > 2 else "None"
    axis, epsilon = node.get("axis", -1), node.get("epsilon", 1e-5)
    return f"layer_norm({given[0]}, {given[1]}, {bias}, {axis}, np.float32({epsilon!r}))"


_OPERATIONS: dict[str, Operation] = {
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


def _preprocessing(model: ServedModel) -> str:
    inputs = model.schema.input
    if inputs.kind == "image":
        return f'''
def prepare(rows):
    """Take uint8 pixels, shape (rows, {", ".join(map(str, inputs.shape))})."""
    pixels = np.asarray(rows)
    if pixels.shape[1:] != {inputs.shape}:
        raise ValueError(f"rows must have the shape (rows, *{inputs.shape}); got {{pixels.shape}}")
    return pixels.astype(np.float32) / np.float32(255)
'''
    if inputs.kind == "sequence":
        channels, steps = inputs.shape
        flat = "[values]" if channels == 1 else "values"
        return f'''
def prepare(rows):
    """Take sequences, a list of numbers for each of {channels} channels; None is missing.

    Of the only channel the list alone will do. NaN follows the end, up to {steps} steps.
    """
    coded = np.full((len(rows), {channels}, {steps}), np.nan, np.float32)
    for row, values in enumerate(rows):
        lists = values if isinstance(values[0], (list, tuple, np.ndarray)) else {flat}
        if len(lists) != {channels}:
            raise ValueError(f"row {{row}} must have {channels} channels; got {{len(lists)}}")
        for channel, numbers in enumerate(lists):
            numbers = np.array(numbers[:{steps}], np.float32)
            coded[row, channel, :len(numbers)] = numbers
    return coded
'''
    if inputs.kind == "text" and inputs.tokens == "characters":
        every = "text" if counts_blanks(inputs.vocabulary) else '"".join(text.split())'
        return f'''
CHARACTERS = json.loads({json.dumps(json.dumps(inputs.vocabulary))})
CHARACTERS = {{character: i + 2 for i, character in enumerate(CHARACTERS)}}


def prepare(rows):
    """Take texts: their characters become numbers, 1 for unknown ones, 0 behind the end."""
    numbers = np.zeros((len(rows), {inputs.shape[0]}), np.int64)
    for row, text in enumerate(rows):
        for place, character in enumerate({every}[:{inputs.shape[0]}]):
            numbers[row, place] = CHARACTERS.get(character, 1)
    return numbers
'''
    if inputs.kind == "text":
        return f'''
WORDS = json.loads({json.dumps(json.dumps(inputs.vocabulary))})
WORDS = {{word: i + 2 for i, word in enumerate(WORDS)}}


def small(letter):
    """Return a letter's small form, if it has one of the same kind."""
    found = letter.lower()
    if letter.isascii():
        return found
    fits = len(found) == 1 and not found.isascii() and ord(letter) < 0x1F000
    return found if fits else letter


def prepare(rows):
    """Take texts: their words become numbers, 1 for unknown ones, 0 behind the end."""
    numbers = np.zeros((len(rows), {inputs.shape[0]}), np.int64)
    for row, text in enumerate(rows):
        words = re.findall(r"[a-z0-9']+|[^\\sa-z0-9]", "".join(map(small, text)))
        for place, word in enumerate(words[:{inputs.shape[0]}]):
            numbers[row, place] = WORDS.get(word, 1)
    return numbers
'''
    columns = [(c.name, c.kind, list(c.categories)) for c in inputs.columns]
    return f'''
COLUMNS = json.loads({json.dumps(json.dumps(columns))})


def prepare(rows):
    """Take rows as mappings from column to value; None is missing, a date is days since 1970."""
    coded = np.full((len(rows), len(COLUMNS)), np.nan, np.float32)
    for place, (name, kind, categories) in enumerate(COLUMNS):
        codes = {{word: i + 1 for i, word in enumerate(categories) if word}}
        for row, cells in enumerate(rows):
            value = cells[name]
            if kind == "category":
                coded[row, place] = codes.get("" if value is None else str(value).strip(), 0)
            elif kind == "date" and isinstance(value, str):
                seconds = np.datetime64(value) - np.datetime64(0, "s")
                coded[row, place] = seconds / np.timedelta64(1, "D")
            elif value is not None:
                coded[row, place] = value
    return coded
'''
