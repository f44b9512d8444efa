"""Open ONNX files that may be damaged or hostile, and cut them at the seam."""

from pathlib import Path
from typing import TYPE_CHECKING

from netwright.artefact._errors import ArtefactError

if TYPE_CHECKING:
    import onnx

__all__ = ["SEAM", "cut_at_seam", "encoder_keys", "load_model"]

SEAM = "features"


def load_model(path: Path) -> "onnx.ModelProto":
    """Parse an ONNX file.

    Args:
        path: the file.

    Raises:
        ArtefactError: if it is not an ONNX model.
        FileNotFoundError: if there is none.
    """
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ArtefactError(f"{path} is not an ONNX file, or is damaged: {error}.") from error
    if not model.graph.node or not model.graph.output:
        raise ArtefactError(f"{path} holds no ONNX graph; it may be cut short.")
    return model


def encoder_keys(model: "onnx.ModelProto") -> dict[str, tuple[str, ...]]:
    """List the keys of the LabelEncoders that look up strings, by the name of what they read.

    Args:
        model: of any origin.
    """
    found = {}
    for node in model.graph.node:
        if node.op_type == "LabelEncoder" and node.domain == "ai.onnx.ml":
            for attribute in node.attribute:
                if attribute.name == "keys_strings":
                    found[node.input[0]] = tuple(s.decode() for s in attribute.strings)
    return found


def cut_at_seam(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Keep the part of a graph after the tensor `features`.

    Args:
        model: written by Netwright.
    """
    import onnx
    from onnx import helper

    from netwright.artefact._metadata import restore

    needed, nodes = {model.graph.output[0].name}, []
    for node in reversed(model.graph.node):
        if SEAM not in node.output and needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    schema = restore({p.key: p.value for p in model.metadata_props}, {})
    assert schema is not None
    kind = onnx.TensorProto.INT64 if schema.input.kind == "text" else onnx.TensorProto.FLOAT
    seam = helper.make_tensor_value_info(SEAM, kind, ["batch", *schema.input.shape])
    graph = helper.make_graph(
        nodes[::-1],
        "network",
        [seam],
        [model.graph.output[0]],
        [t for t in model.graph.initializer if t.name in needed],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
