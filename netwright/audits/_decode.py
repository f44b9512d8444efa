"""Turn the tensor that a network receives back into what a person can read."""

import datetime
import math

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from netwright.data import Column, Input, Target
from netwright.finding import Cell

__all__ = ["decode_cells", "decode_target", "decode_text", "headings", "readable"]

_UNKNOWN = "[?]"
_UNKNOWN_CHARACTER = "\ufffd"
_EPOCH = datetime.date(1970, 1, 1).toordinal()


def decode_cells(row: Float[Tensor, "columns"], columns: tuple[Column, ...]) -> tuple[Cell, ...]:
    """Write one row of a table in the source's own values; None where a value is missing.

    Args:
        row: coded as in `Column`.
        columns: of the table, in tensor order.
    """
    return tuple(_cell(value, column) for value, column in zip(row.tolist(), columns, strict=True))


def decode_text(tokens: Int[Tensor, "length"], inputs: Input) -> str:
    """Write token numbers as a text; what the vocabulary does not hold is `[?]`, or `\ufffd`.

    Args:
        tokens: 0 for padding, 1 for unknown, else 2 more than the place in the vocabulary.
        inputs: the task's input, a text, of words (unknown ones are `[?]`) or of characters.
    """
    by_words = inputs.tokens == "words"
    words = ("", _UNKNOWN if by_words else _UNKNOWN_CHARACTER, *inputs.vocabulary)
    return (" " if by_words else "").join(words[t] for t in tokens.tolist() if t)


def decode_target(y: Shaped[Tensor, "*width"], target: Target) -> str:
    """Write one target, or one prediction in the same form, for people.

    Args:
        y: as in `Target`.
        target: says what it means.
    """
    if target.kind == "class":
        return target.classes[int(y)]
    if target.kind == "labels":
        chosen = [n for n, on in zip(target.classes, y.tolist(), strict=True) if on > 0.5]
        return ", ".join(chosen) or "none"
    return ", ".join(f"{value:.5g}" for value in torch.atleast_1d(y).tolist())


def headings(inputs: Input, *, most: int = 12) -> tuple[str, ...]:
    """Name the cells that `readable` makes.

    Args:
        inputs: the task's input, a table, a text or a sequence.
        most: columns of a table that are shown.
    """
    if inputs.kind == "text":
        return ("text",)
    if inputs.kind == "sequence":
        return ("steps",)
    return tuple(column.name for column in inputs.columns[:most])


def readable(x: Shaped[Tensor, "*shape"], inputs: Input, *, most: int = 12) -> tuple[Cell, ...]:
    """Write one input that is a row of a table, or a text, as cells; of a sequence its length.

    Args:
        x: the input, without a batch axis.
        inputs: the task's input, a table, a text or a sequence.
        most: columns of a table that are shown.
    """
    if inputs.kind == "text":
        words = decode_text(x, inputs)
        return (words if len(words) <= 300 else words[:299] + "…",)
    if inputs.kind == "sequence":
        used = (~x.isnan()).any(dim=0).nonzero()
        return (int(used[-1]) + 1 if len(used) else 0,)
    return decode_cells(x[:most], inputs.columns[:most])


def _cell(value: float, column: Column) -> Cell:
    if math.isnan(value):
        return None
    if column.kind == "category":
        place = round(value)
        return column.categories[place - 1] if place else None
    if column.kind == "boolean":
        return "yes" if value else "no"
    if column.kind == "date":
        return _date(value)
    return float(f"{value:.6g}")


def _date(days: float) -> str:
    day = _EPOCH + math.floor(days)
    if not 1 <= day <= datetime.date.max.toordinal():
        return f"{days:.6g} days since 1970"  # beyond the calendar
    text = datetime.date.fromordinal(day).isoformat()
    minutes = round((days - math.floor(days)) * 1440)
    return text if not minutes else f"{text} {minutes // 60:02d}:{minutes % 60:02d}"
