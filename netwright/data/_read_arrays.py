"""Read what is in memory already: arrays, pairs, rows, torch and Hugging Face data sets, `.npz`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from netwright.data import _pictures, _sequences
from netwright.data._errors import DataError
from netwright.data._gathered import Bad, Gathered, join, plain
from netwright.data._list_columns import storage
from netwright.data._read_table import column_of
from netwright.data._wav import ENDING

__all__ = ["read_dataset", "read_huggingface", "read_npz", "read_pair", "read_rows"]

TARGET = "target"
_INPUTS = ("x", "X", "images", "data", "features", "inputs")
_TARGETS = ("y", "Y", "labels", "label", "target", "targets")
_SLIM = 8  # times as long as wide: a picture of that shape may be a sequence
_PARTS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 3}


def read_npz(path: Path, *, sequence: bool = False) -> Gathered:
    """Read named arrays.

    Args:
        path: a `.npz` file with `x` and `y` (or images and labels, data and target, ...), or these
            for each split: `x_train`, `train_images`, `x_test`, ...
        sequence: as in `read_pair`.

    Raises:
        DataError: if it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as named arrays: {error}. Object arrays are pickles, which are "
            f"never loaded; save numbers or fixed-width strings."
        ) from error
    pairs = {name: _pair_names(arrays, name) for name in _PARTS}
    found = {_PARTS[name]: pair for name, pair in pairs.items() if pair}
    if 0 in found:
        options: dict[str, Any] = {"name": path.stem, "sequence": sequence}
        parts = {i: read_pair(*(arrays[n] for n in found[i]), **options) for i in found}
        return join(path.stem, dict(sorted(parts.items())))
    pair = _pair_names(arrays, "")
    if pair is None:
        raise DataError(
            f"{path} holds {', '.join(arrays) or 'nothing'}; wanted are arrays called x and y (or "
            f"images and labels, data and target), or x_train, y_train, x_test, y_test."
        )
    return read_pair(arrays[pair[0]], arrays[pair[1]], name=path.stem, sequence=sequence)


def _pair_names(arrays: Mapping[str, Any], split: str) -> tuple[str, str] | None:
    def first(stems: Sequence[str]) -> str | None:
        tried = [n for s in stems for n in ((f"{s}_{split}", f"{split}_{s}") if split else (s,))]
        return next((name for name in tried if name in arrays), None)

    x, y = first(_INPUTS), first(_TARGETS)
    return (x, y) if x is not None and y is not None else None


def read_pair(
    x: Any, y: Any, *, name: str = "data", names: Sequence[str] = (), sequence: bool = False
) -> Gathered:
    """Read inputs and targets that lie row by row in two arrays.

    Args:
        x: (rows, columns) for a table; three or four axes for pictures; one axis for a table of one
            column, or texts if it holds strings. Three axes with numbers that no picture has
            (below 0, or fractions above 1), or with rows that end in NaN, and rows of unequal
            length, are sequences: (rows, channels, steps), or (rows, steps).
        y: (rows,), or (rows, width): labels if all are 0 and 1, else values.
        name: for people.
        names: names of a table's columns, or a sequence's channels; x0, x1, ... if empty.
        sequence: whether `x` holds sequences, whatever its numbers.

    Raises:
        DataError: if the lengths differ or the axes make no sense.
    """
    channels_first = isinstance(x, Tensor)
    y = _numpy(y)
    if _unequal_sequences(x, sequence):
        return _with_sequences(list(x), y, name, names)
    x = _numpy(x)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise DataError(f"`x` has shape {x.shape} and `y` {y.shape}; they must have equal lengths.")
    if not len(x):
        raise DataError("The arrays have no rows.")
    if sequence or (x.ndim == 3 and _no_pictures(x)):
        return _with_sequences(x, y, name, names, notes=() if sequence else _sequence_notes(x))
    columns, target = _targets(y)
    if x.ndim > 2:
        return _with_pictures(x, columns, target, name, channels_first=channels_first)
    if x.ndim == 1 and x.dtype.kind in "UO":
        table = pa.table({"text": column_of(x.tolist()), **columns})
        return plain(name, table, target=target, text=("text",))
    return _with_table(x, names, columns, target, name)


def _no_pictures(x: np.ndarray) -> bool:
    if x.dtype.kind not in "fi":
        return False
    gone: np.ndarray = np.asarray(np.isnan(x).all(axis=1))  # (n, steps)
    return bool((gone[:, -1] & ~gone.all(axis=1)).any()) or not _pictures.are_pixels(x)


def _sequence_notes(x: np.ndarray) -> tuple[str, ...]:
    # What standardised pictures must be told, that their numbers are no pixels.
    _, channels, steps = x.shape
    if channels == 1 or _pictures.are_pixels(x):  # no picture is one pixel high
        return ()
    return (
        f"The array was taken for sequences of {channels:,} channels and {steps:,} steps, since "
        f"its numbers are no pixels; scale pixels to [0, 1] for pictures.",
    )


