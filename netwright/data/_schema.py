"""What the rows of a task look like: columns, vocabulary, image shape, target."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Column", "Input", "Schema", "Target"]

InputKind = Literal["image", "table", "text", "sequence"]
TargetKind = Literal["class", "labels", "value", "values"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table input. All statistics come from the training split alone.

    Attributes:
        name: as in the source.
        kind: "number", "category", "boolean" (tensor values 0 and 1) or "date" (days since 1970).
        categories: the values of a category column; the tensor holds their place, counted from 1,
            and 0 for missing or never seen in training.
        has_missing: whether the training split has missing values; NaN in the tensor for numbers,
            dates and booleans.
        mean: mean over present values (numbers, dates, booleans).
        std: standard deviation over present values; 1.0 where it would be 0.
        minimum: smallest present value.
        maximum: largest present value.
        quantiles: up to 48 increasing inner quantiles, for piecewise-linear encoding.
    """

    name: str
    kind: Literal["number", "category", "boolean", "date"]
    categories: tuple[str, ...] = ()
    has_missing: bool = False
    mean: float = 0.0
    std: float = 1.0
    minimum: float = 0.0
    maximum: float = 0.0
    quantiles: tuple[float, ...] = ()

    @property
    def is_fitted(self) -> bool:
        """Whether it carries what training rows showed (shipped files leave out quantiles)."""
        varies = self.minimum < self.maximum or self.has_missing
        return bool(self.categories or self.quantiles or varies)


@dataclass(frozen=True, slots=True)
class Input:
    """The input of a task, and the tensor a network receives for one example.

    Attributes:
        kind: "image": float (channels, height, width) in [0, 1]; "table": float (columns,), coded
            as in `Column`; "text": int64 (length,) token numbers, 0 for padding, 1 for unknown;
            "sequence": float (channels, length), NaN where a value is missing and after the end.
        shape: shape of that tensor, without the batch axis.
        columns: the columns of a table, in tensor order.
        text_columns: the source columns that are joined, with a blank, into one text.
        vocabulary: token i of the vocabulary has number i + 2.
        tokens: what a text is cut into: "words" (in small letters, and single other characters), or
            "characters", as they are (DNA, SMILES).
        channels: names of a sequence's channels, in tensor order.
        sequence_columns: the source columns that sequences were made of: a column of lists a
            channel, one with all channels, or a column of numbers a step; empty if they were none.
        rate: steps of a sequence a second; 0 if unknown.
        mean: per channel, over the training images in [0, 1], or the present values of sequences.
        std: per channel, likewise.
        resized: whether images of other sizes were resized to `shape`.
    """

    kind: InputKind
    shape: tuple[int, ...]
    columns: tuple[Column, ...] = ()
    text_columns: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    tokens: Literal["words", "characters"] = "words"
    channels: tuple[str, ...] = ()
    sequence_columns: tuple[str, ...] = ()
    rate: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resized: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be predicted, and the tensor that holds it.

    Attributes:
        kind: "class": int64 (); "labels": float (classes,) of 0 and 1; "value": float (1,) in the
            target's units; "values": float (columns,).
        names: the source's column names, one unless the kind is "values" (or "labels" by column).
        classes: names of the classes or labels, in the order of the network's outputs.
        mean: per value, over the training split.
        std: per value, over the training split.
    """

    kind: TargetKind
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Number of outputs of a network for this target."""
        return len(self.classes) if self.kind in ("class", "labels") else len(self.names)

    @property
    def metric(self) -> str:
        """The quantity that ranks networks unless a requirement says otherwise."""
        return "accuracy" if self.kind in ("class", "labels") else "rmse"


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything a network must know about its data; it travels inside the artefact.

    Attributes:
        input: the input.
        target: the target.
        groups: columns by which gaps are measured.
    """

    input: Input
    target: Target
    groups: tuple[str, ...] = ()
