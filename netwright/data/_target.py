"""Read the target columns: classes, labels or values, and the rows whose target is unusable."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from netwright.data._cells import Cells
from netwright.data._compute import pc
from netwright.data._errors import DataError
from netwright.data._infer import CLASSES, SEPARATOR
from netwright.data._schema import Target, TargetKind
from netwright.data._split import strata_of_values

__all__ = [
    "Goals",
    "only_examples",
    "only_trained",
    "read_target",
    "strata",
    "with_statistics",
]


@dataclass(frozen=True, eq=False)
class Goals:
    """The targets of all rows.

    Attributes:
        target: kind, names and classes; without statistics.
        y: int64 (n,) for classes, float32 (n, width) else; anything where `bad`.
        bad: for each reason, the rows it holds for, bool (n,).
        notes: what a reader must know.
    """

    target: Target
    y: np.ndarray
    bad: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()


def read_target(
    columns: Sequence[Cells],
    names: tuple[str, ...],
    kind: TargetKind,
    *,
    of_codes: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> Goals:
    """Read target columns.

    Args:
        columns: the columns.
        names: their names.
        kind: what they hold.
        of_codes: names of the codes 0, 1, 2, ... if the columns hold codes.
        classes: the classes or labels that may occur, by name; rows with others are bad. If empty,
            those that do occur.

    Raises:
        DataError: if nearly every row has a class of its own, or no row has a target.
    """
    shown = ", ".join(f"`{name}`" for name in names)
    if all(cells.missing.all() for cells in columns):
        raise DataError(f"The target {shown} is empty in every row.")
    if kind == "class":
        return _classes(columns[0], names, of_codes, classes)
    if kind == "labels" and len(columns) == 1:
        return _labels(columns[0], names, of_codes, classes)
    if kind == "labels":
        y = np.stack([cells.truths for cells in columns], axis=1)
        missing = np.asarray(np.isnan(y).any(axis=1))
        reason = f"a label of {shown} is missing or neither 0 nor 1"
        target = Target("labels", names, classes=names)
        return Goals(target, np.nan_to_num(y).astype(np.float32), {reason: missing})
    y = np.stack([cells.numbers for cells in columns], axis=1)
    gone = np.stack([cells.missing for cells in columns], axis=1).any(axis=1)
    with np.errstate(over="ignore"):
        single = y.astype(np.float32)
    bad: dict[str, np.ndarray] = {
        f"the target {shown} is missing": np.asarray(gone),
        f"the target {shown} is not a number": np.asarray(np.isnan(y).any(axis=1) & ~gone),
        f"the target {shown} is not finite": np.asarray(np.isinf(single).any(axis=1)),
    }
    return Goals(Target(kind, names), single, bad)


def with_statistics(target: Target, y: np.ndarray) -> Target:
    """Add mean and standard deviation of the training rows to a target of values.

    Args:
        target: any target; classes and labels come back as they are.
        y: targets of the training rows.
    """
    if target.kind in ("class", "labels") or target.mean or not len(y):
        return target
    std = y.std(axis=0, dtype=np.float64)
    return Target(
        target.kind,
        target.names,
        mean=tuple(y.mean(axis=0, dtype=np.float64).tolist()),
        std=tuple(np.where(std > 0, std, 1.0).tolist()),
    )


def only_examples(goals: Goals, keep: np.ndarray) -> tuple[Goals, np.ndarray]:
    """Find rows that are the only one of their class, and drop the classes of less than two.

    Args:
        goals: targets of all rows, classes.
        keep: rows that are not bad, bool (n,).

    Returns:
        The goals with the other classes, and the lonely rows, bool (n,).
    """
    counts = np.bincount(goals.y[keep], minlength=len(goals.target.classes))
    return _with_classes(goals, counts > 1), keep & (counts[goals.y] == 1)


def only_trained(goals: Goals, split: np.ndarray) -> tuple[Goals, np.ndarray]:
    """Find rows whose class has no training row, and drop those classes.

    Args:
        goals: targets of all rows, classes.
        split: 0 for training rows, -1 for rows that are in no split, int (n,).

    Returns:
        The goals with the other classes, and the rows of the dropped ones, bool (n,).
    """
    counts = np.bincount(goals.y[split == 0], minlength=len(goals.target.classes))
    return _with_classes(goals, counts > 0), (split >= 0) & (counts[goals.y] == 0)


def _with_classes(goals: Goals, kept: np.ndarray) -> Goals:
    if kept.all():
        return goals
    place = np.maximum(np.cumsum(kept) - 1, 0)
    classes = tuple(name for name, keep in zip(goals.target.classes, kept, strict=True) if keep)
    target = Target("class", goals.target.names, classes=classes)
    return Goals(target, place[goals.y], goals.bad, goals.notes)


def strata(goals: Goals) -> np.ndarray:
    """Give each row the number of its stratum: what every split gets its share of.

    Args:
        goals: targets of all rows.

    Returns:
        The class; the combination of labels, those of less than ten rows together; or the tenth of
        the (first) value. int64 (n,).
    """
    if goals.target.kind == "class":
        return goals.y
    if goals.target.kind == "labels":
        codes, counts = np.unique(goals.y, axis=0, return_inverse=True, return_counts=True)[1:]
        codes = codes.reshape(-1)
        return np.where(counts[codes] < 10, len(counts), codes)
    values = goals.y[:, 0]
    finite = np.isfinite(values)
    found = np.zeros(len(values), np.int64)
    found[finite] = strata_of_values(values[finite])
    return found


def _classes(
    cells: Cells, names: tuple[str, ...], of_codes: Sequence[str], classes: Sequence[str]
) -> Goals:
    codes, words = cells.coded
    present = int((codes >= 0).sum())
    if not classes and len(words) > max(CLASSES, present // 2):
        raise DataError(
            f"The target `{names[0]}` has {len(words):,} distinct values in {present:,} rows, too "
            f"many for classes. Choose another target, or say what it is with `schema=`, for "
            f"example `{{{names[0]!r}: 'value'}}`."
        )
    found, place = _places(words, of_codes, classes, names[0])
    y = place[codes]
    bad = {f"the target `{names[0]}` is missing": codes < 0}
    if (y[codes >= 0] < 0).any():
        bad[f"the class in `{names[0]}` is none of those known"] = (y < 0) & (codes >= 0)
    return Goals(Target("class", names, classes=found), np.maximum(y, 0), bad)


def _places(
    words: list[str], of_codes: Sequence[str], classes: Sequence[str], column: str
) -> tuple[tuple[str, ...], np.ndarray]:
    # The classes in order, and the place of each word among them: -1 for strangers, and at the end.
    order = _class_order(words)
    named = [_name_of_code(word, of_codes, column) if of_codes else word for word in words]
    ordered = tuple(classes) or tuple(name for i in order if (name := named[i]) is not None)
    number = {name: i for i, name in enumerate(ordered)}
    return ordered, np.array(
        [*(-1 if name is None else number.get(name, -1) for name in named), -1], np.int64
    )


def _name_of_code(word: str, known: Sequence[str], column: str) -> str | None:
    if word == "-1":  # the custom for rows whose class is not published
        return None
    if word.isdecimal() and int(word) < len(known):
        return str(known[int(word)])
    raise DataError(f"`{column}` holds the code {word!r}, but only {len(known)} classes are named.")


def _class_order(words: list[str]) -> list[int]:
    # By size if all are numbers ("10" after "9"), else by letter.
    numbers = Cells(pa.array(words, pa.string())).numbers if words else np.zeros(0)
    if np.isfinite(numbers).all():
        return sorted(range(len(words)), key=lambda i: (numbers[i], words[i]))
    return sorted(range(len(words)), key=lambda i: words[i])


def _labels(
    cells: Cells, names: tuple[str, ...], of_codes: Sequence[str], classes: Sequence[str]
) -> Goals:
    n = len(cells)
    if cells.is_text:
        codes, words = cells.coded
        lists = pc.split_pattern_regex(pa.array(words, pa.string()), SEPARATOR)
        gone = np.zeros(n, bool)
        empty = codes < 0  # an empty cell is an empty list
    else:
        codes = np.arange(n)
        gone = cells.missing
        lists = cells.column.combine_chunks()
        empty = gone
    owner = pc.list_parent_indices(lists).to_numpy()
    flat = Cells(pc.list_flatten(lists))
    codes_flat, parts = flat.coded
    found, place = _places(parts, of_codes, classes, names[0])
    if not found:
        raise DataError(f"No row has a label in `{names[0]}`.")
    label = place[codes_flat]
    table = np.zeros((len(lists) + 1, len(found)), np.float32)  # last row: no labels
    table[owner[label >= 0], label[label >= 0]] = 1
    unknown = np.zeros(len(lists) + 1, bool)
    unknown[owner[(label < 0) & (codes_flat >= 0)]] = True
    y = table[codes]
    notes = ()
    if cells.is_text and empty.any():
        notes = (f"{int(empty.sum()):,} rows have an empty `{names[0]}`: they carry no label.",)
    bad = {f"the target `{names[0]}` is missing": gone}
    if unknown.any():
        bad[f"a label in `{names[0]}` is not one of the schema's"] = unknown[codes]
    return Goals(Target("labels", names, classes=found), y, bad, notes)