def _unequal_sequences(x: Any, sequence: bool) -> bool:
    arrays = _sequences.ragged(x)
    heights = {len(array) for array in arrays}
    if not arrays or sequence or heights == {1}:  # no picture is one pixel high
        return bool(arrays)
    return len(heights) == 1 and not all(_pictures.are_pixels(array) for array in arrays)


def _with_sequences(
    items: np.ndarray | list[Any],
    y: np.ndarray,
    name: str,
    names: Sequence[str],
    notes: tuple[str, ...] = (),
) -> Gathered:
    if y.ndim == 0 or len(items) != len(y):
        raise DataError(
            f"`x` has {len(items):,} rows and `y` has shape {y.shape}; they must have equal "
            f"lengths."
        )
    columns, target = _targets(y)
    fields: dict[str, Any] = {"sequences": items, "channels": tuple(names), "notes": notes}
    return plain(name, pa.table(columns), target=target, **fields)


def _with_pictures(
    x: np.ndarray,
    columns: dict[str, pa.Array],
    target: tuple[str, ...],
    name: str,
    *,
    channels_first: bool,
) -> Gathered:
    pixels, broken, notes = _pictures.as_arrays(x, channels_first=channels_first)
    sides = sorted(pixels.shape[2:])
    if x.ndim == 3 and x.dtype.kind == "f" and _SLIM * sides[0] <= sides[1]:
        notes = (
            *notes,
            f"The array was taken for pictures of {pixels.shape[3]} x {pixels.shape[2]} pixels; "
            f"`schema={{'x': 'sequence'}}` reads it as sequences.",
        )
    kept = np.flatnonzero(~broken)
    bad = tuple(Bad("", int(row), "a pixel is not finite") for row in np.flatnonzero(broken))
    table = pa.table(columns)
    if bad:
        pixels, table = pixels[kept], table.take(kept)
    fields: dict[str, Any] = {"pictures": pixels, "row": kept, "bad": bad, "notes": notes}
    return plain(name, table, target=target, **fields)


def _with_table(
    x: np.ndarray,
    names: Sequence[str],
    columns: dict[str, pa.Array],
    target: tuple[str, ...],
    name: str,
) -> Gathered:
    x = x[:, None] if x.ndim == 1 else x
    given = list(names) or [f"x{i}" for i in range(x.shape[1])]
    inputs = {each: column_of(x[:, i]) for i, each in enumerate(given)}
    return plain(name, pa.table({**inputs, **columns}), target=target)


def _numpy(array: Any) -> np.ndarray:
    if isinstance(array, Tensor):
        return array.detach().cpu().numpy()
    try:
        return np.asarray(array)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"The rows of an array differ in shape: {error}.") from error


def _targets(y: np.ndarray) -> tuple[dict[str, pa.Array], tuple[str, ...]]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 1:
        return {TARGET: column_of(y if y.dtype.kind != "O" else y.tolist())}, (TARGET,)
    if y.ndim != 2:
        raise DataError(f"`y` has shape {y.shape}; targets are (rows,) or (rows, width).")
    columns = {f"{TARGET}_{i}": column_of(y[:, i]) for i in range(y.shape[1])}
    return columns, tuple(columns)


def read_rows(rows: Sequence[Any], name: str = "data", *, sequence: bool = False) -> Gathered:
    """Read rows that are pairs of an input and a target.

    Args:
        rows: pairs; the input is a picture (array of two or three axes, PIL image, path), a text, a
            vector, a mapping from column to cell, or a sequence, as in `read_pair` or as the path
            of a WAV file.
        name: for people.
        sequence: as in `read_pair`.

    Raises:
        DataError: if there are no rows, or one is no pair.
    """
    if not len(rows):
        raise DataError("The source has no rows.")
    for place, row in enumerate(rows):
        if not (isinstance(row, (tuple, list)) and len(row) == 2):
            raise DataError(f"Row {place} is no pair (x, y) but {type(row).__name__}.")
    return _read_columns([row[0] for row in rows], [row[1] for row in rows], name, sequence)


