"""What stands in the ONNX graph before the network: raw rows to the tensor called `features`.

Every step is an ONNX operator, so that a program in any language feeds pixels, cells or text and gets
the same numbers as Netwright:

* image: `image`, uint8 (batch, channels, height, width), divided by 255;
* table: one input of shape (batch,) a column: strings for categories, float32 for numbers, booleans
  (0, 1) and dates (days since 1970); an empty string or NaN is missing;
* text: `text`, strings (batch,): ASCII letters to lower case, split by `TOKENS`, looked up, cut or
  padded to the network's length. Splitting is `Tokenizer` of ONNX Runtime's own operators.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netwright.artefact._errors import ArtefactError
from netwright.data import Column, Input, Schema

if TYPE_CHECKING:
    import onnx

__all__ = ["RESERVED", "Preprocessing", "input_names", "preprocessing"]

RESERVED = ("features", "logits", "probabilities", "values")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The part of a graph that makes `features`.

    Attributes:
        inputs: the graph's inputs.
        nodes: in order of execution.
        initializers: constants they use.
        domains: operator sets besides the standard one, with their versions.
    """

    inputs: "tuple[onnx.ValueInfoProto, ...]"
    nodes: "tuple[onnx.NodeProto, ...]"
    initializers: "tuple[onnx.TensorProto, ...]" = ()
    domains: dict[str, int] = field(default_factory=dict)


def input_names(schema: Schema) -> tuple[str, ...]:
    """Name the graph's inputs: for a table its columns, in order.

    A column whose name is taken (`features`, `logits`, ... or an earlier column) gets `_` appended.

    Args:
        schema: of the task.
    """
    if schema.input.kind != "table":
        return (schema.input.kind,)
    names: list[str] = []
    for column in schema.input.columns:
        name = column.name or "column"
        while name in RESERVED or name in names:
            name += "_"
        names.append(name)
    return tuple(names)


def preprocessing(schema: Schema) -> Preprocessing:
    """Build the nodes from raw rows to `features`.

    Args:
        schema: of the task.

    Raises:
        ArtefactError: if the input has no columns or is of a kind that cannot be encoded.
    """
    if schema.input.kind == "image":
        return _image(schema.input)
    if schema.input.kind == "table":
        return _table(schema)
    raise ArtefactError(f"Inputs of kind {schema.input.kind!r} cannot be written yet.")


def _image(image: Input) -> Preprocessing:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    return Preprocessing(
        inputs=(_input("image", TensorProto.UINT8, image.shape),),
        nodes=(
            helper.make_node("Cast", ["image"], ["raw/float"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["raw/float", "raw/255"], ["features"]),
        ),
        initializers=(numpy_helper.from_array(np.float32(255.0), "raw/255"),),
    )


def _table(schema: Schema) -> Preprocessing:
    from onnx import TensorProto, helper

    if not schema.input.columns:
        raise ArtefactError("A table without columns cannot be written; `schema.input` has none.")
    inputs, nodes, coded = [], [], []
    for place, (name, column) in enumerate(
        zip(input_names(schema), schema.input.columns, strict=True)
    ):
        if column.kind == "category":
            inputs.append(_input(name, TensorProto.STRING, ()))
            coded.append(f"raw/{place}")
            nodes.append(_codes(name, coded[-1], column))
        else:
            inputs.append(_input(name, TensorProto.FLOAT, ()))
            coded.append(name)
    # A sequence refuses columns of unequal lengths, which plain concatenation would let through.
    nodes.append(helper.make_node("SequenceConstruct", coded, ["raw/columns"]))
    nodes.append(
        helper.make_node("ConcatFromSequence", ["raw/columns"], ["features"], axis=1, new_axis=1)
    )
    domains = {"ai.onnx.ml": 2} if len(nodes) > 2 else {}
    return Preprocessing(tuple(inputs), tuple(nodes), (), domains)


def _codes(name: str, output: str, column: Column) -> "onnx.NodeProto":
    from onnx import helper

    return helper.make_node(
        "LabelEncoder",
        [name],
        [output],
        domain="ai.onnx.ml",
        keys_strings=list(column.categories),
        values_floats=[float(i + 1) for i in range(len(column.categories))],
        default_float=0.0,
    )


def _input(name: str, kind: int, shape: tuple[int, ...]) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, ["batch", *shape])
