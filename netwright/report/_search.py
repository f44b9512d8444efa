"""How the search went: every candidate in a table, and its score against its size."""

import math
import re
from collections.abc import Sequence
from typing import Any

from netwright.finding import Measurement, Points, Series, format_value
from netwright.report._charts import Figure, chart
from netwright.report._tables import CellView
from netwright.report._verdict import bound_text
from netwright.report._view import LeaderboardRow, RunView
from netwright.report._xy import Guide, Pin

__all__ = ["board_of", "scatter_of", "search_sentence"]

_MOST_CANDIDATES = 150


def _word(text: str) -> str:
    """The quantity that a metric's key or a requirement's text begins with."""
    found = re.match(r"\s*[A-Za-z_]\w*", text)
    return found[0].strip() if found else text


def search_sentence(board: Sequence[LeaderboardRow]) -> str:
    """Say in a sentence or two how many candidates were tried, and which was shipped.

    Args:
        board: every candidate.
    """
    if not board:
        return "No candidate was tried within the budget."
    n_measured = sum(1 for row in board if row.metrics)
    took = _duration(sum(row.seconds for row in board))
    count = "One candidate was" if len(board) == 1 else f"{len(board)} candidates were"
    sentence = f"{count} tried in {took}; {n_measured} of them measured."
    shipped = [row for row in board if row.chosen]
    return sentence + (f" Shipped: no. {shipped[0].number}." if shipped else " None was shipped.")


def board_of(board: Sequence[LeaderboardRow]) -> dict[str, Any]:
    """Prepare the table of candidates for the page.

    Args:
        board: every candidate; of very many the first are shown, and the shipped one.
    """
    keys = list(dict.fromkeys(key for row in board for key in row.metrics))
    words = [_word(key) for key in keys]
    names = [word if words.count(word) == 1 else key for word, key in zip(words, keys, strict=True)]
    kept = sorted(board, key=lambda row: not row.chosen)[:_MOST_CANDIDATES]
    rows = []
    for row in sorted(kept, key=lambda row: row.number):
        metrics = [_metric(row.metrics.get(key)) for key in keys]
        cells = [
            CellView(str(row.number), str(row.number)),
            CellView(row.name),
            CellView(row.status),
            *metrics,
            _quantity(row.size, "bytes"),
            CellView("–") if row.params is None else CellView(f"{row.params:,}", str(row.params)),
            CellView(f"{row.fidelity:.0%}" if row.fidelity else "–", f"{row.fidelity:.6g}"),
            CellView(_duration(row.seconds) if row.seconds else "–", f"{row.seconds:.6g}"),
            CellView("–") if row.parent is None else CellView(str(row.parent), str(row.parent)),
        ]
        rows.append({"cells": cells, "chosen": row.chosen, "note": row.note})
    left_out = len(board) - len(rows)
    note = f"{left_out:,} more candidates are in the run's ledger." if left_out else ""
    return {"metrics": names, "rows": rows, "note": note}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _metric(measurement: Measurement | None) -> CellView:
    return CellView("–") if measurement is None else _quantity(measurement.value, measurement.unit)


def _quantity(value: float | None, unit: str) -> CellView:
    if value is None:
        return CellView("–")
    key = f"{value:.10g}" if math.isfinite(value) else ""
    return CellView(format_value(value, unit), key)


def scatter_of(view: RunView) -> Figure | None:
    """Draw the score of each candidate against its size, and the bounds that are stated on either.

    Args:
        view: the run; candidates of which either number is not known are not drawn.

    Returns:
        The chart; None where nothing can be drawn.
    """
    drawn = [
        row
        for row in view.leaderboard
        if row.size and view.score in row.metrics and math.isfinite(row.metrics[view.score].value)
    ]
    if not drawn:
        return None
    largest = max(row.size or 0.0 for row in drawn)
    smallest = min(row.size or 0.0 for row in drawn)
    scale, unit = next(
        ((s, u) for s, u in ((1e9, "GB"), (1e6, "MB")) if largest >= 2 * s), (1e3, "kB")
    )
    word = _word(view.score)
    groups: dict[str, list[LeaderboardRow]] = {}
    for row in drawn:
        groups.setdefault(row.status, []).append(row)
    series = tuple(
        Series(
            status,
            tuple((row.size or 0.0) / scale for row in rows),
            tuple(row.metrics[view.score].value for row in rows),
            tuple(
                f"no. {row.number}, {row.name}: {word} "
                f"{format_value(row.metrics[view.score].value, row.metrics[view.score].unit)}, "
                f"{format_value(row.size or 0.0, 'bytes')}"
                for row in rows
            ),
        )
        for status, rows in groups.items()
    )
    unit_of_score = drawn[0].metrics[view.score].unit
    log_x = largest > 12 * smallest
    guides = []
    for requirement in view.requirements:
        if requirement.bound is None or not requirement.comparison:
            continue
        if requirement.comparison == ">=":
            side, words = "above", "≥"
        else:
            side, words = "below", "≤"
        if _word(requirement.text) == "size" and requirement.bound > 0:
            label = f"size {words} {bound_text(requirement.bound, 'bytes')}"
            guides.append(Guide("x", requirement.bound / scale, side, label))
        elif _word(requirement.text) == word:
            label = f"{word} {words} {bound_text(requirement.bound, unit_of_score)}"
            guides.append(Guide("y", requirement.bound, side, label))
    pins = tuple(
        Pin((row.size or 0.0) / scale, row.metrics[view.score].value, f"no. {row.number}, shipped")
        for row in drawn
        if row.chosen
    )
    title = f"{word} of each candidate against its size".capitalize()
    points = Points(title, f"size ({unit})", f"{word}, validation split", series, log_x)
    return chart(points, "search-scatter", guides=tuple(guides), pins=pins, full=True)