def _read_columns(inputs: list[Any], targets: list[Any], name: str, sequence: bool) -> Gathered:
    columns, target = _listed_targets(targets)
    first = inputs[0]
    if isinstance(first, Mapping):
        _check_alike(inputs, (Mapping,), "a mapping from column to cell")
        keys = list(dict.fromkeys(key for each in inputs for key in each))
        cells = {str(key): column_of([each.get(key) for each in inputs]) for key in keys}
        return plain(name, pa.table({**cells, **columns}), target=target)
    if isinstance(first, str):
        _check_alike(inputs, (str, int, float, np.generic, type(None)), "a text")
        table = pa.table({"text": column_of(inputs), **columns})
        return plain(name, table, target=target, text=("text",))
    recorded = isinstance(first, Path) and first.suffix.lower() == ENDING
    if sequence or recorded:
        return plain(name, pa.table(columns), sequences=inputs, target=target)
    if isinstance(first, (np.ndarray, Tensor, list, tuple, int, float)):
        if _unequal_sequences(inputs, sequence):
            return plain(name, pa.table(columns), sequences=inputs, target=target)
        arrays = [_numpy(each) for each in inputs]
        shapes = sorted({each.shape for each in arrays})
        if arrays[0].ndim < 2 and len(shapes) > 1:
            raise DataError(f"The vectors have different shapes: {shapes[:5]}.")
        if arrays[0].ndim < 2:
            return _with_table(np.stack(arrays), (), columns, target, name)
        if len(shapes) == 1:
            first_axis = isinstance(first, Tensor)
            stacked = np.stack(arrays)
            if stacked.ndim == 3 and _no_pictures(stacked):
                notes = _sequence_notes(stacked)
                table = pa.table(columns)
                return plain(name, table, sequences=stacked, target=target, notes=notes)
            return _with_pictures(stacked, columns, target, name, channels_first=first_axis)
    return plain(name, pa.table(columns), pictures=inputs, target=target)


def _check_alike(inputs: list[Any], kinds: tuple[type, ...], what: str) -> None:
    for place, each in enumerate(inputs):
        if not isinstance(each, kinds):
            raise DataError(
                f"Row {place} is {type(each).__name__}, but row 0 {what}; all must be of one kind."
            )


def _listed_targets(targets: list[Any]) -> tuple[dict[str, pa.Array], tuple[str, ...]]:
    plain_targets = [each.tolist() if hasattr(each, "tolist") else each for each in targets]
    if isinstance(plain_targets[0], (list, tuple)):
        if all(isinstance(cell, str) for row in plain_targets for cell in row):
            return {TARGET: pa.array(plain_targets)}, (TARGET,)
        return _targets(_numpy(plain_targets))
    return {TARGET: column_of(plain_targets)}, (TARGET,)


def read_dataset(dataset: Any, name: str, *, sequence: bool = False) -> Gathered:
    """Read a map-style torch data set: `len(dataset)` and `dataset[i]` that gives (x, y).

    Args:
        dataset: the data set; its `classes`, if it has them, name the classes.
        name: for people.
        sequence: as in `read_pair`.

    Raises:
        DataError: if it has no length, or a row is no pair.
    """
    try:
        n = len(dataset)
    except TypeError as error:
        raise DataError(
            f"{type(dataset).__name__} has no length; wanted is a map-style data set. Collect the "
            f"rows of an iterable one into a list of (x, y) first."
        ) from error
    gathered = read_rows([dataset[i] for i in range(n)], name, sequence=sequence)
    classes = getattr(dataset, "classes", None)
    if (
        classes
        and gathered.target == (TARGET,)
        and pa.types.is_integer(gathered.table[TARGET].type)
    ):
        names = tuple(str(each) for each in classes)
        return replace(gathered, classes={TARGET: names}, target_kind="class")
    return gathered


def read_huggingface(dataset: Any, name: str) -> Gathered:
    """Read a Hugging Face `Dataset`: pictures, recordings, class names and texts as it says.

    Args:
        dataset: the data set.
        name: for people.
    """
    kinds = {column: type(feature).__name__ for column, feature in dataset.features.items()}
    table = dataset.with_format("arrow")[:]
    columns, classes, pictures, sequences = {}, {}, None, None
    for column, feature in dataset.features.items():
        if kinds[column] == "Image":
            if pictures is None:
                pictures = [_encoded(cell) for cell in table[column].to_pylist()]
            continue
        inner = getattr(feature, "feature", feature)
        if hasattr(inner, "names"):
            classes[column] = tuple(inner.names)
        if kinds[column] == "Audio":
            if sequences is None:
                sequences = [_encoded(cell) for cell in table[column].to_pylist()]
            continue
        columns[column] = storage(table[column])
    found = [column for column in ("label", "labels", "target") if column in columns]
    target = tuple(found[:1]) or tuple(list(classes)[:1])
    sentences = [c for c, kind in kinds.items() if kind == "Value" and c == "text"]
    return plain(
        name,
        pa.table(columns),
        pictures=pictures,
        sequences=sequences if pictures is None else None,
        target=target,
        classes=classes,
        text=tuple(sentences) if pictures is None and sequences is None else (),
    )


def _encoded(cell: Mapping[str, Any] | None) -> bytes | Path | None:
    if cell is None:
        return None
    return cell["bytes"] if cell.get("bytes") else Path(cell["path"])
