"""Columns that hold sequences: lists of numbers (a channel a column), lists of lists, or steps.

A table whose only inputs are lists of numbers is a set of sequences: each column of lists is a
channel, and one column of lists of lists holds all channels. Beside other inputs lists are left
out, unless `schema=` calls them "sequence". Columns of single numbers that `schema=` calls so are
the steps of one channel, in the order in which it names them.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from netwright.data import _table
from netwright.data._cells import Cells
from netwright.data._errors import DataError, nearest
from netwright.data._gathered import Gathered
from netwright.data._roles import ARRAY, SEQUENCE, TARGET_NAMES, Wish
from netwright.data._schema import Input

__all__ = ["lists_as_sequences", "storage"]


def lists_as_sequences(
    gathered: Gathered, wish: Wish, target: Collection[str], used: Collection[str]
) -> Gathered:
    """Make the columns that hold sequences the input of a source, if it has such an input.

    Args:
        gathered: the source.
        wish: the user's schema.
        target: the target columns, as far as they are named.
        used: columns that are named as group, time, split or for gaps.

    Raises:
        DataError: if columns that are wanted as sequences hold lists in part, or none does, or a
            given schema names others than there are.
    """
    if gathered.sequences is not None:
        named = [n for n, kind in wish.forced.items() if kind == SEQUENCE and n != ARRAY]
        if named:
            raise DataError(
                f"`schema` calls `{named[0]}` a sequence; the sequences of {gathered.name} are its "
                f"arrays or recordings, which `schema` calls `{ARRAY}`."
            )
    if gathered.pictures is not None or gathered.sequences is not None:
        return gathered
    target = target or gathered.target or (wish.given.target.names if wish.given else ())
    target = target or [n for n in gathered.table.column_names if n.lower() in TARGET_NAMES]
    names = _chosen(gathered, wish, {*used, *target})
    if not names:
        return gathered
    table = gathered.table
    lists = [name for name in names if _depth(table[name].type)]
    if lists and len(lists) < len(names):
        raise DataError(
            f"`schema` calls the columns {', '.join(f'`{name}`' for name in names)} sequences; "
            f"only {', '.join(f'`{name}`' for name in lists)} hold lists. Name either columns of "
            f"lists, each a channel, or columns of numbers, each a step."
        )
    deep = [name for name in lists if _depth(table[name].type) > 1]
    if deep and len(names) > 1:
        raise DataError(
            f"The column `{deep[0]}` holds all channels of a sequence; it cannot stand beside "
            f"other sequences ({', '.join(f'`{name}`' for name in names)}). Name one with `schema=`"
            f", for example `{{'{deep[0]}': 'sequence'}}`."
        )
    return replace(
        gathered,
        table=table.drop_columns(list(names)),
        sequences=_from_lists(table, names) if lists else _from_steps(table, names),
        channels=() if deep or not lists else tuple(names),
        sequence_columns=tuple(names),
    )


def _chosen(gathered: Gathered, wish: Wish, used: set[str]) -> Sequence[str]:
    table = gathered.table
    forced = [n for n, kind in wish.forced.items() if kind == SEQUENCE and n not in used]
    if forced:
        return forced if set(forced) <= set(table.column_names) else ()
    free = [name for name in table.column_names if name not in used]
    lists = [name for name in free if _depth(table[name].type) and name not in wish.forced]
    if wish.given is not None:
        return _as_given(gathered.name, table, wish.given.input, lists)
    if not lists or gathered.text:
        return ()
    plan = _table.plan_columns(table, [name for name in free if name not in lists], wish.forced)
    chains = set(plan.chains) & set(wish.forced)  # unasked, they may be identifiers
    return () if plan.columns or plan.text or plan.bad or chains else lists


def _as_given(name: str, table: pa.Table, given: Input, lists: Sequence[str]) -> Sequence[str]:
    if given.kind != SEQUENCE:
        return ()
    columns = given.sequence_columns
    if columns:
        gone = next((column for column in columns if column not in table.column_names), None)
        if gone is not None:
            raise DataError(
                f"`schema` makes sequences of the column `{gone}`, which {name} does not have."
                f"{nearest(gone, table.column_names)}"
            )
        if len(columns) < given.shape[1] and not set(columns) & set(lists):  # too few for steps
            raise DataError(
                f"`schema` makes sequences of the column `{columns[0]}`, which holds no lists of "
                f"numbers in {name}."
            )
        return columns
    if given.channels and set(given.channels) <= set(lists):
        return given.channels
    if not lists:
        raise DataError(
            f"`schema` is for sequences, but no column of {name} holds lists of numbers. Its "
            f"columns are {', '.join(table.column_names)}; if some of them are the steps of one "
            f"channel, name these as `sequence_columns` in the schema's `input`."
        )
    return lists


def _depth(kind: pa.DataType) -> int:
    # How many lists stand around the numbers; 0 for anything else.
    depth = 0
    while _is_list(kind := _plain_type(kind)):
        kind, depth = kind.value_type, depth + 1
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return depth if numeric and depth <= 2 else 0


def _is_list(kind: pa.DataType) -> bool:
    known = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(kind) for check in known)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as what it is stored as: lists, where a library has made a type of its own.

    Args:
        column: of any type.
    """
    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)


def _from_lists(table: pa.Table, names: Sequence[str]) -> list[Any]:
    columns = [list(_cells(storage(table[name]))) for name in names]
    if len(columns) == 1:
        return columns[0]
    # A row with channels of different lengths stays a list, which is found to be no sequence.
    rows = zip(*columns, strict=True)
    return [None if any(channel is None for channel in row) else _together(row) for row in rows]


def _together(row: Sequence[Any]) -> Any:
    equal = len({len(channel) for channel in row}) == 1
    return np.stack(row) if equal else list(row)


def _cells(column: pa.ChunkedArray) -> Iterator[Any]:
    # Each row as an array, without copying the numbers; None where it is missing.
    for chunk in column.chunks:
        chunk = _lists(chunk)
        start = chunk.offsets.to_numpy()
        present = chunk.is_valid().to_numpy(zero_copy_only=False)
        if _is_list(chunk.type.value_type):
            inner = list(_cells(pa.chunked_array([chunk.values])))
            rows = (inner[a:b] for a, b in zip(start[:-1], start[1:], strict=True))
            found: Iterator[Any] = (
                _together(row) if row and all(c is not None for c in row) else row for row in rows
            )
        else:
            flat = chunk.values.to_numpy(zero_copy_only=False)
            found = (flat[a:b] for a, b in zip(start[:-1], start[1:], strict=True))
        yield from (row if here else None for row, here in zip(found, present, strict=True))


def _lists(chunk: Any) -> Any:
    # Lists of a fixed size as such of any size, which alone have offsets.
    if not pa.types.is_fixed_size_list(chunk.type):
        return chunk
    return chunk.cast(pa.list_(chunk.type.value_type))


def _from_steps(table: pa.Table, names: Sequence[str]) -> list[Any]:
    columns = [Cells(table[name]) for name in names]
    rows = np.stack([cells.numbers for cells in columns], axis=1)[:, None]
    unread = np.isnan(rows[:, 0]) & ~np.stack([cells.missing for cells in columns], axis=1)
    items: list[Any] = list(rows)
    for row in np.flatnonzero(unread.any(axis=1)).tolist():
        items[row] = [str(table[name][row].as_py()) for name in names]  # words, and so refused
    return items
