"""Infer what a column holds. All rules of inference stand here.

Input columns, in this order (missing cells have no say):

1. booleans, and columns that hold only 0 and 1, or only one pair of true/false, yes/no, t/f, y/n,
   are "boolean";
2. numbers are "number", dates and moments are "date". Words are so too if at least 95 % of the
   cells can be read that way; the rows of the other cells are bad rows. Read are decimal numbers
   with a point, and dates as 2024-12-31, 2024/12/31, 31.12.2024, 12/31/2024 (31/12/2024 if the
   column allows no other reading), 2024-12, and 2024-12-31T23:59:59 with or without a zone;
3. a column with more than 50 distinct values of which half or more are numbers, but not 95 %, is of
   mixed types: its rows are bad rows, and stop the run;
4. other words are "category", unless they are nearly all different (at least 20 rows, and more than
   nine in ten, or half if they have four words or more): those are free "text", or "characters" if
   a quarter of them are longer than words and hardly any holds a blank (DNA, SMILES; addresses and
   long codes too), or an identifier.

Left out, with a note: identifiers, columns with one value, whole numbers that count the rows, lists
and nested values, and free text or characters beside other columns. A table of which only free text
is left, or one column of characters, is a text task.

Targets: several columns of 0 and 1 are "labels", several others are "values". One column of words
or booleans is "class", or "labels" if one cell in twenty or more joins several by `|` or `;`. Lists
are "labels". One column of numbers is "value" if it has fractions, or more than 20 distinct values
and the input is no image; else "class".
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from netwright.data._cells import Cells
from netwright.data._compute import pc
from netwright.data._text import has_no_words

__all__ = ["ColumnKind", "Reading", "read_column", "target_kind"]

ColumnKind = Literal[
    "number", "category", "boolean", "date", "text", "characters", "ignore", "mixed"
]
SURE = 0.95  # share of cells that must be readable for a column of words to count as numbers
FEW = 50  # distinct values up to which mixed words and numbers are taken for codes
CLASSES = 20  # distinct whole numbers up to which a target is a class
SEPARATOR = r"\s*[|;]\s*"


@dataclass(frozen=True, eq=False)
class Reading:
    """What a column was found to hold.

    Attributes:
        kind: "ignore" if it cannot serve as input, "mixed" if its cells are of several types.
        bad: rows whose cell does not fit the kind, bool (n,).
        why: the reason for "ignore", or what the bad cells lack.
    """

    kind: ColumnKind
    bad: np.ndarray
    why: str = ""


def read_column(cells: Cells, forced: ColumnKind | None = None) -> Reading:
    """Say what an input column holds, and which of its cells do not fit.

    Args:
        cells: the column.
        forced: the kind that the user wants; None infers it.
    """
    none = np.zeros(len(cells), bool)
    nested = pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type)
    if nested or pa.types.is_time(cells.type) or pa.types.is_duration(cells.type):
        why = f"cells of type {cells.type}"
        if pa.types.is_list(cells.type) and _is_number(cells.type.value_type):
            why += ', from which `schema=` can make a "sequence"'
        return Reading("ignore", none, why)
    if forced is not None:
        return _forced(cells, forced)
    present = ~cells.missing
    if not present.any():
        return Reading("ignore", none, "no value at all")
    if pa.types.is_boolean(cells.type):
        return Reading("boolean", none)
    if pa.types.is_date(cells.type) or pa.types.is_timestamp(cells.type):
        return Reading("date", none)
    numbers = cells.numbers
    readable = ~np.isnan(numbers) & present
    share = readable.sum() / present.sum()
    if share >= SURE:
        return _as_number(cells, present, readable)
    if not np.isnan(cells.truths[present]).any():
        return Reading("boolean", none)
    words = cells.coded[1]
    if share >= 0.5 and len(words) > FEW:
        return Reading("mixed", present & ~readable, "is not a number")
    days = cells.days
    dated = ~np.isnan(days) & present
    if dated.sum() / present.sum() >= SURE:
        return Reading("date", present & ~dated, "is not a date")
    return _as_words(int(present.sum()), words, none)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _as_number(cells: Cells, present: np.ndarray, readable: np.ndarray) -> Reading:
    numbers = cells.numbers
    bad = present & ~_fits(numbers)
    found = numbers[present & ~bad]
    if len(found) and ((found == 0) | (found == 1)).all():
        return Reading("boolean", bad, "is not 0 or 1")
    if len(found) >= 20 and _counts_rows(found):
        return Reading("ignore", np.zeros(len(bad), bool), "it counts the rows")
    why = "is not a number" if (present & ~readable).any() else "is not finite"
    return Reading("number", bad, why)


def _fits(numbers: np.ndarray) -> np.ndarray:
    # Finite in float32 too, in which networks receive it; a NaN is no number.
    return np.abs(numbers) <= np.finfo(np.float32).max


def _counts_rows(numbers: np.ndarray) -> bool:
    return bool((np.diff(numbers) == 1).all())


def _as_words(n: int, words: list[str], none: np.ndarray) -> Reading:
    # The average number of blanks tells sentences from names and codes.
    blanks = pc.mean(pc.count_substring(pa.array(words, pa.string()), " ")).as_py()
    if n >= 20 and len(words) > n * (0.5 if blanks >= 3 else 0.9):
        if blanks >= 3:
            return Reading("text", none, "free text; name it with `text=` to learn from it")
        if has_no_words(words):
            why = "characters without blanks; name it with `text=` to learn from it"
            return Reading("characters", none, why)
        return Reading("ignore", none, "nearly every row has a value of its own")
    return Reading("category", none)


def _forced(cells: Cells, kind: ColumnKind) -> Reading:
    present = ~cells.missing
    none = np.zeros(len(cells), bool)
    if kind == "number":
        numbers = cells.numbers
        return Reading(kind, present & ~_fits(numbers), "is not a finite number")
    if kind == "date":
        return Reading(kind, present & np.isnan(cells.days), "is not a date")
    if kind == "boolean":
        return Reading(kind, present & np.isnan(cells.truths), "is not true or false")
    return Reading(kind, none, "as `schema` says" if kind == "ignore" else "")


def target_kind(
    columns: list[Cells], *, pictures: bool
) -> Literal["class", "labels", "value", "values"]:
    """Say what kind of target these columns are.

    Args:
        columns: the target columns.
        pictures: whether the input is an image.
    """
    if len(columns) > 1:
        binary = all(not np.isnan(cells.truths[~cells.missing]).any() for cells in columns)
        return "labels" if binary else "values"
    cells = columns[0]
    if pa.types.is_list(cells.type) or pa.types.is_large_list(cells.type):
        return "labels"
    if pa.types.is_boolean(cells.type):
        return "class"
    present = ~cells.missing
    numbers = cells.numbers[present]
    if not len(numbers):
        return "class"
    if np.isnan(numbers).mean() > 1 - SURE:
        return "labels" if _joined(cells) else "class"
    finite = numbers[np.isfinite(numbers)]
    if (finite != np.round(finite)).any():
        return "value"
    return "class" if pictures or len(np.unique(finite)) <= CLASSES else "value"


def _joined(cells: Cells) -> bool:
    codes, words = cells.coded
    several = pc.match_substring_regex(pa.array(words, pa.string()), r"[^|;\s]\s*[|;]\s*[^|;\s]")
    several = several.to_numpy(zero_copy_only=False).astype(bool)
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    return bool(counts[several].sum() >= 0.05 * max(1, counts.sum()))
