"""How the search went: every candidate in a table, and its score against what it costs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netwright.finding import Measurement, Points, Series, format_value
from netwright.report._charts import Figure, chart
from netwright.report._tables import CellView
from netwright.report._verdict import bound_text
from netwright.report._view import LeaderboardRow, RunView
from netwright.report._xy import Guide, Pin

__all__ = ["board_of", "scatters_of", "search_sentence"]

_MOST_CANDIDATES = 150
_MOST_DRAWN = 250


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
            CellView(_share(row) if row.fidelity else "–", f"{row.fidelity:.6g}"),
            CellView(_duration(row.seconds) if row.seconds else "–", f"{row.seconds:.6g}"),
            CellView("–") if row.parent is None else CellView(str(row.parent), str(row.parent)),
        ]
        rows.append({"cells": cells, "chosen": row.chosen, "note": row.note})
    left_out = len(board) - len(rows)
    note = f"{left_out:,} more candidates are in the run's ledger." if left_out else ""
    return {"metrics": names, "rows": rows, "note": note}


def _share(row: LeaderboardRow) -> str:
    of = {"rows": " of the rows", "resolution": " of the pixels"}.get(row.axis, "")
    return f"{row.fidelity:.0%}" + (of if row.fidelity < 1 else "")


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


@dataclass(frozen=True, slots=True)
class _Cost:
    # What the score is drawn against: its name for people, its unit, its value of each candidate.
    name: str
    unit: str
    values: Mapping[int, float]

    @property
    def scale(self) -> tuple[float, str]:
        """By how much to divide, and the unit that this gives."""
        steps = {
            "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")),
            "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
        }.get(self.unit)
        if steps is None:
            return 1.0, ""
        largest = max(self.values.values())
        return next((step for step in steps if largest >= 2 * step[0]), steps[-1])


_UNITS = ("bytes", "s", "MACs", "parameters")  # of what is a cost; other requirements are scores


def _costs(view: RunView) -> list[_Cost]:
    """List what candidates cost, for which at least one has a number beside its score."""
    rows = [row for row in view.leaderboard if _score(row, view.score) is not None]
    found: dict[str, dict[int, Measurement]] = {}
    for row in rows:
        for key, measured in {**row.costs, **row.metrics}.items():
            found.setdefault(key, {})[row.number] = measured
    costs = [
        _Cost("size", "bytes", {r.number: r.size for r in rows if r.size}),
        _Cost("parameters", "parameters", {r.number: float(r.params) for r in rows if r.params}),
    ]
    names = [_word(key) for key in found]
    for key, measured in found.items():
        unit = next(iter(measured.values())).unit
        name = key if names.count(_word(key)) > 1 else _word(key)
        if key != view.score and unit in _UNITS and name not in ("size", "params", "parameters"):
            values = {number: m.value for number, m in measured.items()}
            name = "operations" if unit == "MACs" else name
            costs.append(_Cost(name, unit, values))
    drawable = (
        _Cost(c.name, c.unit, {n: v for n, v in c.values.items() if math.isfinite(v) and v > 0})
        for c in costs
    )
    return [cost for cost in drawable if cost.values]


def _score(row: LeaderboardRow, key: str) -> Measurement | None:
    measured = row.metrics.get(key)
    return measured if measured is not None and math.isfinite(measured.value) else None


def scatters_of(view: RunView) -> tuple[tuple[str, Figure], ...]:
    """Draw the score of each candidate against each of its costs, with the bounds on either.

    Args:
        view: the run; candidates of which either number is not known are not drawn.

    Returns:
        The name of each cost and its chart; bytes come first.
    """
    return tuple((cost.name, _scatter(view, cost)) for cost in _costs(view))


def _scatter(view: RunView, cost: _Cost) -> Figure:
    word = _word(view.score)
    rows = _drawn([row for row in view.leaderboard if row.number in cost.values], view, cost)
    scores = {row.number: m for row in rows if (m := _score(row, view.score)) is not None}
    scale, unit = cost.scale
    places = {n: (cost.values[n] / scale, scores[n].value) for n in scores}
    groups: dict[str, list[LeaderboardRow]] = {}
    for row in sorted(rows, key=lambda row: row.fidelity < 1):
        brief = row.status == "trained" and row.fidelity < 1
        groups.setdefault("trained briefly" if brief else row.status, []).append(row)
    series = tuple(
        Series(
            status,
            tuple(places[row.number][0] for row in group),
            tuple(places[row.number][1] for row in group),
            tuple(_hover(row, word, scores[row.number]) for row in group),
        )
        for status, group in groups.items()
    )
    values = [cost.values[n] for n in places]
    higher = _higher_is_better(view)
    pins = tuple(
        Pin(*places[row.number], f"no. {row.number}, shipped") for row in rows if row.chosen
    )
    title = f"{word} of each candidate against its {cost.name}".capitalize()
    label = f"{cost.name} ({unit})" if unit else cost.name
    points = Points(
        title, label, f"{word}, validation split", series, max(values) > 12 * min(values)
    )
    plain = _word(cost.name)
    ident = "search-scatter" if plain == "size" else f"search-scatter-{_slug(cost.name)}"
    return chart(
        points,
        ident,
        guides=_guides(view, cost, scale, next(iter(scores.values())).unit),
        pins=pins,
        path=_front([places[n] for n in places], higher=higher),
        full=True,
    )


def _drawn(rows: list[LeaderboardRow], view: RunView, cost: _Cost) -> list[LeaderboardRow]:
    """Of very many candidates an even sample; the shipped one and the front are always in it."""
    if len(rows) <= _MOST_DRAWN:
        return rows
    spots = [(cost.values[r.number], r.metrics[view.score].value) for r in rows]
    front = set(_front(spots, higher=_higher_is_better(view)))
    kept = {k * len(rows) // _MOST_DRAWN for k in range(_MOST_DRAWN)}
    kept |= {spots.index(spot) for spot in front}
    kept |= {k for k, row in enumerate(rows) if row.chosen}
    return [rows[k] for k in sorted(kept)]


def _hover(row: LeaderboardRow, word: str, score: Measurement) -> str:
    parts = [f"no. {row.number}, {row.name}: {word} {format_value(score.value, score.unit)}"]
    if row.size:
        parts.append(format_value(row.size, "bytes"))
    if row.params:
        parts.append(format_value(row.params, "parameters"))
    shown = {**row.costs, **row.metrics}.items()
    for key, m in shown:
        if m.unit in ("s", "MACs") and math.isfinite(m.value):
            value = format_value(m.value, m.unit)
            parts.append(value if m.unit == "MACs" else f"{_word(key)} {value}")
    if row.fidelity < 1:
        parts.append(f"{_share(row)} of a training" if row.axis == "epochs" else _share(row))
    return ", ".join(parts)


def _guides(view: RunView, cost: _Cost, scale: float, score_unit: str) -> tuple[Guide, ...]:
    """The bounds on this cost and on the score."""
    word = _word(view.score)
    own = {"parameters": "params", "operations": "macs"}.get(cost.name, _word(cost.name))
    guides = []
    for requirement in view.requirements:
        if requirement.bound is None or not requirement.comparison:
            continue
        side, sign = ("above", "≥") if requirement.comparison == ">=" else ("below", "≤")
        about = _word(requirement.text)
        is_named = cost.name in (about, requirement.text) or about == own
        if is_named and requirement.bound > 0:
            label = f"{about} {sign} {bound_text(requirement.bound, cost.unit)}"
            guides.append(Guide("x", requirement.bound / scale, side, label))
        elif about == word:
            label = f"{word} {sign} {bound_text(requirement.bound, score_unit)}"
            guides.append(Guide("y", requirement.bound, side, label))
    return tuple(guides)


def _higher_is_better(view: RunView) -> bool:
    from netwright.quantities import CATALOGUE

    quantity = CATALOGUE.get(_word(view.score))
    return quantity is None or quantity.better == "higher"


def _front(
    spots: Sequence[tuple[float, float]], *, higher: bool
) -> tuple[tuple[float, float], ...]:
    """The candidates that no cheaper one equals, from the cheapest on."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(spots, key=lambda spot: (spot[0], -spot[1] if higher else spot[1])):
        if not front or (y > front[-1][1] if higher else y < front[-1][1]):
            front.append((x, y))
    return tuple(front)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
