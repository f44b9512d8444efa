"""Spaces of whole networks: what each layer does, how wide it is, and which earlier ones it reads.

Paper:    Zoph, Le. Neural Architecture Search with Reinforcement Learning. ICLR 2017,
          arXiv:1611.01578, section 3 (kernel size, filters, stride and skip connections, layer by
          layer; figure 4 for the anchor points).
Departs:  the number of layers is the first decision instead of growing with the search; each layer
          reads the one before; for rows, a layer has no kernel or stride; for sequences, kernels
          have one dimension, and none ends in a recurrence, which has no bounds (see
          `_operations`); for texts, the decisions are the parameters of the text families.
Notation: a skip decision (layer i, layer j) = the anchor point j of layer i.
"""

from collections.abc import Sequence
from typing import Any

from netwright.data._schema import Schema
from netwright.design._design import Design
from netwright.design.spaces._layered import (
    cut,
    layer_decisions,
    layers_of,
    name_of,
    still_strides,
)
from netwright.design.spaces._operations import usable
from netwright.design.spaces._space import Code, Decision, require_code
from netwright.learn._recipe import Recipe

__all__ = [
    "ImageMacroSpace",
    "RowMacroSpace",
    "SequenceMacroSpace",
    "TextMacroSpace",
    "macro_space",
]

_IMAGE_RECIPE = Recipe(learning_rate=1e-2, weight_decay=0.05, batch_size=64)
_SEQUENCE_RECIPE = Recipe(learning_rate=1e-2, weight_decay=0.05, batch_size=64)
_ROW_RECIPE = Recipe(learning_rate=2.5e-3, weight_decay=5e-2, batch_size=64)


class ImageMacroSpace:
    """Convolutional networks, layer by layer; see `macro_space`."""

    def __init__(
        self,
        schema: Schema,
        *,
        depths: Sequence[int] = (2, 3, 4, 5, 6),
        widths: Sequence[int] = (8, 16, 32, 64),
        operations: Sequence[str] | None = None,
        recipe: Recipe = _IMAGE_RECIPE,
    ) -> None:
        """List the decisions.

        Args:
            schema: of the task; an image input.
            depths: numbers of layers to choose from, increasing.
            widths: channels to choose from, increasing.
            operations: names from the table of operations; by default all that do more than pass
                on.
            recipe: how every design is trained.
        """
        self._side = max(schema.input.shape[1:])
        self._recipe = recipe
        names = operations or [name for name in usable("image") if name != "identity"]
        self.decisions: tuple[Decision, ...] = layer_decisions(
            depths,
            Decision("operation", tuple(names)),
            Decision("width", tuple(widths), ordered=True),
            Decision("stride", (1, 2), ordered=True),
        )

    def design(self, code: Code) -> Design:
        """Describe the network of a code; equal networks have equal designs.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        code = self.canonical(code)
        layers = layers_of(self.decisions, code)
        return Design(name_of(layers), "macro_cnn", {"layers": layers}, self._recipe)

    def canonical(self, code: Code) -> Code:
        """Set to 0 what does not matter: layers beyond the last, and strides of a single pixel.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        require_code(self, code)
        return still_strides(self.decisions, cut(self.decisions, code), self._side)


