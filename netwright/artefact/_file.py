"""Open ONNX files that may be damaged or hostile."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.artefact._errors import ArtefactError

if TYPE_CHECKING:
    import onnx

__all__ = ["load_model", "properties"]


def load_model(path: Path | str) -> "onnx.ModelProto":
    """Parse an ONNX file, with all weights in memory.

    Weights in other files are read only from the model's own folder or below it.

    Args:
        path: the file.

    Raises:
        ArtefactError: if it is no ONNX model, is cut short, or names weights outside its folder.
        FileNotFoundError: if there is none.
    """
    import onnx
    from google.protobuf.message import DecodeError

    place = Path(path)
    if place.exists() and not place.is_file():  # a folder, a pipe, a device that never ends
        raise ArtefactError(f"{place} is no file; an ONNX model is one.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(place.read_bytes())
    except DecodeError as error:
        raise ArtefactError(
            f"{place} is not an ONNX file, or is damaged ({error}); export it again."
        ) from error
    if not model.graph.node or not model.graph.output:
        raise ArtefactError(
            f"{place} holds no ONNX graph: it may be cut short or of another format."
        )
    _read_external(model, place)
    return model


def properties(model: "onnx.ModelProto") -> dict[str, str]:
    """Return a model's metadata properties.

    Args:
        model: of any origin.
    """
    return {p.key: p.value for p in model.metadata_props}


def _read_external(model: "onnx.ModelProto", path: Path) -> None:
    import onnx
    from onnx.external_data_helper import load_external_data_for_tensor

    folder = path.resolve().parent
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        target = (folder / location).resolve()
        if not location or not target.is_relative_to(folder):
            raise ArtefactError(
                f"{path} keeps `{tensor.name}` in {location!r}, outside its own folder; such "
                f"files are refused. Save the model with its weights inside."
            )
        if not target.is_file():
            raise ArtefactError(
                f"{path} keeps `{tensor.name}` in {location!r}, which is not there; put that file "
                f"beside the model."
            )
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except (ValueError, OSError, RuntimeError, onnx.checker.ValidationError) as error:
            raise ArtefactError(f"{path}: `{tensor.name}` cannot be read: {error}") from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.ClearField("external_data")


def _tensors(model: "onnx.ModelProto") -> "Iterator[onnx.TensorProto]":
    """Visit every tensor: initializers and attributes, in subgraphs and functions too."""
    waiting: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                if attribute.HasField("sparse_tensor"):
                    yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
                yield from attribute.tensors
                waiting.extend(attribute.graphs)
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
