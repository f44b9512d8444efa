"""Make the inputs of all rows: pictures, tables and texts, in memory or in an Arrow file.

Each function works in two steps. Called, it reads the cells and puts bad rows into quarantine; what
it returns is called with the training rows, fits the schema on them, and codes all rows.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from netwright.data import _pictures, _table, _text
from netwright.data._arrow import ArrowRows, write_rows
from netwright.data._compute import pc
from netwright.data._errors import DataError
from netwright.data._quarantine import Quarantine
from netwright.data._schema import Input

__all__ = ["Finish", "Room", "Stored", "picture_inputs", "table_inputs", "text_inputs"]

_BLOCK = 16_384  # rows of a table coded at a time
_PICTURES = 1024  # pictures decoded at a time
_BLANK = " "


@dataclass(frozen=True, slots=True)
class Room:
    """Where rows may be kept.

    Attributes:
        limit: bytes of memory; more go to a file.
        file: that file; each load has one of its own, which gets its final name at the end.
    """

    limit: int
    file: Path

    @classmethod
    def inside(cls, folder: Path, limit: int) -> "Room":
        """Choose a file of a folder.

        Args:
            folder: the folder; made when the file is written.
            limit: bytes of memory.
        """
        return cls(limit, folder / f"rows-{uuid.uuid4().hex}.arrow")

    def keep(
        self, blocks: Iterator[np.ndarray], n: int, shape: tuple[int, ...], dtype: np.dtype
    ) -> "np.ndarray | ArrowRows":
        """Keep rows in memory if they fit, else in a file.

        Args:
            blocks: consecutive rows.
            n: how many rows there are.
            shape: of a row.
            dtype: of its numbers.
        """
        if n * int(np.prod(shape)) * dtype.itemsize > self.limit:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            return write_rows(self.file, blocks, shape, dtype)
        rows = np.empty((n, *shape), dtype)
        start = 0
        for block in blocks:
            rows[start : start + len(block)] = block
            start += len(block)
        return rows

    def keep_array(self, rows: np.ndarray) -> "np.ndarray | ArrowRows":
        """Keep rows that are in memory already where they are, if they fit there.

        Args:
            rows: all rows.
        """
        if rows.nbytes <= self.limit:
            return rows
        blocks = (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
        return self.keep(blocks, len(rows), rows.shape[1:], rows.dtype)


@dataclass(frozen=True, eq=False)
class Stored:
    """The inputs of all rows of a source, those in quarantine included (they hold anything).

    Attributes:
        x: as `TensorSplit.x`.
        inputs: the schema of the input.
        notes: what a reader must know.
        corpus: whole texts, for inputs that are texts.
    """

    x: np.ndarray | ArrowRows
    inputs: Input
    notes: tuple[str, ...]
    corpus: _text.Corpus | None = None


Finish = Callable[[np.ndarray], Stored]


def picture_inputs(items: Any, given: Input | None, quarantine: Quarantine, room: Room) -> Finish:
    """Decode pictures into one shape.

    Args:
        items: as `Gathered.pictures`.
        given: a schema whose shape and statistics are to be used.
        quarantine: takes the pictures that cannot be decoded.
        room: where the pixels are kept.
    """
    notes: list[str] = []
    if isinstance(items, np.ndarray):
        shape = given.shape if given else _pictures.common_shape(_headers_of(items))
        if items.shape[1:] == shape:
            kept = room.keep_array(items)
            return lambda train: _finish_pictures(kept, given, shape, False, notes, train)
        items = list(items.transpose(0, 2, 3, 1))
    found = _pictures.headers(items)
    trouble = {i: header.trouble for i, header in enumerate(found) if header.trouble}
    _quarantine_some(quarantine, trouble)
    quarantine.check()
    sound = [header for header in found if not header.trouble]
    shape = given.shape if given else _pictures.common_shape(sound)
    notes += _picture_notes(sound, shape)
    resized = any((header.height, header.width) != shape[1:] for header in sound)
    x = room.keep(_decoded(items, shape, quarantine), len(items), shape, np.dtype(np.uint8))
    return lambda train: _finish_pictures(x, given, shape, resized, notes, train)


def _headers_of(pixels: np.ndarray) -> list[_pictures.Header]:
    return [_pictures.Header(pixels.shape[2], pixels.shape[3], pixels.shape[1] == 3)]


def _quarantine_some(quarantine: Quarantine, reasons: dict[int, str]) -> None:
    if reasons:
        bad = np.zeros(len(quarantine.good), bool)
        bad[list(reasons)] = True
        quarantine.add(bad, reasons)


def _decoded(items: Any, shape: tuple[int, ...], quarantine: Quarantine) -> Iterator[np.ndarray]:
    for start in range(0, len(items), _PICTURES):
        places = range(start, min(len(items), start + _PICTURES))
        sound = [i for i in places if quarantine.good[i]]
        pixels = _pictures.in_threads(lambda i: _pictures.decode(items[i], shape), sound)
        block = np.zeros((len(places), *shape), np.uint8)
        broken = {}
        for i, found in zip(sound, pixels, strict=True):
            if isinstance(found, str):
                broken[i] = found
            else:
                block[i - start] = found
        _quarantine_some(quarantine, broken)
        yield block


def _picture_notes(sound: list[_pictures.Header], shape: tuple[int, ...]) -> list[str]:
    sizes = {(header.height, header.width) for header in sound}
    notes = []
    if sizes != {tuple(shape[1:])}:
        what = "one size" if len(sizes) == 1 else f"{len(sizes):,} sizes"
        height, width = sorted(sizes)[0] if len(sizes) == 1 else (0, 0)
        from_size = f" ({width} x {height} pixels)" if height else ""
        notes.append(
            f"Pictures of {what}{from_size} were brought to {shape[2]} x {shape[1]} pixels."
        )
    deep = sum(header.deep for header in sound)
    if deep:
        notes.append(f"{deep:,} pictures of more than eight bits were reduced to eight.")
    moving = sum(header.frames > 1 for header in sound)
    if moving:
        notes.append(f"{moving:,} files have several frames; the first counts.")
    return notes


def _finish_pictures(
    x: np.ndarray | ArrowRows,
    given: Input | None,
    shape: tuple[int, ...],
    resized: bool,
    notes: list[str],
    train: np.ndarray,
) -> Stored:
    inputs = given or Input("image", tuple(shape), resized=resized)
    if not inputs.mean:
        mean, std = _statistics(x, np.flatnonzero(train))
        inputs = replace(inputs, mean=mean, std=std)
    return Stored(x, inputs, tuple(notes))


def _statistics(
    x: np.ndarray | ArrowRows, rows: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    total = square = np.zeros(1, np.uint64)
    pixels = 0
    for start in range(0, len(rows), 4096):
        block = x[rows[start : start + 4096]]
        total = total + block.sum(axis=(0, 2, 3), dtype=np.uint64)
        square = square + np.square(block, dtype=np.uint16).sum(axis=(0, 2, 3), dtype=np.uint64)
        pixels += block[:, 0].size
    mean = total / pixels / 255
    variance = np.maximum(square / pixels / 255**2 - mean**2, 0)
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())


def table_inputs(
    table: pa.Table, plan: _table.Plan, given: Input | None, quarantine: Quarantine, room: Room
) -> Finish:
    """Code the columns of a table.

    Args:
        table: all rows.
        plan: which columns, as what.
        given: a schema whose columns are to be used.
        quarantine: takes rows with cells that do not fit their column.
        room: where the rows are kept.
    """
    for name, (bad, why) in plan.bad.items():
        cells = table[name].filter(pa.array(bad)).to_pylist()
        places = np.flatnonzero(bad).tolist()
        reasons = {
            i: f"column `{name}` {why}: {_shown(cell)}"
            for i, cell in zip(places, cells, strict=True)
        }
        quarantine.add(bad, reasons)
    quarantine.check()

    def finish(train: np.ndarray) -> Stored:
        columns, notes = _table.fit_columns(table, plan.columns, train)
        if not columns:
            left = " ".join((*plan.notes, *notes))
            raise DataError(f"No input column is left. {left}")
        slices = (table.slice(start, _BLOCK) for start in range(0, table.num_rows, _BLOCK))
        coded = (_table.code_rows(part, columns) for part in slices)
        shape = (len(columns),)
        x = room.keep(coded, table.num_rows, shape, np.dtype(np.float32))
        inputs = replace(given, columns=columns, shape=shape) if given else None
        inputs = inputs or Input("table", shape, columns=columns)
        return Stored(x, inputs, (*plan.notes, *notes))

    return finish


def _shown(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else text[:57] + "..."


def text_inputs(
    table: pa.Table,
    columns: tuple[str, ...],
    given: Input | None,
    quarantine: Quarantine,
    room: Room,
    wanted: Literal["words", "characters"] | None = None,
) -> Finish:
    """Code texts as token numbers.

    Args:
        table: all rows.
        columns: joined, with a blank, into one text.
        given: a schema whose vocabulary is to be used.
        quarantine: takes rows without text.
        room: where the rows are kept.
        wanted: what the texts are cut into; None lets a given schema say so, or the texts
            themselves.
    """
    parts = [_table.words(table[name]) for name in columns]
    joined = parts[0]
    if len(parts) > 1:
        joined = pc.binary_join_element_wise(*parts, " ", null_handling="skip")
    inputs, why = _uncounted(parts, columns, given, wanted)
    corpus = _text.number_tokens(joined.to_pylist(), _text.cutter(inputs))
    lengths = np.diff(corpus.start)
    quarantine.add(lengths == 0, "the text is empty")
    quarantine.check()

    def finish(train: np.ndarray) -> Stored:
        fitted = inputs
        if given is None or not given.vocabulary:
            longest = _text.LENGTH if inputs.tokens == "words" else _text.CHARACTERS
            vocabulary, length = _text.fit_vocabulary(corpus, train, longest=longest)
            if _text.counts_blanks(inputs.vocabulary) and not _text.counts_blanks(vocabulary):
                vocabulary = (*vocabulary, _BLANK)  # no training row has one; others may
            fitted = replace(inputs, shape=(length,), vocabulary=vocabulary)
        length = fitted.shape[0]
        cut = int((lengths > length).sum())
        unit = "tokens" if inputs.tokens == "words" else "characters"
        notes = (*why, *((f"{cut:,} texts were cut to {length} {unit}.",) if cut else ()))
        coded = (
            _text.pad(corpus, fitted.vocabulary, length, slice(start, start + _BLOCK))
            for start in range(0, len(corpus), _BLOCK)
        )
        x = room.keep(coded, len(corpus), (length,), np.dtype(np.int64))
        return Stored(x, fitted, notes, corpus)

    return finish


def _uncounted(
    parts: list[pa.ChunkedArray],
    columns: tuple[str, ...],
    given: Input | None,
    wanted: Literal["words", "characters"] | None,
) -> tuple[Input, tuple[str, ...]]:
    # The schema as far as it is known before rows are counted, and what to say about it. Blanks
    # count where they are common, or tell several columns apart.
    if given is not None and given.vocabulary:
        return given, ()
    plain = all(_text.has_no_words(part.to_pylist()) for part in parts)
    tokens = given.tokens if given else wanted or ("characters" if plain else "words")
    blanks = tokens == "characters" and not (plain and len(parts) == 1)
    inputs = replace(
        given or Input("text", ()),
        text_columns=columns,
        tokens=tokens,
        vocabulary=(_BLANK,) if blanks else (),
    )
    if tokens == "words":
        return inputs, ()
    shown = ", ".join(f"`{name}`" for name in columns)
    note = f"The text ({shown}) is cut into characters, "
    if wanted or given is not None:
        return inputs, (note + "as `schema` says.",)
    words = f'`schema={{"{columns[0]}": "text"}}` would cut it into words.'
    return inputs, (f"{note}since it holds hardly any blanks; {words}",)
