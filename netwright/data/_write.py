"""Write down a task: what it is, and which row is in which split."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet as pa_parquet

from netwright import _files
from netwright.data._split import NAMES
from netwright.data._task import Task

__all__ = ["write_split"]


def write_split(task: Task, folder: Path) -> tuple[Path, Path]:
    """Write `split.parquet` (row, split) and `task.json`.

    The test split is not opened: the file holds row numbers, not rows.

    Args:
        task: the task.
        folder: where to write; it must exist.

    Returns:
        The two paths.
    """
    splits = (task.train, task.validation, task.calibration, task.test)
    rows = [split.rows.numpy() for split in splits]
    names = np.repeat(np.arange(4), [len(each) for each in rows])
    order = np.argsort(np.concatenate(rows), kind="stable")
    named = pa.DictionaryArray.from_arrays(pa.array(names[order], pa.int8()), pa.array(NAMES))
    table = pa.table({"row": np.concatenate(rows)[order], "split": named})
    buffer = io.BytesIO()
    pa_parquet.write_table(table, buffer)
    parquet = Path(folder) / "split.parquet"
    _files.write_atomically(parquet, buffer.getvalue())
    content = {
        "name": task.name,
        "fingerprint": task.fingerprint,
        "rows": {name: len(split) for name, split in zip(NAMES, splits, strict=True)},
        "quarantined": len(task.quarantine.rows),
        "duplicates": dataclasses.asdict(task.duplicates),
        "notes": task.notes,
        "schema": dataclasses.asdict(task.schema),
    }
    path = Path(folder) / "task.json"
    _files.write_atomically(path, json.dumps(content, ensure_ascii=False, indent=1))
    return parquet, path
