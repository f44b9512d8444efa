"""Print one finding in a terminal: its tables, then its verdict."""

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from netwright.finding import Cell, Finding, Table

__all__ = ["show_finding"]

_COLOURS = {"met": "bold green", "broken": "bold red", "undecided": "bold yellow"}


def show_finding(finding: Finding, console: Console) -> None:
    """Print the tables of a finding, its verdict and its summary.

    Args:
        finding: what to show; charts and pictures are left to reports.
        console: where to print.
    """
    for evidence in finding.evidence:
        if isinstance(evidence, Table):
            console.print(_table(evidence))
    verdict = finding.judgement.verdict if finding.judgement is not None else "measured"
    line = Text.assemble((verdict, _COLOURS.get(verdict, "bold")), f"  {finding.summary}")
    console.print(line, Text(f"({finding.seconds:.0f} s)", style="dim"))


def _table(table: Table) -> RichTable:
    numeric = [
        all(isinstance(row[i], int | float | None) for row in table.rows)
        for i in range(len(table.columns))
    ]
    shown = RichTable(title=table.title, title_justify="left", box=None, header_style="bold")
    for heading, right in zip(table.columns, numeric, strict=True):
        shown.add_column(heading, justify="right" if right else "left")
    for row in table.rows:
        shown.add_row(*(Text(_cell(cell)) for cell in row))
    return shown


def _cell(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
