"""An ONNX graph as plain data: what is executed, differentiated, drawn and later proved about."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from netwright.artefact._errors import ArtefactError
from netwright.artefact._file import properties

if TYPE_CHECKING:
    import onnx

__all__ = [
    "CONSTANT",
    "SEAM",
    "Graph",
    "Node",
    "Value",
    "dtypes",
    "find_seam",
    "from_seam",
    "parse_graph",
]

SEAM = "features"
"""Name of the tensor that a network receives, after preprocessing; only in Netwright's files."""

CONSTANT = "const/"
"""Begins the names of what is not learned, such as means, in Netwright's files."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of a graph.

    Attributes:
        name: unique in the graph.
        dtype: of its elements; None for strings and other things that are not numbers.
        shape: of each axis a number, a name if it is free, or None if unknown; None for unknown
            rank.
    """

    name: str
    dtype: torch.dtype | None
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        op: operator, for example "Conv"; prefixed with its domain if that is not the standard one.
        opset: version of the operator's set.
        inputs: names of values; an empty name is an omitted argument.
        outputs: names of values.
        attributes: numbers, text, tuples of them, or tensors.
        name: as in the file; often empty.
    """

    op: str
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    name: str = ""

    @property
    def label(self) -> str:
        """The operator and what it makes, for messages."""
        made = next((name for name in self.outputs if name), "nothing")
        return f"{self.op} `{self.name or made}`"

    def get(self, attribute: str, default: Any = None) -> Any:
        """Return an attribute's value.

        Args:
            attribute: its name.
            default: its value when the file leaves it out.
        """
        return self.attributes.get(attribute, default)


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A graph whose nodes stand in order of execution.

    Attributes:
        nodes: the operations; constants are among the initializers instead.
        initializers: weights and constants, by name.
        inputs: what must be fed.
        outputs: what comes out.
        seam: the tensor `features`, if Netwright wrote the file.
        metadata: the file's own properties.
    """

    nodes: tuple[Node, ...]
    initializers: Mapping[str, Tensor]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    seam: Value | None
    metadata: Mapping[str, str]

    def restrict(self, inputs: tuple[Value, ...], outputs: tuple[Value, ...]) -> "Graph":
        """Keep only what leads from `inputs` to `outputs`.

        Args:
            inputs: values of this graph, to be fed.
            outputs: values of this graph.

        Raises:
            ArtefactError: if `outputs` need another input as well.
        """
        fed = {value.name for value in inputs}
        needed = {value.name for value in outputs}
        nodes = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs) - fed - {""}:
                needed.update(node.inputs)
                nodes.append(node)
        made = {name for node in nodes for name in node.outputs}
        missing = needed - fed - made - set(self.initializers) - {""}
        if missing:
            raise ArtefactError(
                f"{_names(outputs)} cannot be computed from {_names(inputs)} alone: "
                f"{', '.join(f'`{name}`' for name in sorted(missing))} must be known too."
            )
        kept = {n: t for n, t in self.initializers.items() if n in needed}
        return dataclasses.replace(
            self, nodes=tuple(reversed(nodes)), initializers=kept, inputs=inputs, outputs=outputs
        )


def from_seam(graph: Graph) -> Graph:
    """Return the network alone: from `features`, or from the only input, to the first output.

    Args:
        graph: of a whole file.

    Raises:
        ArtefactError: if a file of another origin has several inputs.
    """
    if graph.seam is not None:
        return graph.restrict((graph.seam,), graph.outputs[:1])
    if len(graph.inputs) != 1:
        raise ArtefactError(
            f"The model must have one input, the tensor a network receives; it has "
            f"{len(graph.inputs)}: {_names(graph.inputs)}."
        )
    return graph.restrict(graph.inputs, graph.outputs[:1])


def parse_graph(model: "onnx.ModelProto") -> Graph:
    """Read a graph; functions that the file defines are expanded.

    Args:
        model: of any origin.

    Raises:
        ArtefactError: if a tensor is damaged, a value is made twice, or is used before it is made.
    """
    if model.functions:
        import onnx.inliner

        model = onnx.inliner.inline_local_functions(model)
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    proto = model.graph
    if proto.sparse_initializer:
        raise ArtefactError("Sparse initializers cannot be read; save the model with dense ones.")
    _check_text(*(v.name for v in (*proto.initializer, *proto.input, *proto.output)))
    initializers = {t.name: t for t in proto.initializer}
    inputs = tuple(_value(v) for v in proto.input if v.name not in initializers)
    weights: dict[str, Tensor] = {}
    for name, tensor in initializers.items():
        weights[name] = _tensor(tensor, name)
    known = {"", *weights, *(v.name for v in inputs)}
    nodes = []
    for node in proto.node:
        parsed = _node(node, versions)
        unknown = [name for name in parsed.inputs if name not in known]
        twice = [name for name in parsed.outputs if name and name in known]
        if unknown or twice:
            fault = f"uses `{unknown[0]}` before it is made" if unknown else f"remakes `{twice[0]}`"
            raise ArtefactError(f"The graph is damaged: {parsed.label} {fault}.")
        known.update(parsed.outputs)
        if parsed.op == "Constant":
            weights[parsed.outputs[0]] = _constant(parsed)
        else:
            nodes.append(parsed)
    outputs = tuple(_value(v) for v in proto.output)
    lost = [v.name for v in outputs if not v.name or v.name not in known]
    if lost:
        raise ArtefactError(f"The graph is damaged: no node makes its output `{lost[0]}`.")
    about = properties(model)
    seam = find_seam(model)
    return Graph(tuple(nodes), weights, inputs, outputs, seam and _value(seam), about)


