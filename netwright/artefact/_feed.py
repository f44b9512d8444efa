"""Raw rows as the shipped graph takes them: from columns of data, or from a network's tensor."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Num
from torch import Tensor

from netwright.artefact._raw import input_names
from netwright.data import Column, Input, Schema
from netwright.data._sequences import decode, header, misfit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["prepare_rows", "raw_feed"]

Feed = dict[str, np.ndarray]


def raw_feed(x: Num[Tensor, "batch *features"], schema: Schema) -> Feed:
    """Turn what a network receives back into raw rows from which the graph makes exactly that.

    Args:
        x: images in [0, 1] on the grid of 255ths (or uint8 pixels), coded table rows, sequences, or
            token numbers.
        schema: of the task.

    Returns:
        An array for each input of the graph.

    Raises:
        ValueError: if no raw row gives `x`: a pixel off the grid, an unknown code, padding inside a
            text.
    """
    if schema.input.kind == "image":
        return {"image": _pixels(x)}
    if schema.input.kind == "sequence":
        return {"sequence": _steps(x)}
    if schema.input.kind == "text":
        return {"text": _texts(x, schema.input)}
    return {
        name: _cells(x[:, place], column)
        for place, (name, column) in enumerate(
            zip(input_names(schema), schema.input.columns, strict=True)
        )
    }


def prepare_rows(rows: "Mapping[str, ArrayLike]", schema: Schema) -> Feed:
    """Bring columns of data into the types that the graph takes.

    Category cells are trimmed and None becomes an empty string, numbers become float32, moments
    become days since 1970; sequences of a list are padded with NaN to the longest, and cut to what
    the network takes.

    Args:
        rows: for a table an array for each column, by its name; else `image`, `text` or `sequence`:
            an array (rows, channels, steps), or a list of arrays (channels, steps) or (steps,), or
            of paths or contents of WAV files.
        schema: of the task.

    Raises:
        ValueError: if a column is missing, the arrays differ in length, or a sequence is none, has
            another number of channels, or values beyond float32.
    """
    inputs = input_names(schema)
    columns = [c.name for c in schema.input.columns] or inputs
    # What `raw_feed` returns is by name of input, which differs where a column's name was taken.
    known = [i if i in rows else c for i, c in zip(inputs, columns, strict=True)]
    missing = [name for name in known if name not in rows]
    if missing:
        raise ValueError(
            f"`rows` must have {', '.join(f'`{name}`' for name in known)}; "
            f"{', '.join(f'`{name}`' for name in missing)} is missing."
        )
    if schema.input.kind == "sequence":
        return {"sequence": _sequences(rows["sequence"], schema.input)}
    lengths = {name: len(np.asarray(rows[name])) for name in known}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The columns of `rows` must be equally long; got {lengths}.")
    if schema.input.kind == "image":
        pixels = np.asarray(rows["image"])
        if pixels.dtype != np.uint8 or pixels.shape[1:] != schema.input.shape:
            raise ValueError(
                f"`image` must be uint8 of shape (batch, {', '.join(map(str, schema.input.shape))})"
                f"; got {pixels.dtype} of shape {pixels.shape}."
            )
        return {"image": pixels}
    if schema.input.kind == "text":
        return {"text": _strings(rows["text"])}
    return {
        name: _column(rows[source], column)
        for name, source, column in zip(inputs, known, schema.input.columns, strict=True)
    }


def _pixels(x: Tensor) -> np.ndarray:
    if x.dtype.is_floating_point:
        pixels = (x * 255).round().clamp(0, 255).byte()
        if not (pixels.float() / 255 == x.float()).all():
            raise ValueError(
                "`x` holds pixels that are no 255th, which no 8-bit image has; run the network "
                "itself on them (`Session.predict`)."
            )
        return pixels.cpu().numpy()
    return x.byte().cpu().numpy()


def _steps(x: Tensor) -> np.ndarray:
    # Without the steps that pad every row; the graph puts them back.
    values = x.float().cpu().numpy()
    used = np.flatnonzero(~np.isnan(values).all(axis=(0, 1)))
    return values[:, :, : int(used[-1]) + 1 if len(used) else 1]


def _sequences(items: Any, sequence: Input) -> np.ndarray:
    channels = sequence.shape[0]
    if isinstance(items, np.ndarray) and items.ndim == 3 and items.dtype.kind in "fiu":
        if items.shape[1] == channels and items.shape[2]:
            return _in_float32(items)
    found = [header(item) for item in items]
    for place, each in enumerate(found):
        trouble = each.trouble or misfit(each, channels, sequence.rate, "the schema has")
        if trouble:
            raise _no_sequence(channels, place, trouble)
    steps = max((each.steps for each in found), default=1)
    shape = channels, min(steps, sequence.shape[1])
    rows = np.empty((len(found), *shape), np.float32)
    for place, item in enumerate(items):
        rows[place] = decode(item, shape)
    return rows


def _in_float32(items: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # such rows are refused
        rows = items.astype(np.float32, copy=False)
    if rows is not items:
        beyond = (np.isinf(rows) & np.isfinite(items)).any(axis=(1, 2))
        if beyond.any():
            trouble = "the sequence has a value that is not finite in float32"
            raise _no_sequence(items.shape[1], int(np.argmax(beyond)), trouble)
    return rows


def _no_sequence(channels: int, place: int, trouble: str) -> ValueError:
    return ValueError(
        f"`sequence` must hold {channels} channels of numbers a row, as (rows, channels, steps) or "
        f"a list of (channels, steps); row {place}: {trouble}."
    )


def _cells(codes: Tensor, column: Column) -> np.ndarray:
    values = codes.float().cpu().numpy()
    if column.kind != "category":
        return values
    words = np.array(["", *column.categories], dtype=object)
    places = values.astype(np.int64)
    if not ((places == values) & (places >= 0) & (places < len(words))).all():
        raise ValueError(
            f"`x` holds codes of column `{column.name}` outside 0 to {len(column.categories)}."
        )
    return words[places]


def _texts(numbers: Tensor, text: Input) -> np.ndarray:
    vocabulary, between = text.vocabulary, " " if text.tokens == "words" else ""
    words = np.array(["", _unknown(vocabulary), *vocabulary], dtype=object)
    texts = []
    for row in numbers.cpu().numpy():
        length = int(np.flatnonzero(row)[-1]) + 1 if row.any() else 0
        if (row[:length] == 0).any() or row.min() < 0 or row.max() >= len(words):
            raise ValueError(
                f"`x` must hold token numbers below {len(words)}, padded with 0 at the end alone; "
                f"got {row.tolist()}."
            )
        texts.append(between.join(words[row[:length]]))
    return np.array(texts, dtype=object)


def _unknown(vocabulary: tuple[str, ...]) -> str:
    known = set(vocabulary)
    return next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in known)


def _column(values: Any, column: Column) -> np.ndarray:
    if column.kind == "category":
        return _words(values)
    array = np.asarray(values)
    if array.dtype.kind == "M":
        days = array.astype("datetime64[us]").astype(np.float64) / 86_400_000_000
        return np.where(np.isnat(array), np.nan, days).astype(np.float32)
    return array.astype(np.float32)


def _words(values: Any) -> np.ndarray:
    return np.array([cell.strip() for cell in _strings(values)], dtype=object)


def _strings(values: Any) -> np.ndarray:
    cells = np.asarray(values, dtype=object)
    return np.array(
        ["" if cell is None or cell != cell else str(cell) for cell in cells], dtype=object
    )
