"""Read what is in memory already: arrays, pairs, rows, torch and Hugging Face data sets, `.npz`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from netwright.data import _pictures
from netwright.data._errors import DataError
from netwright.data._gathered import Bad, Gathered, join, plain
from netwright.data._read_table import column_of

__all__ = ["read_dataset", "read_huggingface", "read_npz", "read_pair", "read_rows"]

TARGET = "target"
_INPUTS = ("x", "X", "images", "data", "features", "inputs")
_TARGETS = ("y", "Y", "labels", "label", "target", "targets")
_PARTS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 3}


def read_npz(path: Path) -> Gathered:
    """Read named arrays.

    Args:
        path: a `.npz` file with `x` and `y` (or images and labels, data and target, ...), or these
            for each split: `x_train`, `train_images`, `x_test`, ...

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
        parts = {i: read_pair(*(arrays[n] for n in found[i]), name=path.stem) for i in found}
        return join(path.stem, dict(sorted(parts.items())))
    pair = _pair_names(arrays, "")
    if pair is None:
        raise DataError(
            f"{path} holds {', '.join(arrays) or 'nothing'}; wanted are arrays called x and y (or "
            f"images and labels, data and target), or x_train, y_train, x_test, y_test."
        )
    return read_pair(arrays[pair[0]], arrays[pair[1]], name=path.stem)


def _pair_names(arrays: Mapping[str, Any], split: str) -> tuple[str, str] | None:
    def first(stems: Sequence[str]) -> str | None:
        tried = [n for s in stems for n in ((f"{s}_{split}", f"{split}_{s}") if split else (s,))]
        return next((name for name in tried if name in arrays), None)

    x, y = first(_INPUTS), first(_TARGETS)
    return (x, y) if x is not None and y is not None else None


def read_pair(x: Any, y: Any, *, name: str = "data", names: Sequence[str] = ()) -> Gathered:
    """Read inputs and targets that lie row by row in two arrays.

    Args:
        x: (rows, columns) for a table; three or four axes for pictures; one axis for a table of one
            column, or texts if it holds strings.
        y: (rows,), or (rows, width): labels if all are 0 and 1, else values.
        name: for people.
        names: names of a table's columns; x0, x1, ... if empty.

    Raises:
        DataError: if the lengths differ or the axes make no sense.
    """
    channels_first = isinstance(x, Tensor)
    x, y = _numpy(x), _numpy(y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise DataError(f"`x` has shape {x.shape} and `y` {y.shape}; they must have equal lengths.")
    if not len(x):
        raise DataError("The arrays have no rows.")
    columns, target = _targets(y)
    if x.ndim > 2:
        return _with_pictures(x, columns, target, name, channels_first=channels_first)
    if x.ndim == 1 and x.dtype.kind in "UO":
        table = pa.table({"text": column_of(x.tolist()), **columns})
        return plain(name, table, target=target, text=("text",))
    return _with_table(x, names, columns, target, name)


def _with_pictures(
    x: np.ndarray,
    columns: dict[str, pa.Array],
    target: tuple[str, ...],
    name: str,
    *,
    channels_first: bool,
) -> Gathered:
    pixels, broken, notes = _pictures.as_arrays(x, channels_first=channels_first)
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


def read_rows(rows: Sequence[Any], name: str = "data") -> Gathered:
    """Read rows that are pairs of an input and a target.

    Args:
        rows: pairs; the input is a picture (array of two or three axes, PIL image, path), a text, a
            vector, or a mapping from column to cell.
        name: for people.

    Raises:
        DataError: if there are no rows, or one is no pair.
    """
    if not len(rows):
        raise DataError("The source has no rows.")
    for place, row in enumerate(rows):
        if not (isinstance(row, (tuple, list)) and len(row) == 2):
            raise DataError(f"Row {place} is no pair (x, y) but {type(row).__name__}.")
    return _read_columns([row[0] for row in rows], [row[1] for row in rows], name)


def _read_columns(inputs: list[Any], targets: list[Any], name: str) -> Gathered:
    columns, target = _listed_targets(targets)
    first = inputs[0]
    if isinstance(first, Mapping):
        keys = list(dict.fromkeys(key for each in inputs for key in each))
        cells = {str(key): column_of([each.get(key) for each in inputs]) for key in keys}
        return plain(name, pa.table({**cells, **columns}), target=target)
    if isinstance(first, str):
        table = pa.table({"text": column_of(inputs), **columns})
        return plain(name, table, target=target, text=("text",))
    if isinstance(first, (np.ndarray, Tensor, list, tuple, int, float)):
        arrays = [_numpy(each) for each in inputs]
        shapes = sorted({each.shape for each in arrays})
        if arrays[0].ndim < 2 and len(shapes) > 1:
            raise DataError(f"The vectors have different shapes: {shapes[:5]}.")
        if arrays[0].ndim < 2:
            return _with_table(np.stack(arrays), (), columns, target, name)
        if len(shapes) == 1:
            first_axis = isinstance(first, Tensor)
            stacked = np.stack(arrays)
            return _with_pictures(stacked, columns, target, name, channels_first=first_axis)
    return plain(name, pa.table(columns), pictures=inputs, target=target)


def _listed_targets(targets: list[Any]) -> tuple[dict[str, pa.Array], tuple[str, ...]]:
    plain_targets = [each.tolist() if hasattr(each, "tolist") else each for each in targets]
    if isinstance(plain_targets[0], (list, tuple)):
        if all(isinstance(cell, str) for row in plain_targets for cell in row):
            return {TARGET: pa.array(plain_targets)}, (TARGET,)
        return _targets(_numpy(plain_targets))
    return {TARGET: column_of(plain_targets)}, (TARGET,)


def read_dataset(dataset: Any, name: str) -> Gathered:
    """Read a map-style torch data set: `len(dataset)` and `dataset[i]` that gives (x, y).

    Args:
        dataset: the data set; its `classes`, if it has them, name the classes.
        name: for people.

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
    gathered = read_rows([dataset[i] for i in range(n)], name)
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
    """Read a Hugging Face `Dataset`: pictures, class names and texts as its features say.

    Args:
        dataset: the data set.
        name: for people.
    """
    kinds = {column: type(feature).__name__ for column, feature in dataset.features.items()}
    table = dataset.with_format("arrow")[:]
    columns, classes, pictures = {}, {}, None
    for column, feature in dataset.features.items():
        if kinds[column] == "Image":
            if pictures is None:
                pictures = [_encoded(cell) for cell in table[column].to_pylist()]
            continue
        inner = getattr(feature, "feature", feature)
        if hasattr(inner, "names"):
            classes[column] = tuple(inner.names)
        columns[column] = table[column]
    found = [column for column in ("label", "labels", "target") if column in columns]
    target = tuple(found[:1]) or tuple(list(classes)[:1])
    sentences = [c for c, kind in kinds.items() if kind == "Value" and c == "text"]
    return plain(
        name,
        pa.table(columns),
        pictures=pictures,
        target=target,
        classes=classes,
        text=tuple(sentences) if pictures is None else (),
    )


def _encoded(cell: Mapping[str, Any] | None) -> bytes | Path | None:
    if cell is None:
        return None
    return cell["bytes"] if cell.get("bytes") else Path(cell["path"])
