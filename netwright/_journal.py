"""The journal of a run: what happened when, and how much of the budget earlier tries have used."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netwright._files import append_line

__all__ = ["Event", "Journal"]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal.

    Attributes:
        name: what happened, for example "candidate trained".
        elapsed: seconds of work since the run began, over all tries.
        facts: plain JSON values.
    """

    name: str
    elapsed: float
    facts: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """Appends events to `log.jsonl` and knows the time used, also by tries that were killed."""

    def __init__(
        self,
        path: Path,
        watch: Callable[[Event], None] | None = None,
        *,
        began: float | None = None,
    ) -> None:
        self._path = path
        self._watch = watch
        self._began = time.monotonic() if began is None else began
        self.events: list[Event] = list(_read(path))
        self._used_before = max((e.elapsed for e in self.events), default=0.0)

    @property
    def elapsed(self) -> float:
        """Seconds of work so far, over all tries."""
        return self._used_before + time.monotonic() - self._began

    @property
    def resumed(self) -> bool:
        """Whether an earlier try left events behind."""
        return self._used_before > 0

    def record(self, name: str, **facts: Any) -> None:
        """Write one event to disk and show it to whoever watches.

        Args:
            name: what happened.
            facts: plain JSON values.
        """
        event = Event(name, round(self.elapsed, 3), facts)
        line = {"event": name, "elapsed": event.elapsed, **facts}
        append_line(self._path, json.dumps(line, ensure_ascii=False))
        self.events.append(event)
        self.show(event)

    def show(self, event: Event) -> None:
        """Show an event without writing it down (progress inside a training).

        Args:
            event: what to show.
        """
        if self._watch is not None:
            self._watch(event)

    def take_up(self) -> bool:
        """Say what an earlier try has left behind.

        Returns:
            Whether it was finished.
        """
        folder = self._path.parent
        if self.find("done"):
            self.show(Event("resumed", self.elapsed, {"text": f"Already done: {folder}"}))
            return True
        if self.resumed:
            text = f"Continuing {folder} after {self.elapsed:.0f} s of earlier work."
            self.record("resumed", text=text)
        return False

    def find(self, name: str) -> tuple[Event, ...]:
        """Return all events of one name, oldest first.

        Args:
            name: what happened.
        """
        return tuple(e for e in self.events if e.name == name)


def _read(path: Path):
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            facts = json.loads(line)
        except (ValueError, RecursionError):  # the line that a kill tore
            continue
        # Of a damaged file, what still is an event counts.
        if isinstance(facts, dict) and isinstance(facts.get("event"), str):
            elapsed = facts.pop("elapsed", None)
            if isinstance(elapsed, int | float) and 0 <= elapsed < float("inf"):
                yield Event(facts.pop("event"), elapsed, facts)
