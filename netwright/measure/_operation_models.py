"""ONNX models of single operations, in such company as in a network, and of a network of nothing.

Images run between convolutions, whose layout and fusions an operation shares in a network. Steps
have one layout only, in which any node will do for company.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from netwright._rng import seeded
from netwright.measure._operations import Operation, Shape
from netwright.nn import GlobalPool, Normalise, OverSteps, StandardiseSeries

if TYPE_CHECKING:
    import onnx

__all__ = ["alone", "null_model", "null_network"]

Node = tuple[str, list[str], dict[str, Any]]
_CLASSES = 10
_LAST = "i:-1"
_FURTHEST = "i:-9223372036854775807"


def null_network(shape: Shape) -> nn.Sequential:
    """Make the network that does what every network does, and nothing else.

    Args:
        shape: of the inputs: (1, channels, height, width) of images, (1, channels, steps) of
            sequences.
    """
    statistics = [0.5] * shape[1], [0.25] * shape[1]
    with seeded(0):  # weights do not matter
        if len(shape) == 4:
            front = Normalise(*statistics), GlobalPool()
            return nn.Sequential(*front, nn.Linear(shape[1], _CLASSES))
        front = OverSteps(StandardiseSeries(*statistics), [], [1])
        return nn.Sequential(front, nn.Linear(shape[1] + 1, _CLASSES))


def null_model(shape: Shape) -> tuple[bytes, np.ndarray]:
    """Write the shipped file of `null_network`; returns it and an input.

    Args:
        shape: as of `null_network`.
    """
    channels = shape[1]
    if len(shape) == 4:
        nodes: list[Node] = [
            ("Cast", ["x"], {"to": 1}),
            ("Div", ["a0", _scalar(255.0)], {}),
            ("Sub", ["a1", _tensor((channels, 1, 1))], {}),
            ("Div", ["a2", _tensor((channels, 1, 1))], {}),
            ("ReduceMean", ["a3", "i:2,3"], {"keepdims": 0}),
            ("Gemm", ["a4", _tensor((channels, _CLASSES)), _tensor((_CLASSES,))], {}),
            ("Softmax", ["a5"], {"axis": 1}),
        ]
        model = _model(nodes, ("batch", *shape[1:]), outputs=("a5", "a6"), element=2)
        return model, np.zeros(shape, np.uint8)
    steps = str(shape[2])
    backwards = [_LAST, _FURTHEST, "i:2", _LAST]
    nodes = [
        ("Pad", ["x", f"i:0,0,0,0,0,{steps}", "s:nan"], {}),
        ("Slice", ["a0", "i:0", f"i:{steps}", "i:2"], {}),
        ("IsNaN", ["a1"], {}),
        ("Not", ["a2"], {}),
        ("Cast", ["a3"], {"to": 1}),
        ("ReduceMax", ["a4", "i:1"], {"keepdims": 1}),
        ("Slice", ["a5", *backwards], {}),
        ("CumSum", ["a6", "n:2"], {}),
        ("Slice", ["a7", *backwards], {}),
        ("Greater", ["a8", _scalar(0.0)], {}),
        ("Cast", ["a9"], {"to": 1}),  # 1 inside a sequence
        ("ReduceMean", ["a4", "i:1"], {"keepdims": 1}),
        ("Where", ["a2", _tensor((channels, 1)), "a1"], {}),
        ("Sub", ["a12", _tensor((channels, 1))], {}),
        ("Div", ["a13", _tensor((channels, 1))], {}),
        ("Concat", ["a14", "a11"], {"axis": 1}),
        ("Mul", ["a15", "a10"], {}),
        ("ReduceSum", ["a16", _LAST], {"keepdims": 0}),
        ("ReduceSum", ["a10", _LAST], {"keepdims": 0}),
        ("Max", ["a18", _scalar(1.0)], {}),
        ("Div", ["a17", "a19"], {}),
        ("Gemm", ["a20", _tensor((channels + 1, _CLASSES)), _tensor((_CLASSES,))], {}),
        ("Softmax", ["a21"], {"axis": 1}),
    ]
    model = _model(nodes, ("batch", channels, "steps"), outputs=("a21", "a22"))
    return model, np.zeros(shape, np.float32)


def alone(operation: Operation) -> tuple[bytes, bytes]:
    """Write two models whose times differ by that of an operation, which the first one runs.

    Both take a float32 `x` of the operation's first input's shape.

    Args:
        operation: one that is known.
    """
    shape = operation.inputs[0]
    if len(shape) == 4:
        return _between_convolutions(operation, shape)
    # A node before, so that the runtime may write in place; a small piece is all that comes out.
    before: Node = ("Abs", ["x"], {})
    others = [_tensor(each) for each in operation.inputs[1:]]
    if operation.inputs[1:] == (shape,):
        others = ["x"]
    middle, out = _nodes(operation, ["a0", *others], 1)
    with_it = [before, *middle, _piece(out, len(operation.output))]
    without = [before, _piece("a0", len(shape))]
    return _model(with_it, shape), _model(without, shape)


def _between_convolutions(operation: Operation, shape: Shape) -> tuple[bytes, bytes]:
    # Each node reads the one before, so that the runtime drops none of the model without.
    nodes: list[Node] = [_probe("x", shape[1])]
    inputs = ["a0"]
    if "add" in dict(operation.settings):  # to the output of another convolution of its kind
        bare = tuple(s for s in operation.settings if s[0] not in ("add", "relu"))
        nodes += _nodes(replace(operation, settings=bare), inputs, 1)[0]
        inputs = ["a0", "a1"]
    elif operation.kind == "Concat":
        for place, each in enumerate(operation.inputs[1:]):
            channels = operation.inputs[place][1]
            nodes.append(_probe(f"a{place}", channels, width=each[1]))
        inputs = [f"a{place}" for place in range(len(nodes))]
    elif operation.inputs[1:] == (shape,):
        # Behind a ReLU, so that no convolution takes the sum over.
        nodes += [("Relu", ["a0"], {}), _probe("a1", shape[1]), ("Relu", ["a2"], {})]
        inputs = ["a1", "a3"]
    elif operation.inputs[1:] and operation.inputs[1][:2] == shape[:2]:
        nodes += [("GlobalAveragePool", ["a0"], {})]  # a gate: one number a channel
        inputs = ["a0", "a1"]
    elif operation.kind in ("BatchNormalization", "Relu"):
        nodes += [("Relu", ["a0"], {})]
        inputs = ["a1"]
    without = [*nodes, ("GlobalAveragePool", [f"a{len(nodes) - 1}"], {})]
    middle, out = _nodes(operation, inputs, len(nodes))
    with_it = [*nodes, *middle]
    if len(operation.output) == 4 and operation.output[2:] != (1, 1):
        with_it.append(("GlobalAveragePool", [out], {}))
    return _model(with_it, shape), _model(without, shape)


def _nodes(operation: Operation, inputs: Sequence[str], place: int) -> tuple[list[Node], str]:
    """Write an operation as ONNX nodes; returns them and the name of the last one's output."""
    kind, shape, output = operation.kind, operation.inputs[0], operation.output
    settings = {name: list(values) for name, values in operation.settings}
    out = f"a{place}"
    if kind == "Conv":
        groups = settings["groups"][0]
        weight = _tensor((output[1], shape[1] // groups, *settings["kernel"]))
        attributes = {
            "strides": settings["stride"],
            "pads": settings["pad"] * 2,
            "dilations": settings["dilation"],
            "group": groups,
        }
        made = [("Conv", [inputs[0], weight, _tensor((output[1],))], attributes)]
        if "add" in settings:
            made.append(("Add", [out, inputs[1]], {}))
        if "relu" in settings:
            made.append(("Relu", [f"a{place + len(made) - 1}"], {}))
        return made, f"a{place + len(made) - 1}"
    if kind == "Gemm":
        return [
            ("Gemm", [inputs[0], _tensor((shape[1], output[1])), _tensor((output[1],))], {})
        ], out
    if kind in ("MaxPool", "AveragePool"):
        attributes = {
            "kernel_shape": settings["kernel"],
            "strides": settings["stride"],
            "pads": settings["pad"] * 2,
        }
        return [(kind, [inputs[0]], attributes)], out
    if kind == "BatchNormalization":
        return [(kind, [inputs[0], *[_tensor((shape[1],), k) for k in range(4)]], {})], out
    if kind == "Silu":
        return [("Sigmoid", [inputs[0]], {}), ("Mul", [inputs[0], out], {})], f"a{place + 1}"
    if kind == "Concat":
        return [(kind, list(inputs), {"axis": 1})], out
    if kind == "Slice":
        ends = [_FURTHEST.replace("-", ""), _LAST, f"i:{settings['step'][0]}"]
        return [(kind, [inputs[0], "i:0", *ends], {})], out
    if kind in ("ReduceMean", "ReduceMax", "ReduceSum"):
        axes = "i:2,3" if len(shape) == 4 else _LAST
        return [(kind, [inputs[0], axes], {"keepdims": int(len(output) == len(shape))})], out
    if kind in ("Add", "Mul", "Sub", "Div"):
        second = inputs[1] if len(inputs) > 1 else _scalar(1.5)
        return [(kind, [inputs[0], second], {})], out
    return [(kind, [inputs[0]], {})], out


def _probe(name: str, channels: int, *, width: int | None = None) -> Node:
    return ("Conv", [name, _tensor((width or channels, channels, 1, 1))], {"kernel_shape": [1, 1]})


def _piece(name: str, n_axes: int) -> Node:
    """One number of a tensor: what comes out of a model is copied, and should cost nothing."""
    axes = ",".join(map(str, range(n_axes)))
    zeros, ones = (",".join(str(k) * n_axes) for k in (0, 1))
    return ("Slice", [name, f"i:{zeros}", f"i:{ones}", f"i:{axes}"], {})


# Constants are named by what they hold; equal names would let the runtime merge equal nodes, so
# `_model` numbers them.
def _tensor(shape: tuple[int, ...], kind: int = 0) -> str:
    return f"t{kind}:" + ",".join(map(str, shape))


def _scalar(value: float) -> str:
    return f"s:{value}"


def _model(
    nodes: Sequence[Node],
    shape: tuple[int | str, ...],
    *,
    outputs: Sequence[str] | None = None,
    element: int = 1,
) -> bytes:
    from onnx import TensorProto, helper

    constants: list[onnx.TensorProto] = []
    generator = np.random.default_rng(0)

    def constant(text: str) -> str:
        kind, _, rest = text.partition(":")
        name = f"c{len(constants)}"
        if kind == "s":
            value = np.array(float(rest), np.float32)
        elif kind == "n":
            value = np.array(int(rest), np.int64)
        elif kind == "i":
            value = np.array([int(v) for v in rest.split(",")], np.int64)
        else:
            size = tuple(int(v) for v in rest.split(","))
            value = generator.uniform(0.1, 0.2, size).astype(np.float32)
        constants.append(_numpy_tensor(value, name))
        return name

    made = []
    for place, (kind, inputs, attributes) in enumerate(nodes):
        names = [constant(text) if ":" in text else text for text in inputs]
        made.append(helper.make_node(kind, names, [f"a{place}"], **attributes))
    ends = outputs or [f"a{len(nodes) - 1}"]
    graph = helper.make_graph(
        made,
        "operation",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ends],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return model.SerializeToString()


def _numpy_tensor(value: np.ndarray, name: str) -> "onnx.TensorProto":
    from onnx import numpy_helper

    return numpy_helper.from_array(value, name)
