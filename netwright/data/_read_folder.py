"""Read folders: classes of pictures, recordings or texts, these beside a list, tables of splits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from netwright.data._errors import DataError, nearest
from netwright.data._gathered import Bad, Gathered, join
from netwright.data._pictures import ENDINGS
from netwright.data._read_table import TABLES, read_table
from netwright.data._split import SPLITS
from netwright.data._wav import ENDING

__all__ = ["read_folder"]

LISTS = ("metadata.csv", "metadata.jsonl")
FILE_NAME = "file_name"
CLASS = "label"
_BY_FOLDER: dict[str, Any] = {"target_kind": "class", "verbatim": (CLASS,)}


def read_folder(folder: Path, *, memory_limit: int, cache: Path) -> Gathered:
    """Read a folder.

    Read are: a sub-folder for each class, of pictures, of `.wav` or of `.txt` files; a
    `metadata.csv` or `metadata.jsonl` whose column `file_name` names pictures or `.wav` files;
    either of these inside train, validation and test; and tables called train, validation and test.

    Args:
        folder: the folder.
        memory_limit: as in `read_table`.
        cache: as in `read_table`.

    Raises:
        DataError: if the folder is none of these.
    """
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not inside:
        raise DataError(f"The folder {folder} is empty.")
    parts = {SPLITS[p.name.lower()]: p for p in inside if p.is_dir() and p.name.lower() in SPLITS}
    if 0 in parts and _holds_examples(parts[0]):
        return join(folder.name, {i: _read_part(parts[i], folder) for i in sorted(parts)})
    tables = {
        SPLITS[stem]: path
        for path in inside
        if (stem := path.name.split(".")[0].lower()) in SPLITS and _is_table(path)
    }
    if 0 in tables:
        read = {i: read_table(tables[i], memory_limit=memory_limit, cache=cache) for i in tables}
        return join(folder.name, dict(sorted(read.items())))
    return _read_part(folder, folder)


def _is_table(path: Path) -> bool:
    return any(suffix.lower() in TABLES for suffix in path.suffixes)


def _holds_examples(folder: Path) -> bool:
    # A class of pictures may itself be called "train"; a split holds classes or a list.
    return any(path.is_dir() or path.name in LISTS for path in folder.iterdir())


def _read_part(folder: Path, root: Path) -> Gathered:
    for name in LISTS:
        if (folder / name).is_file():
            return _read_list(folder / name, root)
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise DataError(
            f"{folder} has no sub-folder for each class and no {' or '.join(LISTS)}, so nothing "
            f"says what its files show. Put each class into a folder of its own, or add a "
            f"metadata.csv with the columns {FILE_NAME} and {CLASS}."
        )
    files = [(path, place) for place, each in enumerate(classes) for path in _files(each)]
    found = [
        [(path, place) for path, place in files if path.suffix.lower() in endings]
        for endings in (ENDINGS, (ENDING,), (".txt",))
    ]
    pictures, _, texts = found
    chosen = max(found, key=len)
    if not chosen:
        raise DataError(
            f"The class folders of {folder} hold no pictures ({' '.join(ENDINGS)}), no {ENDING} "
            f"and no .txt files."
        )
    notes = []
    if len(chosen) < len(files):
        notes.append(f"{len(files) - len(chosen):,} files with other endings were passed over.")
    empty = [c.name for i, c in enumerate(classes) if i not in {place for _, place in chosen}]
    if empty:
        notes.append(f"Class folders without examples: {', '.join(empty)}.")
    label = pa.array([classes[place].name for _, place in chosen], pa.string())
    paths = [path for path, _ in chosen]
    if chosen is not texts:
        table = pa.table({CLASS: label})
        gathered = _gathered(folder, root, paths, table, paths, (), notes)
        return replace(gathered if chosen is pictures else _heard(gathered), **_BY_FOLDER)
    return _read_texts(folder, root, paths, label, notes)


def _files(folder: Path) -> list[Path]:
    hidden = ("thumbs.db", "desktop.ini")
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in found if not p.name.startswith(".") and p.name.lower() not in hidden)


def _gathered(
    folder: Path,
    root: Path,
    paths: Sequence[Path],
    table: pa.Table,
    pictures: Any,
    bad: tuple[Bad, ...],
    notes: Sequence[str],
    row: np.ndarray | None = None,
) -> Gathered:
    return Gathered(
        folder.name,
        table,
        pictures=pictures,
        target=(CLASS,) if CLASS in table.column_names else (),
        text=("text",) if pictures is None else (),
        row=np.arange(len(paths)) if row is None else row,
        files=tuple(path.relative_to(root).as_posix() for path in paths),
        file=np.arange(len(paths)),
        bad=bad,
        notes=tuple(notes),
    )


def _heard(gathered: Gathered) -> Gathered:
    # What `_gathered` takes for pictures are recordings.
    return replace(gathered, pictures=None, sequences=gathered.pictures)


def _read_texts(
    folder: Path, root: Path, paths: Sequence[Path], label: pa.Array, notes: Sequence[str]
) -> Gathered:
    texts: list[str] = []
    good: list[int] = []
    bad: list[Bad] = []
    for row, path in enumerate(paths):
        try:
            texts.append(path.read_text("utf-8-sig"))
            good.append(row)
        except UnicodeDecodeError as error:
            bad.append(Bad(path.relative_to(root).as_posix(), row, f"not UTF-8 text: {error}"))
    table = pa.table(
        {"text": pa.array(texts, pa.string()), CLASS: label.take(pa.array(good, pa.int64()))}
    )
    kept = [paths[row] for row in good]
    numbers = np.array(good, int)
    gathered = _gathered(folder, root, kept, table, None, tuple(bad), notes, numbers)
    return replace(gathered, **_BY_FOLDER)


def _read_list(path: Path, root: Path) -> Gathered:
    listed = read_table(path, memory_limit=1 << 40, cache=path.parent)
    if FILE_NAME not in listed.table.column_names:
        known = nearest(FILE_NAME, listed.table.column_names)
        raise DataError(f"{path} needs a column `{FILE_NAME}`.{known}")
    names = listed.table[FILE_NAME].to_pylist()
    outside = [name for name in names if name and not _stays_inside(str(name))]
    if outside:
        raise DataError(
            f"{path} names files outside its folder, for example {outside[0]!r}; use paths inside."
        )
    paths = [path.parent / str(name or "") for name in names]
    pictures = [each if name else None for each, name in zip(paths, names, strict=True)]
    table = listed.table.drop_columns([FILE_NAME])
    recorded = sum(each.suffix.lower() == ENDING for each in paths) > len(paths) / 2
    endings, kind = ((ENDING,), "recordings") if recorded else (ENDINGS, "pictures")
    others = {p for p in _files(path.parent) if p.suffix.lower() in endings} - set(paths)
    notes = list(listed.notes)
    if others:
        notes.append(f"{len(others):,} {kind} are not listed in {path.name} and are left out.")
    gathered = _gathered(path.parent, root, paths, table, pictures, listed.bad, notes, listed.row)
    return _heard(gathered) if recorded else gathered


def _stays_inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts
