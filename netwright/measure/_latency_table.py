"""Predict how long a call of a network takes, from a table of its operations on this machine.

Paper:    Cai, Zhu, Han. ProxylessNAS: Direct Neural Architecture Search on Target Task and
          Hardware. ICLR 2019, arXiv:1812.00332, section 3.3 and appendix B (latency as the sum of
          entries of a lookup table).
Departs:  entries are measured when they are first needed, in ONNX Runtime, after a convolution:
          what fuses with it, or runs in its layout, costs there what it costs in a network.
Notation: seconds of an operation = F(o), sum over operations = E[latency].
"""

import hashlib
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from netwright._files import append_line
from netwright.finding import Measurement
from netwright.measure._operations import Operation, operations

if TYPE_CHECKING:
    import onnx

__all__ = ["LatencyTable", "fingerprint"]

_TRUST = 0.15  # share by which predictions were off at most, in nine of ten networks
_CLASSES = 10
Node = tuple[str, list[str], dict[str, Any]]


def fingerprint() -> str:
    """Name this machine and the runtime: a table of another one is of no use here."""
    import onnxruntime

    model = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.exists():
        names = [line for line in path.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    text = f"{model}|{platform.system()}|onnxruntime {onnxruntime.__version__}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class LatencyTable:
    """Seconds of operations in ONNX Runtime: one row, one thread.

    Entries are kept in a file of this machine's own, and are measured once.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is known of this machine.

        Args:
            folder: the user's cache; made when missing.
        """
        self.path = folder / "latency" / f"{fingerprint()}.jsonl"
        self.entries: dict[str, float] = {}
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    self.entries.update(json.loads(line))
                except json.JSONDecodeError:  # the line that a kill tore
                    continue

    def predict(
        self, network: nn.Module, x: Float[Tensor, "one channels height width"]
    ) -> Measurement:
        """Predict the median time of a call of the shipped file, on one row.

        Args:
            network: of images.
            x: one image, as the network receives it.

        Returns:
            Seconds, with the reach of the table's error; unresolved if the network runs something
            that the table does not know.

        Cost: one forward pass, and about 0.1 s for each operation that is met for the first time.
        """
        found = operations(network, x)
        unknown = sorted({o.key for o in found if o.kind == "other"})
        known = [o for o in found if o.kind != "other"]
        shape = tuple(x.shape)
        total = self._entry(f"base {shape}", lambda: self._base(shape))
        # The network's own standardising of its input is part of the base.
        rest = [o for o in known if o.kind not in ("Sub", "Div")]
        total += sum(self._entry(o.key, lambda o=o: self._measured(o)) for o in rest)
        reason = f"The table does not know {'; '.join(unknown)}." if unknown else ""
        return Measurement(
            value=total,
            low=total * (1 - _TRUST),
            high=total * (1 + _TRUST),
            n=len(rest) + 1,
            unit="s",
            method="table",
            note="predicted from a table of operations, one row, one thread",
            unresolved=reason,
        )

    def _entry(self, key: str, measure: Callable[[], float]) -> float:
        if key not in self.entries:
            self.entries[key] = measure()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            append_line(self.path, json.dumps({key: self.entries[key]}))
        return self.entries[key]

    def _base(self, shape: tuple[int, ...]) -> float:
        """A call that does nothing but what every shipped file does: bytes in, two outputs."""
        channels = shape[1]
        nodes: list[Node] = [
            ("Cast", ["x"], {"to": 1}),
            ("Div", ["a0", _scalar(255.0)], {}),
            ("Sub", ["a1", _tensor((channels, 1, 1))], {}),
            ("Div", ["a2", _tensor((channels, 1, 1))], {}),
            ("GlobalAveragePool", ["a3"], {}),
            ("Flatten", ["a4"], {}),
            ("Gemm", ["a5", _tensor((channels, _CLASSES)), _tensor((_CLASSES,))], {}),
            ("Softmax", ["a6"], {"axis": 1}),
        ]
        pixels = np.zeros(shape, np.uint8)
        return _time(_model(nodes, shape, outputs=("a6", "a7"), element=2), pixels)

    def _measured(self, operation: Operation) -> float:
        shape = operation.inputs[0]
        if len(shape) != 4:
            return self._flat(operation, shape)
        # Between convolutions, whose layout and fusions the operation shares in a network. The
        # calls with and without it alternate, so that a change of the machine's pace hits both.
        before = _probe("x", shape[1])
        nodes: list[Node] = [before]
        inputs = ["a0"]
        if len(operation.inputs) > 1 and operation.inputs[1] == shape:
            nodes.append(_probe("a0", shape[1]))
            inputs = ["a1", "a0"]
        elif len(operation.inputs) > 1 and operation.inputs[1][:2] == shape[:2]:
            nodes += [("GlobalAveragePool", ["a0"], {})]  # a gate: one number a channel
            inputs = ["a0", "a1"]
        if operation.kind == "Concat":
            inputs = [f"a{k}" for k in range(len(operation.inputs))]
            nodes = [_probe("x", shape[1], width=each[1]) for each in operation.inputs]
        without = [*nodes, ("GlobalAveragePool", [f"a{len(nodes) - 1}"], {})]
        middle, out = _nodes(operation, inputs, len(nodes))
        if len(operation.output) == 4 and operation.output[2:] != (1, 1):
            with_it = [*nodes, *middle, ("GlobalAveragePool", [out], {})]
        else:
            with_it = [*nodes, *middle]
        x = np.zeros(shape, np.float32)
        return _difference(_model(with_it, shape), _model(without, shape), x)

    def _flat(self, operation: Operation, shape: tuple[int, ...]) -> float:
        middle, _ = _nodes(operation, ["a0"] * len(operation.inputs), 1)
        first: Node = ("Abs", ["x"], {})
        x = np.zeros(shape, np.float32)
        return _difference(_model([first, *middle], shape), _model([first], shape), x)


def _nodes(operation: Operation, inputs: list[str], place: int) -> tuple[list[Node], str]:
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
        return [("Conv", [inputs[0], weight, _tensor((output[1],))], attributes)], out
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
        return [(kind, inputs, {"axis": 1})], out
    if kind in ("ReduceMean", "ReduceMax"):
        axes = "i:2,3"
        return [(kind, [inputs[0], axes], {"keepdims": int(len(output) == 4)})], out
    if kind in ("Add", "Mul", "Sub", "Div"):
        second = inputs[1] if len(inputs) > 1 else _scalar(1.5)
        return [(kind, [inputs[0], second], {})], out
    return [(kind, [inputs[0]], {})], out


def _probe(name: str, channels: int, *, width: int | None = None) -> Node:
    return ("Conv", [name, _tensor((width or channels, channels, 1, 1))], {"kernel_shape": [1, 1]})


# Constants are named by what they hold; equal names would let the runtime merge equal nodes, so
# `_model` numbers them.
def _tensor(shape: tuple[int, ...], kind: int = 0) -> str:
    return f"t{kind}:" + ",".join(map(str, shape))


def _scalar(value: float) -> str:
    return f"s:{value}"


def _model(
    nodes: Sequence[Node],
    shape: tuple[int, ...],
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


def _session(model: bytes) -> Callable[[dict[str, np.ndarray]], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed)


def _time(model: bytes, x: np.ndarray) -> float:
    return _medians([_session(model)], x)[0]


def _difference(model: bytes, without: bytes, x: np.ndarray) -> float:
    more, less = _medians([_session(model), _session(without)], x)
    return max(0.0, more - less)


def _medians(
    runs: Sequence[Callable[[dict[str, np.ndarray]], object]],
    x: np.ndarray,
    *,
    rounds: int = 9,
    seconds: float = 0.006,
) -> list[float]:
    """Time calls in turns; of each, the smallest median of a round: others' work only adds."""
    feed = {"x": x}
    medians: list[list[float]] = [[] for _ in runs]
    clock = time.perf_counter
    for round_ in range(rounds + 1):
        for place, run in enumerate(runs):
            times: list[float] = []
            end = clock() + seconds
            while len(times) < 5 or (clock() < end and len(times) < 500):
                began = clock()
                run(feed)
                times.append(clock() - began)
            if round_:  # the first warms up
                medians[place].append(statistics.median(times))
    return [min(found) for found in medians]