def find_seam(model: "onnx.ModelProto") -> "onnx.ValueInfoProto | None":
    """Find the tensor that the network receives, in a file that Netwright wrote.

    Args:
        model: of any origin.
    """
    if "netwright" not in properties(model):
        return None
    return next((v for v in model.graph.value_info if v.name == SEAM), None)


def _names(values: tuple[Value, ...]) -> str:
    return ", ".join(f"`{value.name}`" for value in values) or "nothing"


def _check_text(*names: Any) -> None:
    for name in names:
        if not isinstance(name, str):  # protobuf hands over what is no UTF-8 as bytes
            raise ArtefactError(f"The graph is damaged: a name is not UTF-8 text: {name!r}.")


def _value(proto: "onnx.ValueInfoProto") -> Value:
    kind = proto.type.tensor_type
    shape = None
    if kind.HasField("shape"):
        shape = tuple(
            d.dim_value if d.HasField("dim_value") else (d.dim_param or None)
            for d in kind.shape.dim
        )
    return Value(proto.name, dtypes().get(kind.elem_type), shape)


def _node(proto: "onnx.NodeProto", versions: dict[str, int]) -> Node:
    _check_text(proto.op_type, proto.domain, proto.name, *proto.input, *proto.output)
    domain = proto.domain or "ai.onnx"
    return Node(
        op=proto.op_type if domain == "ai.onnx" else f"{domain}.{proto.op_type}",
        opset=versions.get(domain, 1),
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes={a.name: _attribute(a, proto) for a in proto.attribute},
        name=proto.name,
    )


def _attribute(proto: "onnx.AttributeProto", node: "onnx.NodeProto") -> Any:
    from onnx import AttributeProto as Kind
    from onnx import helper

    if proto.type in (Kind.INT, Kind.FLOAT):
        return proto.i if proto.type == Kind.INT else proto.f
    if proto.type == Kind.STRING:
        return proto.s.decode(errors="replace")
    if proto.type in (Kind.INTS, Kind.FLOATS):
        return tuple(proto.ints if proto.type == Kind.INTS else proto.floats)
    if proto.type == Kind.STRINGS:
        return tuple(s.decode(errors="replace") for s in proto.strings)
    if proto.type == Kind.TENSOR:
        return _tensor(proto.t, f"{node.op_type}.{proto.name}")
    if proto.type == Kind.GRAPH:
        return proto.g  # If, Loop and Scan; not executed, but named when they are met
    return helper.get_attribute_value(proto)


def _constant(node: Node) -> Tensor:
    for kind, dtype in (("float", torch.float32), ("int", torch.int64)):
        for name in (f"value_{kind}", f"value_{kind}s"):
            if name in node.attributes:
                return torch.tensor(node.attributes[name], dtype=dtype)
    value = node.get("value")
    if not isinstance(value, Tensor):
        raise ArtefactError(f"{node.label} holds no number; only dense tensors can be read.")
    return value


def dtypes() -> dict[int, torch.dtype]:
    """Map ONNX's numbers for element types to torch's types."""
    from onnx import TensorProto as Kind

    return {
        Kind.FLOAT: torch.float32,
        Kind.DOUBLE: torch.float64,
        Kind.FLOAT16: torch.float16,
        Kind.BFLOAT16: torch.bfloat16,
        Kind.INT8: torch.int8,
        Kind.INT16: torch.int16,
        Kind.INT32: torch.int32,
        Kind.INT64: torch.int64,
        Kind.UINT8: torch.uint8,
        Kind.UINT16: torch.uint16,
        Kind.UINT32: torch.uint32,
        Kind.UINT64: torch.uint64,
        Kind.BOOL: torch.bool,
    }


def _tensor(proto: "onnx.TensorProto", name: str) -> Tensor:
    from onnx import TensorProto, numpy_helper

    if proto.data_type == TensorProto.STRING:
        return torch.empty(0, dtype=torch.uint8)  # text stays before the seam
    try:
        array = numpy_helper.to_array(proto)
        if proto.data_type == TensorProto.BFLOAT16:
            return torch.from_numpy(array.view("int16").copy()).view(torch.bfloat16)
        if proto.data_type in (TensorProto.INT4, TensorProto.UINT4):
            array = array.astype("int8" if proto.data_type == TensorProto.INT4 else "uint8")
        return torch.from_numpy(array.copy())
    except (ValueError, TypeError, KeyError, RuntimeError, OverflowError, MemoryError) as error:
        raise ArtefactError(f"The tensor `{name}` cannot be read: {error}") from error
