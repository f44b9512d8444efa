"""Read tables: CSV, TSV, JSON lines, Parquet files and data frames.

Words are kept as words here; what they mean is inferred later, from whole columns. A file that
would take more than the memory limit is copied block by block into a memory-mapped Arrow file.
"""

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as pa_csv
from pyarrow import parquet as pa_parquet

from netwright.data._errors import DataError
from netwright.data._gathered import Bad, Gathered, plain

__all__ = ["TABLES", "column_of", "read_frame", "read_records", "read_table"]

TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
_BLOCK = 1 << 23  # bytes read at a time; no row may be longer
_PACKED = 6  # bytes of text that a byte of a compressed file may become
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def read_table(path: Path, *, memory_limit: int, cache: Path) -> Gathered:
    """Read a table file, by its ending; `.gz` and other compressed endings of text are read too.

    Args:
        path: the file.
        memory_limit: bytes; a larger table is memory-mapped.
        cache: folder for the mapped copy of a larger table.

    Raises:
        DataError: if the file is empty, is not UTF-8, or has no such table.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes).")
    endings = [suffix.lower() for suffix in path.suffixes]
    if ".parquet" in endings:
        gathered = _read_parquet(path, memory_limit, cache)
    elif ".jsonl" in endings or ".ndjson" in endings:
        gathered = _read_json_lines(path)
    else:
        gathered = _read_csv(path, memory_limit, cache, tab=".tsv" in endings)
    if not len(gathered) and not gathered.bad:
        raise DataError(f"{path} has a header but no rows.")
    return gathered


def _read_csv(path: Path, memory_limit: int, cache: Path, *, tab: bool) -> Gathered:
    try:
        separator, names = _header(path, tab)
        troubles: list[tuple[int, str]] = []

        def skip(row: Any) -> str:
            reason = f"{row.actual_columns} columns; the header has {row.expected_columns}"
            troubles.append((row.number - 2, reason))  # from 1, and the header is the first
            return "skip"

        options: dict[str, Any] = {
            "read_options": pa_csv.ReadOptions(
                use_threads=False,  # rows then have numbers
                block_size=_BLOCK,
            ),
            "parse_options": pa_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=skip
            ),
            "convert_options": pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        }
        packed = 1 if path.suffix.lower() in TABLES else _PACKED
        if packed * path.stat().st_size > memory_limit:
            with pa_csv.open_csv(path, **options) as reader:
                table = _mapped(reader.schema, reader, cache)
        else:
            table = pa_csv.read_csv(path, **options)
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(path, str(error))) from error
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise DataError(_not_utf8(path, str(error))) from error
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    except (csv.Error, OSError) as error:  # a cell without end, a broken compressed file
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    n = table.num_rows + len(troubles)
    good = np.setdiff1d(np.arange(n), [row for row, _ in troubles], assume_unique=True)
    bad = tuple(Bad(path.name, row, reason) for row, reason in troubles)
    return plain(path.stem.split(".")[0], table, path.name, row=good, bad=bad)


def _not_utf8(path: Path, detail: str) -> str:
    return f"{path} is not UTF-8 text ({detail}). Save it as UTF-8, or read it with pandas first."


def _header(path: Path, tab: bool) -> tuple[str, list[str]]:
    with pa.input_stream(str(path), compression="detect") as stream:
        text = io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", newline="")
        first = text.readline()
        counts = {each: first.count(each) for each in _SEPARATORS}
        separator = "\t" if tab else max(counts, key=lambda each: counts[each])
        # The header itself may hold line breaks inside quotes.
        lines = (line for source in ([first], text) for line in source)
        names = next(csv.reader(lines, delimiter=separator), [])
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(f"{path} has several columns called {', '.join(sorted(twice))}.")
    if not names:
        raise DataError(f"{path} has no header: its first line is empty.")
    return separator, names


def _mapped(schema: pa.Schema, batches: Any, cache: Path) -> pa.Table:
    # The file is unlinked as soon as it is mapped: the pages live as long as the table does.
    cache.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(".arrow", "table-", cache)
    os.close(handle)
    try:
        with pa.OSFile(name, "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        with pa.memory_map(name) as file:
            return pa.ipc.open_file(file).read_all()
    finally:
        os.unlink(name)


def _read_parquet(path: Path, memory_limit: int, cache: Path) -> Gathered:
    try:
        with pa_parquet.ParquetFile(path) as file:
            sizes = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
            if sum(group.total_byte_size for group in sizes) > memory_limit:
                table = _mapped(file.schema_arrow, file.iter_batches(), cache)
            else:
                table = file.read()
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    return plain(path.stem, table.replace_schema_metadata(), path.name)


def _read_json_lines(path: Path) -> Gathered:
    records, good, bad = [], [], []
    with pa.input_stream(str(path), compression="detect") as stream:
        text = io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig")
        try:
            lines = (line for line in text if line.strip())
            for row, line in enumerate(lines):
                record = _record(line)
                if isinstance(record, dict):
                    records.append(record)
                    good.append(row)
                else:
                    bad.append(Bad(path.name, row, record))
        except UnicodeDecodeError as error:
            raise DataError(_not_utf8(path, str(error))) from error
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}") from error
    name = path.stem.split(".")[0]
    return read_records(name, records, file=path.name, row=np.array(good, int), bad=tuple(bad))


def _record(line: str) -> dict | str:
    try:
        record = json.loads(line)
        if "\\ud" in line.lower():  # half of a pair of escapes is no text
            json.dumps(record, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    return record if isinstance(record, dict) else f"no JSON object: {line.strip()[:40]}"


def read_records(name: str, records: Sequence[Mapping], **others: Any) -> Gathered:
    """Read rows that are mappings from column to value.

    Args:
        name: for people.
        records: the rows; a column that a row lacks is missing there.
        others: as `plain` takes them.
    """
    names = list(dict.fromkeys(key for record in records for key in record))
    columns = {str(key): column_of([record.get(key) for record in records]) for key in names}
    return plain(name, pa.table(columns), **others)


def column_of(values: Sequence[Any] | np.ndarray) -> pa.Array:
    """Make a column of Python values; where they are of mixed types, of their words.

    Args:
        values: the cells; None is missing. Arrays become lists.
    """
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        if any(isinstance(value, np.ndarray) for value in values):  # of several axes
            return column_of([v.tolist() if isinstance(v, np.ndarray) else v for v in values])
        return pa.array([None if _gone(value) else str(value) for value in values], pa.string())


def _gone(value: Any) -> bool:
    return value is None or value != value  # NaN and NaT alone differ from themselves


def read_frame(frame: Any, name: str = "data") -> Gathered:
    """Read a pandas data frame; its index is not a column.

    Args:
        frame: the data frame.
        name: for people.

    Raises:
        DataError: if it has no rows, or two columns of one name.
    """
    names = [str(column) for column in frame.columns]
    twice = {each for each in names if names.count(each) > 1}
    if twice:
        raise DataError(f"The data frame has several columns called {', '.join(sorted(twice))}.")
    if not len(frame):
        raise DataError("The data frame has no rows.")
    cells: Iterator[pa.Array] = (_frame_column(frame.iloc[:, i]) for i in range(len(names)))
    return plain(name, pa.table(dict(zip(names, cells, strict=True))))


def _frame_column(series: Any) -> pa.Array:
    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # objects of mixed types
        return column_of(list(series))
