"""Readers of the named data sets of sequences."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from netwright.data._gathered import Gathered
from netwright.data._packed import named_pair, splits
from netwright.data._read_arrays import TARGET, read_pair

__all__ = ["ecg5000", "fsdd", "series"]


def series(path: Path) -> Gathered:
    """Read recordings (rows, channels, steps) of two splits.

    Args:
        path: the packed file.
    """
    with np.load(path) as file:
        names = file["class_names"]
        parts = [(file[f"x_{split}"], file[f"y_{split}"]) for split in ("train", "test")]
    return splits(*(named_pair(x, y.astype(np.int64), names, sequence=True) for x, y in parts))


def ecg5000(path: Path) -> Gathered:
    """Read heart beats; the packed file holds the official training rows alone.

    Args:
        path: the packed file.
    """
    with np.load(path) as file:
        gathered = read_pair(file["x"], file["y"].astype(np.int64), sequence=True)
    note = "The packed file holds the official training rows; the official test is not in it."
    return replace(gathered, target_kind="class", notes=(note,))


def fsdd(path: Path) -> Gathered:
    """Read spoken digits, -1 to 1; the first five repetitions of each are the official test.

    Args:
        path: the packed file.
    """
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    ends = np.cumsum(arrays["length"], dtype=np.int64)
    samples = arrays["samples"].astype(np.float32) / 32768
    gathered = named_pair(np.zeros(len(ends)), arrays["digit"].astype(np.int64), range(10))
    speaker = pa.array(arrays["speaker_names"][arrays["speaker"]].tolist())
    return replace(
        gathered,
        table=gathered.table.select([TARGET]).append_column("speaker", speaker),
        sequences=np.split(samples, ends[:-1]),
        rate=8000.0,
        official=np.where(arrays["repetition"] < 5, 3, 0).astype(np.int8),
    )
