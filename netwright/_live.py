"""What a person sees in the terminal while a build runs."""

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from netwright._journal import Event

__all__ = ["LiveView"]

_STAGES = {
    "load": "Reading the data",
    "search": "Searching and training",
    "ship": "Writing the artefact",
    "audit": "Auditing the shipped bytes",
    "report": "Writing the report",
}
# Events whose text is said as it stands.
_SAID = ("resumed", "chosen", "refitted", "shipped", "none qualifies", "skipped")


class LiveView:
    """Draws a build's events: one line a stage, one row a candidate, a bar for the budget.

    On a terminal the picture is redrawn in place; elsewhere each finished thing is one line.
    """

    def __init__(self, console: Console, seconds: float | None) -> None:
        self._console = console
        self._seconds = seconds
        self._lines: list[Text] = []
        self._stage = ""
        self._epoch = ""
        self._rows: dict[int | str, tuple[str, ...]] = {}
        self._metric = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=40),
            TextColumn("{task.fields[clock]}"),
            console=console,
        )
        self._job = self._bar.add_task("budget", total=seconds, clock="")
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> "LiveView":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show one event.

        Args:
            event: as recorded in the journal.
        """
        facts = event.facts
        if event.name == "stage":
            self._stage = _STAGES[facts["stage"]]
            self._epoch = ""
        elif event.name == "data":
            self._say(facts["text"])
        elif event.name == "candidate asked":
            row = (facts["design"], f"{facts['fidelity']:.0%}", "training", "", "")
            self._rows[facts["number"]] = row
        elif event.name == "epoch":
            self._epoch = (
                f"step {facts['step']:,}  training loss {facts['train_loss']:.3f}  "
                f"validation score {facts['validation_score']:.4g}"
            )
        elif event.name in ("candidate trained", "candidate pruned"):
            self._finish(event)
        elif event.name in _SAID:
            self._say(facts["text"])
        if self._console.is_terminal:
            left = f"{event.elapsed:5.0f} s"
            if self._seconds:
                left += f" of {self._seconds:.0f} s"
            self._bar.update(self._job, completed=event.elapsed, clock=left)
            self._live.update(self._picture())

    def _finish(self, event: Event) -> None:
        facts = event.facts
        design, share = facts["design"], f"{facts['fidelity']:.0%}"
        shown = facts["score"]
        key = facts.get("number", design)  # a design that was not trained has no number
        self._rows[key] = (design, share, facts["status"], shown, facts["cost"])
        if not self._console.is_terminal:
            parts = (design, share, facts["status"], shown, facts["cost"])
            self._console.print("  " + "  ".join(p for p in parts if p), markup=False)
        self._epoch = ""

    def _say(self, text: str) -> None:
        line = Text(text)
        if self._console.is_terminal:
            self._lines.append(line)
        else:
            self._console.print(line)

    def _picture(self) -> Group:
        parts: list = [*self._lines]
        if self._rows:
            table = Table(box=None, pad_edge=False, header_style="bold")
            for heading in ("candidate", "training", "status", "validation", "cost"):
                table.add_column(heading)
            for row in list(self._rows.values())[-12:]:
                table.add_row(*(Text(cell) for cell in row))
            parts.append(table)
        parts.append(Text.assemble((self._stage, "bold"), "  ", (self._epoch, "dim")))
        parts.append(self._bar)
        return Group(*parts)
