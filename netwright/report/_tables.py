"""Tables for people: numbers of one column aligned and written alike, long ones cut with a word."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netwright.finding import Bars, Cell, Heatmap, Lines, Points, Table
from netwright.report._heatmap import is_confusion

__all__ = ["CellView", "TableView", "chart_table", "view_table"]

_MOST_ROWS = 200
_MOST_CELLS = 2500
_MOST_LETTERS = 1000


@dataclass(frozen=True, slots=True)
class CellView:
    """One cell as shown.

    Attributes:
        text: what to show.
        key: what to sort by; empty sorts by `text`.
    """

    text: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class TableView:
    """A table as shown.

    Attributes:
        title: caption.
        columns: headings.
        numeric: for each column, whether it holds numbers, to be aligned right.
        rows: cells.
        note: what was left out, and where it is.
        headed: whether the first cell of each row names the row.
    """

    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[CellView, ...], ...]
    note: str = ""
    headed: bool = False


def view_table(table: Table, *, headed: bool = False, most: int = _MOST_ROWS) -> TableView:
    """Prepare a table: write its numbers for people, and cut what is too long for a page.

    Args:
        table: what to show.
        headed: whether the first cell of each row names the row.
        most: how many rows to show.

    Raises:
        ValueError: if a row has more or fewer cells than there are columns.
    """
    n_columns = len(table.columns)
    for k, row in enumerate(table.rows):
        if len(row) != n_columns:
            raise ValueError(
                f"Table {table.title!r} has {n_columns} columns, but row {k} has {len(row)} cells."
            )
    shown = table.rows[:most]
    columns = [[row[k] for row in shown] for k in range(n_columns)]
    texts = [_column(column) for column in columns]
    numeric = tuple(
        any(v is not None for v in column)
        and all(
            v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in column
        )
        for column in columns
    )
    rows = tuple(
        tuple(
            CellView(texts[k][i], _key(columns[k][i]) if numeric[k] else "")
            for k in range(n_columns)
        )
        for i in range(len(shown))
    )
    left_out = len(table.rows) - len(shown)
    note = (
        f"{len(shown):,} of {len(table.rows):,} rows; the run folder holds them all."
        if left_out
        else ""
    )
    return TableView(table.title, table.columns, numeric, rows, note, headed)


def chart_table(chart: Lines | Points | Bars | Heatmap) -> TableView:
    """List the data of a chart, for readers who do not see it.

    Args:
        chart: any chart.
    """
    if isinstance(chart, Heatmap):
        return _matrix_table(chart)
    x_label, y_label = chart.x_label or "x", chart.y_label or "y"
    if not chart.series:
        return TableView(chart.title, (x_label, y_label), (False, False), ())
    shared = len({s.x for s in chart.series}) == 1 and not any(s.labels for s in chart.series)
    if shared:
        names = [s.name or y_label for s in chart.series]
        first = chart.series[0]
        rows: list[tuple[Cell, ...]] = [
            (first.x[k], *(s.y[k] for s in chart.series)) for k in range(len(first.x))
        ]
        return view_table(Table(chart.title, (x_label, *names), tuple(rows)), headed=True)
    labelled = any(s.labels for s in chart.series)
    rows = [
        (s.name, x, y, *((s.labels[k] if s.labels else "",) if labelled else ()))
        for s in chart.series
        for k, (x, y) in enumerate(zip(s.x, s.y, strict=True))
    ]
    columns = ("series", x_label, y_label, *(("note",) if labelled else ()))
    return view_table(Table(chart.title, columns, tuple(rows)), headed=True)


def _matrix_table(chart: Heatmap) -> TableView:
    corner = f"{chart.y_label} \\ {chart.x_label}"
    if len(chart.rows) * len(chart.columns) <= _MOST_CELLS:
        rows = tuple((name, *row) for name, row in zip(chart.rows, chart.values, strict=True))
        return view_table(Table(chart.title, (corner, *chart.columns), rows), headed=True)
    confusion = is_confusion(chart)
    cells = [
        (chart.rows[i], chart.columns[j], value)
        for i, row in enumerate(chart.values)
        for j, value in enumerate(row)
        if value and not (confusion and i == j)
    ]
    cells.sort(key=lambda cell: -abs(cell[2]))
    title = f"{chart.title}: largest {'mistakes' if confusion else 'values'}"
    columns = (chart.y_label or "row", chart.x_label or "column", "value")
    return view_table(Table(title, columns, tuple(cells)), headed=True)


def _key(value: Cell) -> str:
    return "" if value is None or value != value else f"{value:.10g}"


def _column(values: Sequence[Cell]) -> list[str]:
    floats = [v for v in values if isinstance(v, float) and math.isfinite(v)]
    decimals = _decimals(floats)
    return [_cell(v, decimals) for v in values]


def _decimals(values: list[float]) -> int | None:
    """Decimals that give every value four digits or so; None where their sizes differ too much."""
    sizes = [abs(v) for v in values if v]
    if not sizes:
        return 0
    largest, smallest = max(sizes), min(sizes)
    if largest >= 1e9 or (smallest < 1e-5 * largest and smallest < 1e-3) or largest < 1e-4:
        return None
    decimals = max(0, min(6, 3 - math.floor(math.log10(largest))))
    while decimals and all(float(f"{v:.{decimals}f}") == round(v, decimals - 1) for v in values):
        decimals -= 1
    return decimals


def _cell(value: Cell, decimals: int | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return (f"{value:,}" if abs(value) >= 10_000 else str(value)).replace("-", "−")
    if isinstance(value, float):
        if not math.isfinite(value):
            return "not a number" if value != value else ("∞" if value > 0 else "−∞")
        shown = f"{value:.4g}" if decimals is None else f"{value:,.{decimals}f}"
        return shown.replace("-", "−") if "e" not in shown else shown
    if len(value) > _MOST_LETTERS:
        return f"{value[:_MOST_LETTERS]}… ({len(value) - _MOST_LETTERS:,} more characters)"
    return value
