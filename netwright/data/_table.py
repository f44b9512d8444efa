"""Tables: fit the columns on training rows, and code rows as the network receives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from netwright.data._cells import Cells
from netwright.data._compute import pc
from netwright.data._errors import DataError, nearest
from netwright.data._infer import read_column
from netwright.data._schema import Column, Input

__all__ = ["Plan", "code_rows", "encode_table", "fit_columns", "plan_columns", "words"]

RARE = 5  # training rows that a category must have to get a code of its own
QUANTILES = 48
CONSTANT = "constant in the training rows"


@dataclass(frozen=True, eq=False)
class Plan:
    """Which columns of a table are used, and as what.

    Attributes:
        columns: kind of each column; complete statistics where they were given.
        text: columns of free text.
        chains: columns of characters: DNA and SMILES, but addresses and long identifiers too.
        bad: for each column with cells that do not fit, which those are, and why.
        notes: what was left out.
    """

    columns: tuple[Column, ...]
    text: tuple[str, ...]
    chains: tuple[str, ...]
    bad: Mapping[str, tuple[np.ndarray, str]]
    notes: tuple[str, ...]


def plan_columns(
    table: pa.Table, names: Sequence[str], forced: Mapping[str, str], given: Sequence[Column] = ()
) -> Plan:
    """Infer what the columns hold.

    Args:
        table: all rows.
        names: the columns that may serve as input.
        forced: kinds that the user wants, by column.
        given: columns of a given schema; then only these are used, as they say.

    Raises:
        DataError: if a given column is not in the table.
    """
    by_name = {column.name: column for column in given}
    columns, text, chains = [], [], []
    left: dict[str, list[str]] = {}
    bad: dict[str, tuple[np.ndarray, str]] = {}
    for name in by_name or names:
        if name not in table.column_names:
            raise DataError(f"The column `{name}` is missing.{nearest(name, table.column_names)}")
        wanted = by_name[name].kind if name in by_name else forced.get(name)
        reading = read_column(Cells(table[name]), wanted)  # type: ignore[arg-type]
        if reading.bad.any():
            bad[name] = reading.bad, reading.why
        if reading.kind in ("text", "characters"):
            (text if reading.kind == "text" else chains).append(name)
        if reading.kind in ("text", "characters", "ignore"):
            left.setdefault(reading.why, []).append(name)
        elif reading.kind != "mixed":
            columns.append(by_name.get(name) or Column(name, reading.kind))
    return Plan(tuple(columns), tuple(text), tuple(chains), bad, _left_out(left))


def _left_out(left: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    def shown(names: Sequence[str]) -> str:
        first = ", ".join(f"`{name}`" for name in names[:10])
        return first if len(names) <= 10 else f"{first}, ... ({len(names):,} in all)"

    return tuple(
        f"{'Columns' if len(names) > 1 else 'Column'} {shown(names)} left out: {why}."
        for why, names in left.items()
    )


def fit_columns(
    table: pa.Table, columns: Sequence[Column], train: np.ndarray
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Fit categories and statistics on training rows; what is already there stays.

    Args:
        table: all rows.
        columns: the columns to fit.
        train: the training rows, bool (n,).

    Returns:
        The fitted columns without those that are constant, and notes for people.
    """
    fitted = []
    left: dict[str, list[str]] = {}
    rare: list[str] = []
    mask = pa.array(train)
    for column in columns:
        if column.is_fitted:
            fitted.append(column)
            continue
        cells = Cells(table[column.name].filter(mask))
        if column.kind == "category":
            found = _fit_category(column, cells, rare)
        else:
            found = _fit_values(column, cells)
        if isinstance(found, str):
            left.setdefault(found, []).append(column.name)
        else:
            fitted.append(found)
    return tuple(fitted), (*_left_out(left), *rare)


def _fit_values(column: Column, cells: Cells) -> Column | str:
    numbers = _values(cells, column.kind)
    present = numbers[~np.isnan(numbers)]
    if not len(present) or (len(present) == len(numbers) and (present == present[0]).all()):
        return CONSTANT  # one value that is missing here and there says something
    return replace(
        column,
        has_missing=len(present) < len(numbers),
        mean=float(present.mean()),
        std=float(present.std()) or 1.0,
        minimum=float(present.min()),
        maximum=float(present.max()),
        quantiles=tuple(_knots(present).tolist()),
    )


def _knots(present: np.ndarray) -> np.ndarray:
    """Inner quantiles; where ties leave fewer, quantiles of the distinct values fill them up.

    A column that is 0 in nine rows of ten would otherwise keep a handful for all the rest.
    """
    places = np.linspace(0, 1, QUANTILES + 2)[1:-1]
    knots = np.unique(np.quantile(present, places))
    spare = QUANTILES - len(knots)
    if spare > 0:
        others = np.setdiff1d(np.unique(present), knots)[1:-1]
        if len(others):
            more = np.quantile(others, np.linspace(0, 1, min(spare, len(others)) + 2)[1:-1])
            knots = np.unique(np.concatenate([knots, more]))
    return knots


def _fit_category(column: Column, cells: Cells, notes: list[str]) -> Column | str:
    codes, words = cells.coded
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    frequent = sorted(words[i] for i in np.flatnonzero(counts >= RARE))
    n_rare = int(((counts > 0) & (counts < RARE)).sum())
    has_missing = bool((codes < 0).any())
    if not frequent:
        return f"none of its categories has {RARE} training rows"
    if len(frequent) == 1 and not n_rare and not has_missing:
        return CONSTANT
    if n_rare:
        which = "1 category" if n_rare == 1 else f"{n_rare:,} categories"
        notes.append(
            f"Column `{column.name}`: {which} of fewer than {RARE} training rows, coded as missing."
        )
    return replace(column, categories=tuple(frequent), has_missing=has_missing)


def _values(cells: Cells, kind: str) -> np.ndarray:
    if kind == "number":
        return cells.numbers
    return cells.days if kind == "date" else cells.truths


def code_rows(table: pa.Table, columns: Sequence[Column]) -> np.ndarray:
    """Code rows as the network receives them.

    Args:
        table: the rows; it has all `columns`.
        columns: fitted columns.

    Returns:
        float32 (n, columns).
    """
    coded = np.empty((table.num_rows, len(columns)), np.float32)
    for place, column in enumerate(columns):
        cells = Cells(table[column.name])
        if column.kind == "category":
            codes, words = cells.coded
            number = {word: i + 1 for i, word in enumerate(column.categories)}
            coded[:, place] = np.array([*(number.get(word, 0) for word in words), 0])[codes]
        else:
            with np.errstate(over="ignore"):  # beyond float32: such rows are in quarantine
                coded[:, place] = _values(cells, column.kind)
    return coded


def encode_table(rows: pa.Table, inputs: Input) -> Float[Tensor, "rows columns"]:
    """Code new rows as the network receives them.

    A cell that cannot be read as its column's kind counts as missing: check new data with `load`.

    Args:
        rows: an Arrow table with the schema's columns; others are ignored.
        inputs: the schema of the input.

    Raises:
        DataError: if a column is missing.
    """
    for column in inputs.columns:
        if column.name not in rows.column_names:
            known = nearest(column.name, rows.column_names)
            raise DataError(f"The column `{column.name}` is missing.{known}")
    return torch.from_numpy(code_rows(rows, inputs.columns))


def words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as words; a list of words is joined with blanks.

    Args:
        column: of any type but nested ones other than lists of words.

    Raises:
        DataError: if its cells are no words.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return pc.binary_join(column, " ")
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise DataError(f"A text column holds {kind}; texts are strings.")
    return column.cast(pa.string())
