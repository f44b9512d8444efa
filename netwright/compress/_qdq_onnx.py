"""Write simulated rounding into an ONNX file as codes: what torch rounds runs in whole numbers.

Paper:    Jacob et al. Quantization and Training of Neural Networks for Efficient
          Integer-Arithmetic-Only Inference. CVPR 2018, arXiv:1712.05877. Section 2: codes of
          weights and activations, biases of 32 bits with the product of both steps.
Departs:  codes of fewer than eight bits are kept in bytes, numbers are clipped to the range that
          they have, and biases there stay as they are; steps of weights are found again from the
          weights' own values.
Notation: step = S, zero = Z.

The graph keeps its floating-point operators, each behind a DequantizeLinear, as in `to_int8`, which
chooses ranges itself; here they are those that a torch network was calibrated or trained with.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from netwright.compress._int8_onnx import write_codes

if TYPE_CHECKING:
    import onnx

__all__ = ["to_qdq", "whole_steps"]

_CHAIN = ("Sub", "Min", "Max", "Add", "Round", "Div")  # backwards, from the product with the step
_WEIGHTED = ("Conv", "Gemm", "MatMul")
_NEAR = 1e-4  # of a step: above what single precision loses, far below what could be seen
_MOST = 127


def to_qdq(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Replace the arithmetic of `round_activations` by QuantizeLinear and DequantizeLinear.

    Weights that are read by such layers, and whose channels are whole multiples of a step, up to
    127 of them, become codes too: those of `round_weights`, `adaround`, `round_aware` and others
    with up to eight bits, after `settle`.

    Args:
        model: an exported network with rounded activations, all weights in memory; left as it is.

    Returns:
        Another model, with the same inputs and outputs. Activations of more than eight bits stay
        plain arithmetic, which gives the same numbers.

    Raises:
        ValueError: if nothing is rounded in the model to eight bits or fewer.
    """
    import onnx
    from onnx import numpy_helper

    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    producers = {node.output[0]: node for node in graph.node}
    rounded = {}
    for node in graph.node:
        chain = _chain(node, producers, arrays)
        if chain is not None:
            rounded[node.output[0]] = chain
    if not rounded:
        raise ValueError(
            "The model rounds nothing to eight bits or fewer: call `round_activations` on the "
            "network before it is exported."
        )
    _rewrite(graph, rounded, arrays)
    onnx.checker.check_model(made)
    return made


def whole_steps(flat: np.ndarray) -> np.ndarray | None:
    """Find for each row the largest step of which all its numbers are whole multiples.

    Args:
        flat: rows of numbers.

    Returns:
        A step a row, such that no multiple is beyond 127; None if some row has none.

    Example:
        >>> whole_steps(np.array([[0.5, -1.0, 1.5], [0.0, 0.0, 0.0]])).tolist()
        [0.5, 1.0]
    """
    sizes = np.abs(flat).max(axis=1).astype(np.float64)
    steps = np.where(sizes > 0, np.nan, 1.0)
    for most in range(1, _MOST + 1):
        left = np.flatnonzero(np.isnan(steps))
        if not len(left):
            break
        tried = sizes[left] / most
        codes = flat[left] / tried[:, None]
        fits = np.abs(codes - np.rint(codes)).max(axis=1) < _NEAR
        steps[left[fits]] = tried[fits]
    return None if np.isnan(steps).any() else steps.astype(np.float32)


def _chain(
    node: "onnx.NodeProto", producers: "Mapping[str, onnx.NodeProto]", arrays: dict[str, np.ndarray]
) -> tuple[str, np.ndarray, float, float] | None:
    # (clip(round(x / step) + zero) - zero) * step: what x is, and step, zero and the highest code.
    def constant(of: "onnx.NodeProto") -> np.ndarray | None:
        value = arrays.get(of.input[1]) if len(of.input) == 2 else None
        return value if value is not None and value.size == 1 else None

    step = constant(node)
    if node.op_type != "Mul" or step is None:
        return None
    found = {"Mul": step}
    for kind in _CHAIN:
        before = producers.get(node.input[0])
        if before is None or before.op_type != kind:
            return None
        value = step if kind == "Round" else constant(before)
        if value is None:
            return None
        node, found[kind] = before, value
    low, most = float(found["Max"]), float(found["Min"])
    same = found["Sub"] == found["Add"] and found["Div"] == found["Mul"]
    if not same or low != 0 or most > 255:
        return None
    return node.input[0], step.astype(np.float32).reshape(()), float(found["Add"]), most


def _rewrite(
    graph: "onnx.GraphProto",
    rounded: dict[str, tuple[str, np.ndarray, float, float]],
    arrays: dict[str, np.ndarray],
) -> None:
    from onnx import helper, numpy_helper

    new: dict[str, np.ndarray] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        name = node.output[0]
        if name in rounded:
            source, step, zero, most = rounded[name]
            new[f"{name}/step"], new[f"{name}/zero"] = step, np.array(zero, np.uint8)
            if most < 255:
                new[f"{name}/low"] = (np.float32(0 - zero) * step).reshape(())
                new[f"{name}/high"] = (np.float32(most - zero) * step).reshape(())
                given = [source, f"{name}/low", f"{name}/high"]
                source = f"{name}/clipped"
                nodes.append(helper.make_node("Clip", given, [source]))
            around = [f"{name}/step", f"{name}/zero"]
            nodes.append(helper.make_node("QuantizeLinear", [source, *around], [f"{name}/codes"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}/codes", *around], [name]))
            continue
        if node.op_type in _WEIGHTED and node.input[0] in rounded and node.input[1] in arrays:
            _, step, _, most = rounded[node.input[0]]
            # Steps of few bits are long, and no kernel for whole numbers follows a Clip.
            nodes.extend(_weights(node, step if most == 255 else None, arrays, new))
        nodes.append(node)
    kept = _needed(nodes, {value.name for value in graph.output})
    read = {name for node in kept for name in node.input}
    initializers = [t for t in graph.initializer if t.name in read]
    initializers += [numpy_helper.from_array(np.asarray(a), n) for n, a in new.items()]
    copies = [type(node).FromString(node.SerializeToString()) for node in kept]
    graph.ClearField("node")
    graph.node.extend(copies)
    graph.ClearField("initializer")
    graph.initializer.extend(initializers)


def _weights(
    node: "onnx.NodeProto",
    source_step: np.ndarray | None,
    arrays: dict[str, np.ndarray],
    new: dict[str, np.ndarray],
) -> "list[onnx.NodeProto]":
    given = {a.name: a.i if a.type == a.INT else a.f for a in node.attribute}
    plain = given.get("alpha", 1) == 1 and given.get("beta", 1) == 1 and not given.get("transA", 0)
    array = arrays[node.input[1]]
    if not plain or array.ndim < 2 or (node.op_type == "MatMul" and array.ndim != 2):
        return []
    axis = 0 if node.op_type == "Conv" or given.get("transB", 0) else 1
    rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    steps = whole_steps(rows)
    if steps is None:
        return []
    shape = [-1 if k == axis else 1 for k in range(array.ndim)]
    codes = np.rint(array / steps.reshape(shape)).astype(np.int8)
    return write_codes(node, codes, steps, axis, source_step, arrays, new)


def _needed(nodes: "list[onnx.NodeProto]", outputs: set[str]) -> "list[onnx.NodeProto]":
    # Without what only the replaced arithmetic read.
    kept, wanted = [], set(outputs)
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    return kept[::-1]
