"""Find out what a source is, and read it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch.utils.data

from netwright.data._errors import DataError, nearest
from netwright.data._gathered import Gathered, join, plain
from netwright.data._named import NAMED, read_named
from netwright.data._read_arrays import (
    read_dataset,
    read_huggingface,
    read_npz,
    read_pair,
    read_rows,
)
from netwright.data._read_folder import read_folder
from netwright.data._read_table import TABLES, read_frame, read_table
from netwright.data._split import SPLITS

__all__ = ["read_source"]


def read_source(source: Any, *, memory_limit: int, cache: Path, sequence: bool = False) -> Gathered:
    """Read a source of any kind.

    Args:
        source: as `load` takes it.
        memory_limit: bytes; larger tables are memory-mapped.
        cache: folder for the mapped copies.
        sequence: whether arrays hold sequences, whatever their numbers.

    Raises:
        DataError: if there is no such file, folder or name, or nothing can be read from it.
        TypeError: if it is nothing that can be a source.
    """
    if isinstance(source, str) and source in NAMED:
        return read_named(source)
    if isinstance(source, (str, Path)):
        return _read_path(source, memory_limit, cache, sequence)
    if isinstance(source, Mapping):
        return _read_splits(source, memory_limit, cache, sequence)
    family = type(source).__module__.partition(".")[0]
    if family == "pandas":
        return read_frame(source)
    if family == "datasets" and hasattr(source, "features"):
        return read_huggingface(source, "data")
    if isinstance(source, pa.Table):
        return plain("data", source.replace_schema_metadata())
    if isinstance(source, tuple) and len(source) == 2:
        return read_pair(*source, sequence=sequence)
    if isinstance(source, (list, np.ndarray)):
        return read_rows(list(source), sequence=sequence)
    if isinstance(source, torch.utils.data.Dataset) or hasattr(source, "__getitem__"):
        return read_dataset(source, type(source).__name__, sequence=sequence)
    raise TypeError(
        f"`source` must be a path, a name, a data frame or Arrow table, a pair (x, y), a list of "
        f"pairs or a data set; got {type(source).__name__}."
    )


def _read_path(source: str | Path, memory_limit: int, cache: Path, sequence: bool) -> Gathered:
    path = Path(source).expanduser()
    if path.is_dir():
        return read_folder(path, memory_limit=memory_limit, cache=cache)
    if not path.is_file():
        if isinstance(source, str) and path.name == source and not path.suffix:
            raise DataError(
                f"No file or folder is called {source!r}, and no data set.{nearest(source, NAMED)}"
            )
        raise DataError(f"There is no file or folder {path}.")
    endings = [suffix.lower() for suffix in path.suffixes]
    if endings and endings[-1] == ".npz":
        return read_npz(path, sequence=sequence)
    if any(ending in TABLES for ending in endings):
        return read_table(path, memory_limit=memory_limit, cache=cache)
    raise DataError(
        f"{path} ends in none of {' '.join((*TABLES, '.npz'))} (.gz may follow), so its form is "
        f"unknown."
    )


def _read_splits(source: Mapping, memory_limit: int, cache: Path, sequence: bool) -> Gathered:
    unknown = [name for name in source if str(name).lower() not in SPLITS]
    if unknown or not source:
        raise DataError(
            f"A mapping names the splits of a source, and has `train`; got "
            f"{', '.join(map(repr, source)) or 'nothing'}. A table is a pandas data frame."
        )
    options: dict[str, Any] = {"memory_limit": memory_limit, "cache": cache, "sequence": sequence}
    parts = {
        SPLITS[str(name).lower()]: read_source(part, **options) for name, part in source.items()
    }
    return join("data", dict(sorted(parts.items())))
