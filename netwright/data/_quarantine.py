"""Bad rows: collect them with their reasons, stop when there are too many, write them down."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from netwright import _files
from netwright.data._errors import DataError
from netwright.data._gathered import Bad, Gathered
from netwright.finding import Table

__all__ = ["Quarantine", "write_quarantine"]

TITLE = "Rows left out"
COLUMNS = ("file", "row", "reason")
LISTED = 10_000  # rows that a table of too many bad ones shows


class Quarantine:
    """Collects the bad rows of one source; a row is counted once, with its first reason.

    Args:
        gathered: the source; rows that its reader found bad are in from the start.
        max_bad: share of all rows above which the data are refused.
    """

    def __init__(self, gathered: Gathered, max_bad: float) -> None:
        self._gathered = gathered
        self._max_bad = max_bad
        self._rows: list[Bad] = list(gathered.bad)
        self.good = np.ones(len(gathered), bool)

    def add(self, bad: np.ndarray, reasons: Mapping[int, str] | str) -> None:
        """Put rows into quarantine.

        Args:
            bad: which rows, bool (n,).
            reasons: why; for all of them, or for each.
        """
        fresh = np.flatnonzero(bad & self.good)
        self.good[fresh] = False
        source = self._gathered
        for i in fresh.tolist():
            reason = reasons if isinstance(reasons, str) else reasons[i]
            self._rows.append(Bad(source.files[source.file[i]], int(source.row[i]), reason))

    def table(self) -> Table:
        """Return the rows, ordered by their number."""
        rows = sorted(self._rows, key=lambda bad: bad.row)
        return Table(TITLE, COLUMNS, tuple((bad.file, bad.row, bad.reason) for bad in rows))

    def check(self) -> None:
        """Refuse the data if too many rows are bad.

        Raises:
            DataError: if the share of bad rows is above the limit, or no row is good.
        """
        n = len(self._gathered) + len(self._gathered.bad)
        share = len(self._rows) / max(1, n)
        if share <= self._max_bad and self.good.any():
            return
        shown = "\n".join(f"  {_where(bad)}: {bad.reason}" for bad in self._rows[:5])
        more = "\n  ..." if len(self._rows) > 5 else ""
        table = self.table()
        raise DataError(
            f"{len(self._rows):,} of {n:,} rows ({share:.1%}) cannot be used; at most "
            f"{self._max_bad:.0%} may be bad (`max_bad`). {self._commonest()}\n{shown}{more}",
            quarantine=Table(TITLE, COLUMNS, table.rows[:LISTED]),
        )

    def _commonest(self) -> str:
        # Reasons differ in the cell that they quote; the text before the first quotation counts.
        kinds = Counter(bad.reason.split(": ")[0] for bad in self._rows)
        reason, count = kinds.most_common(1)[0] if kinds else ("no rows", 0)
        hint = ""
        if reason.startswith("column "):
            hint = " If the column is of another kind, say so with `schema=`."
        return f"Most common, {count:,} times: {reason}.{hint}"


def _where(bad: Bad) -> str:
    return f"{bad.file}, row {bad.row}" if bad.file else f"row {bad.row}"


def write_quarantine(quarantine: Table, folder: Path) -> Path:
    """Write `quarantine.csv`: file, row and reason of each row left out.

    Cells that a spreadsheet would run as a formula are written with a leading quotation mark.

    Args:
        quarantine: of a task, or of the `DataError` that bad rows ended in.
        folder: where to write; it must exist.

    Returns:
        The path of the file.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(quarantine.columns)
    writer.writerows([_harmless(cell) for cell in row] for row in quarantine.rows)
    path = Path(folder) / "quarantine.csv"
    _files.write_atomically(path, text.getvalue())
    return path


def _harmless(cell: str | int | float | None) -> str | int | float | None:
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
