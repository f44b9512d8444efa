"""Write what is shipped: weights, design, schema, and one ONNX file that needs nothing else."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Num
from torch import Tensor, nn

from netwright import __version__
from netwright._files import write_atomically
from netwright.artefact._errors import ArtefactError
from netwright.artefact._export import OPSET, export_network
from netwright.artefact._graph import SEAM
from netwright.artefact._metadata import describe
from netwright.artefact._raw import RESERVED, Preprocessing, input_names, preprocessing
from netwright.data import Schema, schema_to_json

if TYPE_CHECKING:
    import onnx

__all__ = ["Artefact", "to_onnx", "write"]


@dataclass(frozen=True, slots=True)
class Artefact:
    """What was written.

    Attributes:
        folder: holds `model.safetensors`, `design.json`, `schema.json` and `model.onnx`.
        onnx: path of `model.onnx`, the shipped file.
        size: bytes of `model.onnx`.
        opset: ONNX operator set.
        seconds: what exporting and writing took.
    """

    folder: Path
    onnx: Path
    size: int
    opset: int
    seconds: float


def write(
    network: nn.Module,
    schema: Schema,
    *,
    design: str,
    folder: Path | str,
    sample: Num[Tensor, "batch *features"],
    temperature: float = 1.0,
) -> Artefact:
    """Write a network with everything needed to use it elsewhere; no file contains pickle.

    Args:
        network: takes one tensor and returns logits (or values); it is left as it was.
        schema: of the task the network was trained on.
        design: the design, as JSON text.
        folder: created when missing; earlier files of the same names are replaced.
        sample: one or more inputs, as the network receives them; values do not matter.
        temperature: logits are divided by it in the ONNX file; 1 leaves them.

    Returns:
        Where the files lie, and how large the shipped one is.

    Raises:
        ArtefactError: if the network cannot be expressed in ONNX, or its output does not fit the
            target.
    """
    from safetensors.torch import save

    started = time.perf_counter()
    model = to_onnx(network, schema, sample=sample, temperature=temperature)
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    weights = {n: t.detach().cpu().contiguous().clone() for n, t in network.state_dict().items()}
    write_atomically(place / "model.safetensors", save(weights))
    write_atomically(place / "design.json", design)
    write_atomically(place / "schema.json", schema_to_json(schema))
    write_atomically(place / "model.onnx", model)
    return Artefact(place, place / "model.onnx", len(model), OPSET, time.perf_counter() - started)


def to_onnx(
    network: nn.Module,
    schema: Schema,
    *,
    sample: Num[Tensor, "batch *features"],
    temperature: float = 1.0,
) -> bytes:
    """Encode a network as the bytes of an ONNX file: preprocessing, network, probabilities.

    Its length is the size that is shipped; it depends on the design, not on the values of weights.

    Args:
        network: takes one tensor and returns logits (or values); it is left as it was.
        schema: of the task the network was trained on.
        sample: one or more inputs, as the network receives them; values do not matter.
        temperature: logits are divided by it; 1 leaves them.

    Raises:
        ArtefactError: if the network cannot be expressed in ONNX, or its output does not fit the
            target.
        ValueError: if `temperature` is not positive.

    Cost: nearly all of it is torch's exporter, which the first call of a process has to load.
    """
    if not temperature > 0:
        raise ValueError(f"`temperature` must be positive; got {temperature}.")
    output = "logits" if schema.target.kind in ("class", "labels") else "values"
    model = export_network(network, sample, output=output)
    _check_output(model, schema, type(network).__name__)
    if temperature != 1:
        _divide_output(model, temperature)
    raw = preprocessing(schema)
    _keep_names_apart(model, (*input_names(schema), *RESERVED))
    _prepend(model, raw, schema)
    if output == "logits":
        _append_probabilities(model, schema)
    for key, value in describe(schema, version=__version__, temperature=temperature).items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString(deterministic=True)


def _check_output(model: "onnx.ModelProto", schema: Schema, name: str) -> None:
    width = schema.target.width
    outputs = model.graph.output
    if len(outputs) != 1:
        raise ArtefactError(f"`network` ({name}) must return one tensor; got {len(outputs)}.")
    shape = outputs[0].type.tensor_type.shape.dim
    if len(shape) != 2 or shape[1].dim_value != width or shape[0].dim_param != "batch":
        found = [d.dim_param or d.dim_value for d in shape]
        raise ArtefactError(
            f"`network` ({name}) must return (batch, {width}), one number for each of "
            f"`schema.target`'s {width} outputs; got {found}."
        )


def _divide_output(model: "onnx.ModelProto", temperature: float) -> None:
    import numpy as np
    from onnx import helper, numpy_helper

    graph = model.graph
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == "logits":
                node.output[place] = "raw/logits"
    graph.initializer.append(
        numpy_helper.from_array(np.array(temperature, np.float32), "raw/temperature")
    )
    graph.node.append(helper.make_node("Div", ["raw/logits", "raw/temperature"], ["logits"]))


def _keep_names_apart(model: "onnx.ModelProto", taken: tuple[str, ...]) -> None:
    """Rename inner values that a column of the user's happens to be called."""
    graph = model.graph
    outer = {v.name for v in (*graph.input, *graph.output)}
    inner = {t.name for t in graph.initializer} | {o for n in graph.node for o in n.output}
    new: dict[str, str] = {}
    for name in sorted((inner - outer) & set(taken)):
        fresh = name
        while fresh in inner or fresh in taken:
            fresh += "_"
        new[name] = fresh
        inner.add(fresh)
    for tensor in graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = new.get(name, name)


def _prepend(model: "onnx.ModelProto", raw: Preprocessing, schema: Schema) -> None:
    from onnx import TensorProto, helper

    graph = model.graph
    kind = TensorProto.INT64 if schema.input.kind == "text" else TensorProto.FLOAT
    if graph.input[0].type.tensor_type.elem_type != kind:
        raise ArtefactError(
            f"`sample` must be {TensorProto.DataType.Name(kind)}, as the network receives its "
            f"input; got {TensorProto.DataType.Name(graph.input[0].type.tensor_type.elem_type)}."
        )
    # Tells a reader where the network begins.
    graph.value_info.append(
        helper.make_tensor_value_info(SEAM, kind, ["batch", *schema.input.shape])
    )
    later = list(graph.node)
    graph.ClearField("node")
    graph.node.extend((*raw.nodes, *later))
    graph.ClearField("input")
    graph.input.extend(raw.inputs)
    graph.initializer.extend(raw.initializers)
    for domain, version in raw.domains.items():
        model.opset_import.add(domain=domain, version=version)


def _append_probabilities(model: "onnx.ModelProto", schema: Schema) -> None:
    from onnx import TensorProto, helper

    if schema.target.kind == "class":
        node = helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)
    else:
        node = helper.make_node("Sigmoid", ["logits"], ["probabilities"])
    model.graph.node.append(node)
    shape = ["batch", schema.target.width]
    model.graph.output.append(
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)
    )
