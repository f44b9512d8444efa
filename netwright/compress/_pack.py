"""A whole ONNX file as one `.nwz` file, and back: the graph beside its coded weights."""

import zlib
from typing import TYPE_CHECKING

import numpy as np

from netwright.compress._nwz import encode, read_about
from netwright.compress._nwz_decode import NwzError, decode

if TYPE_CHECKING:
    import onnx

__all__ = ["pack", "unpack"]

_MOST_GRAPH = 1 << 26  # bytes of a graph without weights, metadata and vocabulary included


def pack(model: "onnx.ModelProto") -> bytes:
    """Write an ONNX model as a `.nwz` file that needs nothing else.

    Args:
        model: with all weights in memory; it is left as it was. Initializers that are no numbers
            (the words of a vocabulary) stay in the graph.

    Returns:
        The file; `unpack` gives a model of the same bits.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    tensors: dict[str, np.ndarray] = {}
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.STRING:
            continue
        tensors[tensor.name] = numpy_helper.to_array(tensor)
        # Name, type and shape stay, and say where the tensor belongs.
        kept = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        tensor.CopyFrom(kept)
    return encode(tensors, about=zlib.compress(graph.SerializeToString(deterministic=True), 9))


def unpack(data: bytes) -> "onnx.ModelProto":
    """Return the ONNX model that a `.nwz` file holds.

    Args:
        data: a file that `pack` has written.

    Raises:
        NwzError: if the file is damaged, or holds no such model.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    inflate, model = zlib.decompressobj(), onnx.ModelProto()
    try:
        graph = inflate.decompress(read_about(data), _MOST_GRAPH)
        if not inflate.eof:
            raise NwzError("The .nwz file holds no ONNX graph, or one that is cut or too large.")
        model.ParseFromString(graph)
    except (zlib.error, DecodeError) as error:
        raise NwzError(f"The .nwz file holds no ONNX graph: {error}") from error
    tensors = decode(data)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.STRING:
            continue
        if tensor.name not in tensors:
            raise NwzError(f"The .nwz file lacks `{tensor.name[:80]}`, which its graph needs.")
        found = numpy_helper.from_array(tensors[tensor.name], tensor.name)
        if found.data_type != tensor.data_type or list(found.dims) != list(tensor.dims):
            raise NwzError(f"The .nwz file holds `{tensor.name[:80]}` in another type or shape.")
        tensor.CopyFrom(found)
    return model
