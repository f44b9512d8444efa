"""Tables for people: numbers of one column aligned and written alike, long ones cut with a word."""

from dataclasses import dataclass

from netwright.finding import Bars, Cell, Heatmap, Lines, Points, Table
from netwright.report._heatmap import is_confusion
from netwright.report._numbers import write_column

__all__ = ["CellView", "TableView", "chart_table", "view_table"]

_MOST_ROWS = 200
_MOST_CELLS = 2500
_LONGEST_WORD = 24


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
        room: for each column, what its texts need: "roomy" for long ones, "loose" for words so
            long that they must be broken, else nothing.
    """

    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[CellView, ...], ...]
    note: str = ""
    headed: bool = False
    room: tuple[str, ...] = ()


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
    texts = [write_column(column) for column in columns]
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
    room = tuple(_room([name, *column]) for name, column in zip(table.columns, texts, strict=True))
    return TableView(table.title, table.columns, numeric, rows, note, headed, room)


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


def _room(texts: list[str]) -> str:
    if any(len(word) > _LONGEST_WORD for text in texts for word in text.split()):
        return "loose"
    return "roomy" if any(len(text) > _LONGEST_WORD for text in texts) else ""


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