class SequenceMacroSpace:
    """Networks of convolutions over the steps of sequences, layer by layer; see `macro_space`."""

    def __init__(
        self,
        schema: Schema,
        *,
        depths: Sequence[int] = (2, 3, 4, 5, 6),
        widths: Sequence[int] = (16, 32, 64, 128),
        operations: Sequence[str] | None = None,
        recipe: Recipe = _SEQUENCE_RECIPE,
    ) -> None:
        """List the decisions.

        Args:
            schema: of the task; a sequence input.
            depths: numbers of layers to choose from, increasing.
            widths: channels to choose from, increasing.
            operations: names from the table of operations on sequences; by default all that do more
                than pass on.
            recipe: how every design is trained.
        """
        self._steps = schema.input.shape[1]
        self._recipe = recipe
        names = operations or [name for name in usable("sequence") if name != "identity"]
        layered = layer_decisions(
            depths,
            Decision("operation", tuple(names)),
            Decision("width", tuple(widths), ordered=True),
            Decision("stride", (1, 2), ordered=True),
        )
        p_drop = Decision("p_drop", (0.0, 0.2, 0.5), ordered=True)
        self.decisions: tuple[Decision, ...] = (p_drop, *layered)

    def design(self, code: Code) -> Design:
        """Describe the network of a code; equal networks have equal designs.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        code = self.canonical(code)
        layers = layers_of(self.decisions[1:], code[1:])
        p_drop = self.decisions[0].options[code[0]]
        parameters = {"layers": layers, "p_drop": p_drop}
        name = f"{name_of(layers)}, {p_drop:.0%} dropped"
        return Design(name, "macro_sequence", parameters, self._recipe)

    def canonical(self, code: Code) -> Code:
        """Set to 0 what does not matter: layers beyond the last, and strides of a single step.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        require_code(self, code)
        layered = self.decisions[1:]
        return (code[0], *still_strides(layered, cut(layered, code[1:]), self._steps))


class RowMacroSpace:
    """Networks for tables, layer by layer; see `macro_space`."""

    def __init__(
        self,
        schema: Schema,
        *,
        depths: Sequence[int] = (1, 2, 3, 4),
        widths: Sequence[int] = (16, 32, 64, 128),
        operations: Sequence[str] | None = None,
        recipe: Recipe = _ROW_RECIPE,
    ) -> None:
        """List the decisions.

        Args:
            schema: of the task; a table input.
            depths: numbers of layers to choose from, increasing.
            widths: units to choose from, increasing.
            operations: names from the table of operations on rows; by default all that do more than
                pass on.
            recipe: how every design is trained.
        """
        self._has_numbers = any(c.kind in ("number", "date") for c in schema.input.columns)
        self._recipe = recipe
        names = operations or [name for name in usable("row") if name != "identity"]
        whole = (
            # Sines have no linear bounds yet, so "periodic" is not proposed.
            Decision("numbers", ("standard", "piecewise")),
            Decision("p_drop", (0.0, 0.1, 0.2, 0.4), ordered=True),
        )
        layered = layer_decisions(
            depths,
            Decision("operation", tuple(names)),
            Decision("width", tuple(widths), ordered=True),
        )
        self.decisions: tuple[Decision, ...] = (*whole, *layered)

    def design(self, code: Code) -> Design:
        """Describe the network of a code; equal networks have equal designs.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        code = self.canonical(code)
        layers = layers_of(self.decisions[2:], code[2:])
        numbers, p_drop = (self.decisions[i].options[code[i]] for i in (0, 1))
        name = f"{name_of(layers)}, {numbers} numbers, {p_drop:.0%} dropped"
        parameters = {"layers": layers, "numbers": numbers, "p_drop": p_drop}
        return Design(name, "macro_mlp", parameters, self._recipe)

    def canonical(self, code: Code) -> Code:
        """Set to 0 what does not matter: layers beyond the last, the encoding of absent numbers.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        require_code(self, code)
        numbers = code[0] if self._has_numbers else 0
        return (numbers, code[1], *cut(self.decisions[2:], code[2:]))


# Of each text family: the parameter that each decision sets, and how. The others do not matter.
_TEXT: dict[str, dict[str, tuple[str, Any]]] = {
    "text_linear": {"reach": ("longest", int)},
    "text_bag": {
        "width": ("width", int),
        "reach": ("longest", int),
        "depth": ("hidden", lambda depth: 32 * (depth - 1)),
        "word dropout": ("p_drop_ngram", float),
        "dropout": ("p_drop", float),
    },
    "text_cnn": {
        "width": ("width", int),
        "reach": ("windows", lambda reach: list(range(1, reach + 1))),  # thrice as wide: see below
        "word dropout": ("p_drop_word", float),
        "dropout": ("p_drop", float),
    },
    "text_gru": {
        "width": ("width", int),
        "hidden": ("hidden", int),
        "word dropout": ("p_drop_word", float),
        "dropout": ("p_drop", float),
    },
    "text_transformer": {
        "width": ("width", int),
        "depth": ("n_blocks", int),
        "word dropout": ("p_drop_word", float),
        "dropout": ("p_drop", float),
    },
}
_RATES = {"text_linear": 1e-2, "text_bag": 3e-3, "text_cnn": 3e-3}
_LONGEST_ATTENTION = 512  # tokens that all look at each other


