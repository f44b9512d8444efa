"""What stands in the ONNX graph before the network: raw rows to the tensor called `features`.

Every step is an operator of the graph, so that a program in any language feeds pixels, cells or
text and gets the same numbers as Netwright:

* image: `image`, uint8 (batch, channels, height, width), divided by 255;
* table: one input of shape (batch,) a column: strings for categories, float32 for numbers,
  booleans (0, 1) and dates (days since 1970); missing is an empty string or NaN, or any word that
  was not known in training;
* sequence: `sequence`, float32 (batch, channels, steps) of any number of steps, padded with NaN or
  cut to the network's length; missing is NaN;
* text: `text`, strings (batch,): ASCII letters to lower case, split, looked up, cut or padded to
  the network's length. Splitting is `Tokenizer`, one of ONNX Runtime's own operators. Texts that
  are chains of characters keep their capitals.

Lower case beyond ASCII: operators know no locale that every machine has. The regular expression
makes a token of each other letter, so capitals stand in the look-up table beside the small letters
that the vocabulary holds; `data` lowers letter for letter, by the same table.
"""

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netwright.artefact._errors import ArtefactError
from netwright.artefact._graph import SEAM
from netwright.data import Column, Input, Schema
from netwright.data._text import counts_blanks, small_letters

if TYPE_CHECKING:
    import onnx

__all__ = ["RESERVED", "Preprocessing", "input_names", "known_words", "preprocessing"]

