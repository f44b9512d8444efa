"""Requirements and verdicts for a terminal, and as plain lines where there is none."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from netwright.finding import Finding
from netwright.report._svg import clean
from netwright.report._verdict import rows_of
from netwright.report._view import RunView

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["verdict_lines", "verdict_table"]

_STYLES = {"met": "bold green", "broken": "bold red", "undecided": "bold yellow"}
_MARKS = {"met": "✓", "broken": "✗", "undecided": "?"}


def verdict_table(source: RunView | Iterable[Finding]) -> "Group":
    """Lay the requirements out for rich to print: a table, then why what is not met is not.

    Args:
        source: a run, or findings; of these the ones that answer a requirement.

    Returns:
        Something that rich prints; texts in it are taken literally, brackets are no markup.
    """
    from rich import box
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("requirement", overflow="fold", min_width=14)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("interval", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    reasons = []
    for row in rows_of(source):
        verdict = Text(f"{_MARKS[row.verdict]} {row.verdict}", _STYLES[row.verdict])
        table.add_row(
            verdict,
            Text(_line(row.text).replace(" @", "\n@")),
            Text(row.value, "bold"),
            Text(row.interval),
            Text(row.n),
        )
        if row.verdict != "met":
            reason = Text.assemble(verdict, f": {_line(row.text)}. {_line(row.reason)}")
            reasons.append(Padding(reason, (1, 0, 0, 0)))
    return Group(table, *reasons)


def verdict_lines(source: RunView | Iterable[Finding]) -> tuple[str, ...]:
    """Write each requirement as one line of plain text, verdict first.

    Args:
        source: a run, or findings; of these the ones that answer a requirement.
    """
    rows = rows_of(source)
    width = max((len(row.text) for row in rows), default=0)
    return tuple(
        f"{row.verdict:<9}  {_line(row.text):<{width}}  measured {row.value}"
        + (f" ({row.interval})" if row.interval != "–" else "")
        + (f", n = {row.n}" if row.n != "–" else "")
        + f". {_line(row.reason)}"
        for row in rows
    )


def _line(text: str) -> str:
    """One line without control characters, which could steer a terminal."""
    return " ".join(clean(text).split())
