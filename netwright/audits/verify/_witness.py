"""Replay counterexamples where the network will run: in ONNX Runtime."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.audits.verify._network import AffineReLU
from netwright.audits.verify._query import satisfied
from netwright.audits.verify._vnnlib import Property, Region

if TYPE_CHECKING:
    import onnx

__all__ = ["Replay", "Witness", "to_model"]

Witness = tuple[tuple[float, ...], tuple[float, ...]]
"""Inputs and the outputs that ONNX Runtime gives there."""


class Replay:
    """Decides which points are counterexamples: ONNX Runtime's outputs must violate the property.

    The float32 inputs of a file are what it is run on, and what is reported.
    """

    def __init__(self, prop: Property, model: "Path | AffineReLU | onnx.ModelProto") -> None:
        """Keep what is needed; the session is made when a point is first tried.

        Args:
            prop: the property.
            model: ONNX, or a network that comes from elsewhere; it is then run in float64.
        """
        self.prop, self.model = prop, model
        self._session: Any = None

    def __call__(self, region: Region, point: np.ndarray) -> Witness | None:
        """Replay a point.

        Args:
            region: that the point lies in.
            point: inputs, (inputs,).

        Returns:
            The inputs as fed and the outputs, if they violate the property; None otherwise.
        """
        session = self._start()
        fed = session.get_inputs()[0]
        dtype = np.float64 if fed.type == "tensor(double)" else np.float32
        x = _inside(region, point, dtype)
        shape = [d if isinstance(d, int) and d > 0 else 1 for d in fed.shape]
        y = session.run(None, {fed.name: x.reshape(shape)})[0].ravel()
        found = tuple(map(float, x)), tuple(map(float, y))
        return found if satisfied(self.prop, *found) else None

    def _start(self) -> Any:
        if self._session is None:
            from netwright.artefact._file import load_model
            from netwright.artefact._session import cut_at_seam, find_seam, start_session

            if isinstance(self.model, AffineReLU):
                self._session = start_session(to_model(self.model))
            else:
                model = load_model(self.model) if isinstance(self.model, Path) else self.model
                model = cut_at_seam(model) if find_seam(model) is not None else model
                name = str(self.model) if isinstance(self.model, Path) else ""
                self._session = start_session(model, name=name)
        return self._session


def to_model(network: AffineReLU) -> "onnx.ModelProto":
    """Write a network as an ONNX model in float64, opset 20.

    Args:
        network: any; the model has one input `x` (1, inputs) and one output `y`.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, current = [], [], "x"
    last = len(network.weights) - 1
    for k, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        weights += [
            numpy_helper.from_array(weight, f"w{k}"),
            numpy_helper.from_array(bias, f"b{k}"),
        ]
        made = f"z{k}" if k < last else "y"
        nodes.append(helper.make_node("Gemm", [current, f"w{k}", f"b{k}"], [made], transB=1))
        if k < last:
            nodes.append(helper.make_node("Relu", [made], [f"r{k}"]))
            current = f"r{k}"
    kind = TensorProto.DOUBLE
    graph = helper.make_graph(
        nodes,
        network.name or "network",
        [helper.make_tensor_value_info("x", kind, [1, network.n_inputs])],
        [helper.make_tensor_value_info("y", kind, [1, network.n_outputs])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _inside(region: Region, point: np.ndarray, dtype: type) -> np.ndarray:
    """Round a point to `dtype`, inside the region where a number of that type lies inside."""
    x = point.astype(dtype)
    for i, (low, high) in enumerate(zip(region.low, region.high, strict=True)):
        value = x[i]
        if Fraction(float(value)) > high:
            value = np.nextafter(value, dtype(-np.inf))
        if Fraction(float(value)) < low:
            value = np.nextafter(value, dtype(np.inf))
        x[i] = value
    return x