RESERVED = (SEAM, "logits", "probabilities", "values")
_BLANKS = (
    r"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
)
_NO_WORDS = ("",)  # a look-up must have an entry
_TOKEN = rf"[a-z0-9']+|[^{_BLANKS}a-z0-9]"  # `data`'s, with Python's \s spelt out for RE2
_CHARACTER = rf"[^{_BLANKS}]"
_ANYTHING = "(?s)."


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

    A column whose name is taken (`features`, `logits`, ... or an earlier column) gets `_` appended,
    and one that begins with `raw/` gets it in front.

    Args:
        schema: of the task.
    """
    if schema.input.kind != "table":
        return (schema.input.kind,)
    names: list[str] = []
    for column in schema.input.columns:
        name = column.name or "column"
        name = f"_{name}" if name.startswith("raw/") else name  # the nodes below use that prefix
        while name in RESERVED or name in names:
            name += "_"
        names.append(name)
    return tuple(names)


def preprocessing(schema: Schema) -> Preprocessing:
    """Build the nodes from raw rows to `features`.

    Args:
        schema: of the task.

    Raises:
        ArtefactError: if the input is a table without columns.
    """
    if schema.input.kind == "image":
        return _image(schema.input)
    if schema.input.kind == "sequence":
        return _sequence(schema.input)
    return _table(schema) if schema.input.kind == "table" else _text(schema.input)


def known_words(model: "onnx.ModelProto") -> dict[str, tuple[str, ...]]:
    """Read categories and vocabulary back: the words of each look-up, by the input it belongs to.

    Args:
        model: written by Netwright.

    Raises:
        ArtefactError: if a look-up is damaged.
    """
    found: dict[str, tuple[str, ...]] = {}
    for node in model.graph.node:
        if node.op_type != "LabelEncoder":
            continue
        try:
            found.update([_words_of(node)])
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ArtefactError(f"A look-up of words in the model is damaged: {error!r}") from error
    return found


def _words_of(node: "onnx.NodeProto") -> tuple[str, tuple[str, ...]]:
    from onnx import numpy_helper

    attributes = {a.name: a for a in node.attribute}
    words = tuple(s.decode() for s in attributes["keys_strings"].strings)
    if "values_floats" in attributes:
        return node.input[0], () if words == _NO_WORDS else words
    numbers = numpy_helper.to_array(attributes["values_tensor"].t)
    return "text", words[1 : int(numbers.max())]  # after the padding, before the capitals


def _image(image: Input) -> Preprocessing:
    from onnx import TensorProto, helper

    return Preprocessing(
        inputs=(_input("image", TensorProto.UINT8, image.shape),),
        nodes=(
            helper.make_node("Cast", ["image"], ["raw/float"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["raw/float", "raw/255"], [SEAM]),
        ),
        initializers=(_constant("raw/255", 255.0, "float32"),),
    )


def _sequence(sequence: Input) -> Preprocessing:
    from onnx import TensorProto, helper

    channels, length = sequence.shape
    return Preprocessing(
        inputs=(_input("sequence", TensorProto.FLOAT, (channels, "steps")),),
        nodes=(
            helper.make_node("Pad", ["sequence", "raw/pads", "raw/nan"], ["raw/padded"]),
            helper.make_node("Slice", ["raw/padded", "raw/0", "raw/length", "raw/2"], [SEAM]),
        ),
        initializers=(
            _constant("raw/pads", [0, 0, 0, 0, 0, length], "int64"),
            _constant("raw/nan", float("nan"), "float32"),
            _constant("raw/0", [0], "int64"),
            _constant("raw/length", [length], "int64"),
            _constant("raw/2", [2], "int64"),
        ),
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
    domains = {"ai.onnx.ml": 4} if nodes else {}
    # A sequence refuses columns of unequal lengths, which plain concatenation would let through.
    nodes.append(helper.make_node("SequenceConstruct", coded, ["raw/columns"]))
    nodes.append(
        helper.make_node("ConcatFromSequence", ["raw/columns"], [SEAM], axis=1, new_axis=1)
    )
    return Preprocessing(tuple(inputs), tuple(nodes), (), domains)


def _codes(name: str, output: str, column: Column) -> "onnx.NodeProto":
    from onnx import helper

    words = column.categories or _NO_WORDS
    return helper.make_node(
        "LabelEncoder",
        [name],
        [output],
        domain="ai.onnx.ml",
        keys_strings=list(words),
        values_floats=[float(i + 1) if word else 0.0 for i, word in enumerate(words)],
        default_float=0.0,
    )


def _text(text: Input) -> Preprocessing:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    (length,) = text.shape
    by_words = text.tokens == "words"
    capitals = _capitals() if by_words else {}
    expression = _TOKEN if by_words else _ANYTHING if counts_blanks(text.vocabulary) else _CHARACTER
    words, numbers = ["", *text.vocabulary], [0, *range(2, len(text.vocabulary) + 2)]
    for number, token in enumerate(text.vocabulary, start=2):
        for capital in capitals.get(token, ()):
            words.append(capital)
            numbers.append(number)
    small = len(text.vocabulary) + 1 <= np.iinfo(np.int16).max
    kind = np.int16 if small else np.int64  # the two kinds that ONNX Runtime looks strings up in
    lower = helper.make_node(
        "StringNormalizer",
        ["text"],
        ["raw/lower"],
        case_change_action="LOWER",
        is_case_sensitive=1,
        locale="C",  # the only one that every machine has
    )
    nodes = [
        *((lower,) if by_words else ()),
        helper.make_node(
            "Tokenizer",
            ["raw/lower" if by_words else "text"],
            ["raw/tokens"],
            domain="com.microsoft",
            mark=0,
            mincharnum=1,
            pad_value="",
            tokenexp=expression,
        ),
        helper.make_node(
            "LabelEncoder",
            ["raw/tokens"],
            ["raw/numbers"],
            domain="ai.onnx.ml",
            keys_strings=words,
            values_tensor=numpy_helper.from_array(np.array(numbers, kind)),
            default_tensor=numpy_helper.from_array(np.array([1], kind)),
        ),
        helper.make_node("Cast", ["raw/numbers"], ["raw/int64"], to=TensorProto.INT64),
        helper.make_node("Pad", ["raw/int64", "raw/pads"], ["raw/padded"]),
        helper.make_node("Slice", ["raw/padded", "raw/0", "raw/length", "raw/1"], [SEAM]),
    ]
    constants = (
        _constant("raw/pads", [0, 0, 0, length], "int64"),
        _constant("raw/0", [0], "int64"),
        _constant("raw/length", [length], "int64"),
        _constant("raw/1", [1], "int64"),
    )
    inputs = (_input("text", TensorProto.STRING, ()),)
    return Preprocessing(inputs, tuple(nodes), constants, {"ai.onnx.ml": 4, "com.microsoft": 1})


@functools.cache
def _capitals() -> dict[str, tuple[str, ...]]:
    """Which letters beyond ASCII become a letter in lower case."""
    found: dict[str, tuple[str, ...]] = {}
    for capital, small in small_letters().items():
        if capital >= 0x80:
            found[chr(small)] = (*found.get(chr(small), ()), chr(capital))
    return found


def _constant(name: str, value: Any, kind: str) -> "onnx.TensorProto":
    import numpy as np
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(value, kind), name)


def _input(name: str, kind: int, shape: tuple[int | str, ...]) -> "onnx.ValueInfoProto":
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, ["batch", *shape])
