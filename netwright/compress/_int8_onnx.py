"""Make an ONNX file compute in whole numbers of eight bits: quantise, dequantise, calibrated.

Paper:    Jacob et al. Quantization and Training of Neural Networks for Efficient
          Integer-Arithmetic-Only Inference. CVPR 2018, arXiv:1712.05877. Section 2: weights and
          activations of eight bits, biases of 32 with the product of both steps.
Departs:  weights are symmetric with a step for each output channel, as ONNX Runtime's integer
          kernels take them; ranges come from calibration rows, clipped where that lowers the mean
          squared error, not from moving averages in training.
Notation: step = S, zero = Z.

The graph keeps its floating-point operators, each between a DequantizeLinear and a QuantizeLinear;
ONNX Runtime joins them into integer kernels, and any other runtime still computes the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from netwright.artefact._session import run_session, start_session
from netwright.compress._fixed_point import fixed_point
from netwright.compress._ranges import SAMPLE, Range, least_error

if TYPE_CHECKING:
    import onnx

__all__ = ["is_quantisable", "to_int8", "write_codes"]

_WEIGHTED = ("Conv", "Gemm")
_PASSING = ("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity")
_JOINING = ("Add", "Concat")


def to_int8(
    model: "onnx.ModelProto", feeds: Sequence[Mapping[str, np.ndarray]]
) -> "onnx.ModelProto":
    """Quantise convolutions and linear layers, and what lies between them.

    Args:
        model: with all weights in memory; it is left as it was.
        feeds: calibration rows, an array for each input; they decide the ranges of activations and
            should look like the rows that will come.

    Returns:
        Another model, with the same inputs and outputs.

    Raises:
        ValueError: if `feeds` is empty, or the model has nothing to quantise.
    """
    import onnx

    if not feeds:
        raise ValueError("`feeds` must hold calibration rows; got none.")
    made = onnx.ModelProto()
    made.CopyFrom(model)
    plan = _plan(made)
    if not plan.weighted:
        raise ValueError("The model has no convolution and no linear layer to quantise.")
    ranges = _calibrate(made, plan.measured, feeds)
    for name, source in plan.shared.items():
        ranges[name] = ranges[source]
    _rewrite(made, plan, ranges)
    onnx.checker.check_model(made)
    return made


def is_quantisable(model: "onnx.ModelProto") -> bool:
    """Say whether `to_int8` finds something to do, and nothing that is quantised already.

    Args:
        model: left as it is.
    """
    constants = {t.name for t in model.graph.initializer}
    done = any(n.op_type in ("QuantizeLinear", "DequantizeLinear") for n in model.graph.node)
    return not done and any(_takes_weights(n, constants) for n in model.graph.node)


@dataclass(frozen=True, slots=True)
class _Plan:
    # Nodes whose weights are quantised; activations with ranges of their own, and of another's.
    weighted: "list[onnx.NodeProto]"
    measured: list[str]
    shared: dict[str, str]


def _plan(model: "onnx.ModelProto") -> _Plan:
    graph = model.graph
    constants = {t.name for t in graph.initializer}
    outputs = {v.name for v in graph.output}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    weighted = [n for n in graph.node if _takes_weights(n, constants)]
    wanted: dict[str, None] = {}
    shared: dict[str, str] = {}
    for node in graph.node:
        if _takes_weights(node, constants):
            if node.input[0] not in shared:
                wanted.setdefault(node.input[0])
            name = _after_relu(node, users)
            if name not in outputs and not (node.op_type == "Gemm" and _only_leaves(name, users)):
                wanted.setdefault(name)
        elif node.op_type in _PASSING and (node.input[0] in wanted or node.input[0] in shared):
            if node.output[0] not in outputs:
                shared[node.output[0]] = shared.get(node.input[0], node.input[0])
        elif node.op_type in _JOINING and all(n in wanted or n in shared for n in node.input):
            name = _after_relu(node, users)
            if name not in outputs:
                wanted.setdefault(name)
    return _Plan(weighted, [n for n in wanted if n not in shared], shared)


def _takes_weights(node: "onnx.NodeProto", constants: set[str]) -> bool:
    if node.op_type not in _WEIGHTED or node.input[1] not in constants:
        return False
    given = {a.name: a.i if a.type == a.INT else a.f for a in node.attribute}
    plain = given.get("alpha", 1) == 1 and given.get("beta", 1) == 1 and not given.get("transA", 0)
    return (
        plain
        and node.input[0] not in constants
        and all(n in constants for n in node.input[2:] if n)
    )


def _after_relu(node: "onnx.NodeProto", users: "dict[str, list[onnx.NodeProto]]") -> str:
    after = users.get(node.output[0], [])
    return after[0].output[0] if [n.op_type for n in after] == ["Relu"] else node.output[0]


def _only_leaves(name: str, users: "dict[str, list[onnx.NodeProto]]") -> bool:
    # The last layer's answers are not rounded: softmax, division by a temperature, and the like.
    follow = users.get(name, [])
    return all(n.op_type not in (*_WEIGHTED, *_PASSING, *_JOINING) for n in follow)


def _calibrate(
    model: "onnx.ModelProto", names: list[str], feeds: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, Range]:
    import onnx

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.ClearField("output")
    for name in names:
        probe.graph.output.append(onnx.ValueInfoProto(name=name))
    session = start_session(probe, name="the calibration model", optimise=False)
    samples: dict[str, list[np.ndarray]] = {name: [] for name in names}
    each = max(1, SAMPLE // len(feeds))
    for feed in feeds:
        for name, made in zip(names, run_session(session, names, dict(feed)), strict=True):
            flat = made.reshape(-1)
            extremes = np.array([flat.min(), flat.max()])
            samples[name] += [flat[:: -(-len(flat) // each)], extremes]
    return {name: least_error(np.concatenate(parts), 8) for name, parts in samples.items()}


def _rewrite(model: "onnx.ModelProto", plan: _Plan, ranges: dict[str, Range]) -> None:
    from onnx import helper, numpy_helper

    graph = model.graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    new: dict[str, np.ndarray] = {}
    weighted = {node.output[0] for node in plan.weighted}
    nodes: list[onnx.NodeProto] = []

    def pair(name: str) -> None:
        span = ranges[name]
        new[f"{name}/step"], new[f"{name}/zero"] = np.array(span.step), np.array(span.zero)
        around = [f"{name}/step", f"{name}/zero"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *around], [f"{name}/codes"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}/codes", *around], [_of(name)]))

    for value in graph.input:
        if value.name in ranges:
            pair(value.name)
    for node in graph.node:
        source = node.input[0] if node.input else ""
        for place, name in enumerate(node.input):
            node.input[place] = _of(name) if name in ranges else name
        if node.output[0] in weighted:
            nodes.extend(_weights(node, ranges[source], arrays, new))
        nodes.append(node)
        for name in node.output:
            if name in ranges:
                pair(name)
    kept = {name for node in nodes for name in node.input} | {v.name for v in graph.output}
    initializers = [t for t in graph.initializer if t.name in kept]
    initializers += [numpy_helper.from_array(array, name) for name, array in new.items()]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    graph.ClearField("node")
    graph.node.extend(copies)
    graph.ClearField("initializer")
    graph.initializer.extend(initializers)


def _of(name: str) -> str:
    return f"{name}/rounded"


def _weights(
    node: "onnx.NodeProto", source: Range, arrays: dict[str, np.ndarray], new: dict[str, np.ndarray]
) -> "list[onnx.NodeProto]":
    # The weight in eight bits, the bias in 32, each with the node that makes floats of it.
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    axis = 0 if node.op_type == "Conv" or transposed else 1
    rounded = fixed_point(torch.tensor(arrays[node.input[1]]), bits=8, axis=axis)
    codes, steps = rounded.codes.numpy().astype(np.int8), rounded.step.reshape(-1).numpy()
    return write_codes(node, codes, steps, axis, source.step, arrays, new)


def write_codes(
    node: "onnx.NodeProto",
    codes: Int[np.ndarray, "*shape"],
    steps: Float[np.ndarray, "outputs"],
    axis: int,
    source_step: Float[np.ndarray, ""] | np.float32 | None,
    arrays: Mapping[str, np.ndarray],
    new: dict[str, np.ndarray],
) -> "list[onnx.NodeProto]":
    """Let a convolution or linear layer read its weight and bias as codes.

    Args:
        node: changed in place: it reads what the new nodes make.
        codes: of the weight, in eight bits.
        steps: of its output channels.
        axis: of the weight, along which they lie.
        source_step: of what the layer receives; None leaves the bias as it is.
        arrays: the model's constants, of which the bias is one.
        new: constants that the model needs now; some are added.

    Returns:
        The nodes that make floating-point numbers of the codes, to stand before it.
    """
    from onnx import helper

    name = f"{node.output[0]}/weight"
    new[f"{name}/codes"] = codes
    new[f"{name}/step"], new[f"{name}/zero"] = steps, np.zeros(len(steps), np.int8)
    inputs = [f"{name}/codes", f"{name}/step", f"{name}/zero"]
    made = [helper.make_node("DequantizeLinear", inputs, [_of(name)], axis=axis)]
    node.input[1] = _of(name)
    if source_step is not None and len(node.input) > 2 and node.input[2] in arrays:
        bias, name = arrays[node.input[2]], f"{node.output[0]}/bias"
        step = (steps * source_step).astype(np.float32)
        new[f"{name}/codes"] = np.rint(bias / step).clip(-(2**31), 2**31 - 1).astype(np.int32)
        new[f"{name}/step"] = step
        inputs = [f"{name}/codes", f"{name}/step"]
        made.append(helper.make_node("DequantizeLinear", inputs, [_of(name)], axis=0))
        node.input[2] = _of(name)
    return made
