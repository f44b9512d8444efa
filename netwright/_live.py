"""What a person sees in the terminal while a build runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from netwright._journal import Event
from netwright.finding import format_value

__all__ = ["LiveView", "Spot", "front", "front_table"]

_STAGES = {
    "load": "Reading the data",
    "search": "Searching and training",
    "ship": "Writing the artefact",
    "audit": "Auditing the shipped bytes",
    "report": "Writing the report",
}
# Events whose text is said as it stands.
_SAID = ("resumed", "chosen", "refitted", "shipped", "none qualifies", "skipped")


_SAID = ("resumed", "chosen", "shipped", "none qualifies", "skipped", "worker lost")
_BAR = 24  # letters of the longest bar
_MOST_SPOTS = 8


@dataclass(frozen=True, slots=True)
class Spot:
    """A candidate among all that were trained.

    Attributes:
        cost: bytes where they were measured, else parameters.
        unit: of the cost.
        score: of the metric.
        name: of the design.
    """

    cost: float
    unit: str
    score: float
    name: str


def front(spots: Sequence[Spot], *, higher: bool) -> tuple[Spot, ...]:
    """Return the candidates that no cheaper one equals, cheapest first.

    Args:
        spots: all candidates.
        higher: whether a higher score is better.
    """
    found: list[Spot] = []
    for spot in sorted(spots, key=lambda s: (s.cost, -s.score if higher else s.score)):
        best = found[-1].score if found else -math.inf if higher else math.inf
        if (spot.score > best) if higher else (spot.score < best):
            found.append(spot)
    return tuple(found)


def front_table(spots: Sequence[Spot], metric: str, *, higher: bool) -> Table:
    """Draw the front: a bar for each score, from the worst of all candidates on.

    Args:
        spots: all candidates; of a long front some are left out, never the ends.
        metric: what the score is.
        higher: whether a higher score is better.
    """
    shown = front(spots, higher=higher)
    if len(shown) > _MOST_SPOTS:
        step = (len(shown) - 1) / (_MOST_SPOTS - 1)
        shown = tuple(shown[round(k * step)] for k in range(_MOST_SPOTS))
    scores = [spot.score for spot in spots]
    low, high = min(scores), max(scores)
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("front so far", justify="right")
    table.add_column(metric, justify="right")
    table.add_column("")
    table.add_column("design")
    for spot in shown:
        share = (spot.score - low) / (high - low) if high > low else 1.0
        share = share if higher else 1 - share
        bar = "█" * max(1, round(_BAR * (0.15 + 0.85 * share)))
        table.add_row(
            format_value(spot.cost, spot.unit), format_value(spot.score), Text(bar, "cyan"),
            Text(spot.name),
        )  # fmt: skip
    return table


def _spot(facts: Mapping[str, Any]) -> Spot | None:
    figures = facts.get("figures", {})
    score = figures.get(facts.get("metric"))
    if score is None or not math.isfinite(score) or facts.get("status") == "diverged":
        return None
    for name, unit in (("size", "bytes"), ("params", "parameters")):
        if name in figures:
            return Spot(figures[name], unit, score, facts["design"])
    return None


class LiveView:
    """Draws a build's events: one line a stage, one row a candidate, the front, the budget's bar.

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
        self._spots: list[Spot] = []
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
        mark = ""
        if (spot := _spot(facts)) is not None:
            self._spots.append(spot)
            self._metric = facts["metric"]
            if spot in front(self._spots, higher=self._is_higher):
                mark = "on the front"
        if not self._console.is_terminal:
            parts = (design, share, facts["status"], shown, facts["cost"], mark)
            self._console.print("  " + "  ".join(p for p in parts if p), markup=False)
        self._epoch = ""

    @property
    def _is_higher(self) -> bool:
        from netwright.quantities import CATALOGUE

        return CATALOGUE[self._metric].better == "higher"

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
        if len(self._spots) > 1:
            parts += ["", front_table(self._spots, self._metric, higher=self._is_higher), ""]
        parts.append(Text.assemble((self._stage, "bold"), "  ", (self._epoch, "dim")))
        parts.append(self._bar)
        return Group(*parts)
