"""What a reader hands over: rows as the source holds them, before anything is inferred."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from netwright.data._errors import DataError
from netwright.data._schema import TargetKind

__all__ = ["Bad", "Gathered", "join", "plain"]


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that cannot be used.

    Attributes:
        file: where it stands, relative to the source.
        row: its number in the source, from 0.
        reason: why it cannot be used.
    """

    file: str
    row: int
    reason: str


@dataclass(frozen=True, eq=False)
class Gathered:
    """Rows as a source holds them.

    Attributes:
        name: for people.
        table: one row an example; targets, groups and, for tables and texts, the inputs.
        pictures: the images: uint8 (n, channels, height, width), or one path, array, PIL image or
            encoded bytes a row; None when the input is a table or a text.
        sequences: the sequences: numbers (n, channels, steps), or one array (channels, steps) a
            row, None where it is missing; None when the input is no sequence.
        channels: names of the sequences' channels; empty if they have none.
        sequence_columns: columns of the table that the sequences were, as `Input` has them.
        rate: steps of the sequences a second; 0 if the source does not say.
        target: columns that the source itself calls its target.
        target_kind: what the source says its target is; None leaves it to inference.
        verbatim: columns whose words are taken as they are, blanks and "NA" included.
        text: columns that the source itself calls its text.
        classes: for target columns coded from 0, the names of the codes.
        official: for each row the place of its split in `_split.NAMES`, -1 where the source names
            none; None when it has no splits.
        row: number of each row in the source, int64 (n,); rows in `bad` have numbers too.
        files: names of the files the rows come from.
        file: for each row the place of its file in `files`.
        bad: rows that could not be read.
        notes: what a reader must know, one sentence each.
    """

    name: str
    table: pa.Table
    pictures: np.ndarray | Sequence[Any] | None = None
    sequences: np.ndarray | Sequence[Any] | None = None
    channels: tuple[str, ...] = ()
    sequence_columns: tuple[str, ...] = ()
    rate: float = 0.0
    target: tuple[str, ...] = ()
    target_kind: TargetKind | None = None
    verbatim: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    official: np.ndarray | None = None
    row: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    files: tuple[str, ...] = ("",)
    file: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    bad: tuple[Bad, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.table.num_rows


def plain(name: str, table: pa.Table, file: str = "", **others: Any) -> Gathered:
    """Gather rows that come from one place, all of them readable.

    Args:
        name: for people.
        table: one row an example.
        file: the place.
        others: further fields of `Gathered`.
    """
    n = table.num_rows
    given: dict[str, Any] = {"row": np.arange(n), "file": np.zeros(n, np.int64), "files": (file,)}
    return Gathered(name, table, **{**given, **others})


def join(name: str, parts: Mapping[int, Gathered]) -> Gathered:
    """Put the splits of a source together, one below the other.

    Args:
        name: for people.
        parts: what was gathered for each split, by the split's place in `_split.NAMES`.

    Raises:
        DataError: if the parts have different columns, or only some of them pictures.
    """
    gathered = list(parts.values())
    first = gathered[0]
    for other in gathered[1:]:
        missing = set(first.table.column_names) ^ set(other.table.column_names)
        if missing:
            raise DataError(
                f"The splits of {name} have different columns: {', '.join(sorted(missing))} "
                f"is not in both {first.files[0]} and {other.files[0]}."
            )
        if (other.pictures is None) != (first.pictures is None):
            raise DataError(f"Only some of the splits of {name} hold images.")
        if (other.sequences is None) != (first.sequences is None):
            raise DataError(
                f"Only some of the splits of {name} hold sequences. If all do, say "
                f"`schema={{'x': 'sequence'}}`."
            )
    start = np.cumsum([0, *(len(each) + len(each.bad) for each in gathered)])
    file_start = np.cumsum([0, *(len(each.files) for each in gathered)])
    bad = tuple(
        Bad(row.file, row.row + int(start[i]), row.reason)
        for i, each in enumerate(gathered)
        for row in each.bad
    )
    return Gathered(
        name=name,
        table=_stack([each.table for each in gathered]),
        pictures=_stack_arrays([each.pictures for each in gathered]),
        sequences=_stack_arrays([each.sequences for each in gathered]),
        channels=first.channels,
        sequence_columns=first.sequence_columns,
        rate=first.rate,
        target=first.target,
        target_kind=first.target_kind,
        verbatim=first.verbatim,
        text=first.text,
        classes=first.classes,
        official=np.concatenate(
            [np.full(len(each), place, np.int8) for place, each in parts.items()]
        ),
        row=np.concatenate([each.row + start[i] for i, each in enumerate(gathered)]),
        files=tuple(file for each in gathered for file in each.files),
        file=np.concatenate([each.file + file_start[i] for i, each in enumerate(gathered)]),
        bad=bad,
        notes=tuple(dict.fromkeys(note for each in gathered for note in each.notes)),
    )


def _stack(tables: list[pa.Table]) -> pa.Table:
    names = tables[0].column_names
    tables = [table.select(names) for table in tables]
    for name in names:  # a column of ints in one file and of floats or words in another
        types = {table.schema.field(name).type for table in tables}
        if len(types) > 1:
            numeric = all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in types)
            common = pa.float64() if numeric else pa.string()
            place = names.index(name)
            tables = [t.set_column(place, name, t[name].cast(common)) for t in tables]
    return pa.concat_tables(tables)


def _stack_arrays(parts: list[Any]) -> Any:
    if parts[0] is None:
        return None
    if all(isinstance(part, np.ndarray) for part in parts):
        if len({part.shape[1:] for part in parts}) == 1:
            return np.concatenate(parts)
    return [item for part in parts for item in part]