class TextMacroSpace:
    """The text families and their parameters; see `macro_space`."""

    def __init__(self, schema: Schema, *, recipe: Recipe | None = None) -> None:
        """List the decisions.

        Args:
            schema: of the task; a text input.
            recipe: how every design is trained; by default as the family needs.
        """
        self._recipe = recipe
        # A character says less than a word: windows are thrice as wide, and runs longer.
        self._by_characters = schema.input.tokens == "characters"
        left_out = set()
        if schema.target.kind not in ("class", "labels"):
            left_out.add("text_linear")  # naive Bayes has nothing to count
        if schema.input.shape[0] > _LONGEST_ATTENTION:
            left_out.add("text_transformer")
        families = tuple(family for family in _TEXT if family not in left_out)
        self.decisions: tuple[Decision, ...] = (
            Decision("family", families),
            Decision("width", (16, 32, 64, 128), ordered=True),
            Decision("reach", (2, 3, 4) if self._by_characters else (1, 2, 3), ordered=True),
            Decision("depth", (1, 2, 3), ordered=True),
            Decision("hidden", (32, 64, 128), ordered=True),
            Decision("word dropout", (0.0, 0.1, 0.3, 0.5, 0.7), ordered=True),
            Decision("dropout", (0.0, 0.2, 0.5), ordered=True),
        )

    def design(self, code: Code) -> Design:
        """Describe the network of a code; equal networks have equal designs.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        code = self.canonical(code)
        family, *_ = (d.options[place] for d, place in zip(self.decisions, code, strict=True))
        parameters: dict[str, Any] = {}
        for decision, place in zip(self.decisions, code, strict=True):
            if decision.name in _TEXT[family]:
                name, read = _TEXT[family][decision.name]
                parameters[name] = read(decision.options[place])
        if self._by_characters and family == "text_cnn":
            parameters["windows"] = [3 * window for window in parameters["windows"]]
        rate = _RATES.get(family, 1e-3)
        decay = 0.0 if family == "text_linear" else 1e-2
        recipe = self._recipe or Recipe(learning_rate=rate, weight_decay=decay, batch_size=64)
        shown = ", ".join(f"{name} {value}" for name, value in parameters.items())
        return Design(f"{family}: {shown}", family, parameters, recipe)

    def canonical(self, code: Code) -> Code:
        """Set to 0 what the chosen family does not have.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if it is no code of this space.
        """
        require_code(self, code)
        used = {"family", *_TEXT[self.decisions[0].options[code[0]]]}
        return tuple(
            place if decision.name in used else 0
            for decision, place in zip(self.decisions, code, strict=True)
        )


def macro_space(
    schema: Schema,
) -> ImageMacroSpace | SequenceMacroSpace | RowMacroSpace | TextMacroSpace:
    """Make the space of whole networks for a task.

    They are those of `macro_cnn`, `macro_sequence`, `macro_mlp` or the text families. For other
    depths, widths or operations, make `ImageMacroSpace`, `SequenceMacroSpace` or `RowMacroSpace`
    yourself.

    Args:
        schema: of the task.
    """
    if schema.input.kind == "text":
        return TextMacroSpace(schema)
    layered = {
        "image": ImageMacroSpace,
        "sequence": SequenceMacroSpace,
        "table": RowMacroSpace,
    }
    return layered[schema.input.kind](schema)
