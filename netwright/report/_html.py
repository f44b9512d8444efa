"""Write a run as one self-contained HTML page: it opens offline, and data can run nothing in it."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright._files import write_atomically
from netwright.finding import Evidence, Finding, Measurement, Picture, Points, Series, format_value
from netwright.report._charts import Figure, chart, figure
from netwright.report._drawing import inline_drawing
from netwright.report._interval import draw_interval
from netwright.report._palette import stylesheet
from netwright.report._svg import clean
from netwright.report._tables import CellView, TableView, view_table
from netwright.report._verdict import interval_text, row_of, summarise
from netwright.report._view import LeaderboardRow, RequirementRow, RunView
from netwright.report._xy import Guide, Pin

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

__all__ = ["MOST_BYTES", "render_report", "write_report"]

MOST_BYTES = 2_000_000
_MOST_LETTERS = 20_000
_MOST_ROWS = 60
_MOST_CANDIDATES = 150


def write_report(view: RunView, path: Path) -> None:
    """Write the page of a run.

    Args:
        view: what to show.
        path: the file to write, replaced atomically; its folder must exist.

    Raises:
        ValueError: if a piece of evidence contradicts itself (see `render_report`).
    """
    write_atomically(path, render_report(view))


def render_report(view: RunView) -> str:
    """Lay a run out as HTML.

    The page needs no other file, asks for none, and stays below 2 MB: evidence that would take it
    beyond is named and left to `findings.json`. Text from data is escaped everywhere; beyond that a
    content security policy forbids every script but the page's own.

    Args:
        view: what to show.

    Raises:
        ValueError: if a piece of evidence contradicts itself: the lengths of a chart's series
            differ, a picture is no PNG, the drawing is no harmless SVG.
    """
    from markupsafe import Markup

    environment = _environment()
    parts: Any = environment.get_template("_parts.html.j2").module
    templates = Path(__file__).parent / "templates"
    script = (templates / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    context: dict[str, Any] = {
        "view": view,
        "script": Markup(script),
        "script_hash": f"sha256-{digest}",
        "style": Markup(stylesheet() + (templates / "report.css").read_text(encoding="utf-8")),
        **_verdict_context(view),
        **_network_context(view),
        **_search_context(view, parts),
        **_data_context(view),
        **_making_context(view),
        "training": [
            parts.figure(chart_figure)
            for chart_figure in (
                _mark(chart(t, f"training-{k}")) for k, t in enumerate(view.training)
            )
        ],
    }
    template = environment.get_template("report.html.j2")
    bare = template.render(**context, errors=(), findings=(), cards=(), contents=())
    room = MOST_BYTES - len(bare.encode()) - 20_000
    entries = _entries(view, parts, room)
    context |= {
        "errors": [e for e in entries if e["is_error"]],
        "findings": [e for e in entries if not e["is_error"] and e["has_evidence"]],
        "cards": [e for e in entries if not e["is_error"] and not e["has_evidence"]],
    }
    return template.render(**context, contents=_contents(context))


def _environment() -> "jinja2.Environment":
    import jinja2

    def finalise(value: object) -> object:
        return clean(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

    return jinja2.Environment(
        loader=jinja2.PackageLoader("netwright.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=finalise,
    )


def _mark(fig: Figure) -> dict[str, Any]:
    """Hand a figure to a template, its drawings marked as markup."""
    from markupsafe import Markup

    return {
        "ident": fig.ident,
        "title": fig.title,
        "room": fig.room,
        "drawings": [Markup(d) for d in fig.drawings],
        "image": fig.image,
        "table": fig.table,
    }


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]


def _ident(place: int, finding: Finding) -> str:
    return f"finding-{place}-{_slug(finding.name)}".rstrip("-")


def _cut(text: str) -> str:
    if len(text) <= _MOST_LETTERS:
        return text
    return f"{text[:_MOST_LETTERS]}\n… ({len(text) - _MOST_LETTERS:,} more characters)"


# --- first screen


def _verdict_context(view: RunView) -> dict[str, Any]:
    from markupsafe import Markup

    rows = []
    for requirement in view.requirements:
        row = row_of(requirement)
        place = next((k for k, f in enumerate(view.findings) if f == requirement.finding), None)
        link = None if place is None else _ident(place, view.findings[place])
        graphic = _graphic(requirement)
        rows.append(
            {
                **{name: getattr(row, name) for name in row.__dataclass_fields__},
                "link": link,
                "graphic": Markup(graphic),
            }
        )
    confidences = {
        r.finding.measurement.confidence for r in view.requirements if r.finding.measurement
    }
    one = len(confidences) == 1
    heading = f"{confidences.pop():.0%} interval".replace("%", " %") if one else "Interval"
    return {
        "verdict": summarise(view),
        "rows": rows,
        "interval_heading": heading,
        "unreachable": [p.strip() for p in _cut(view.unreachable).splitlines() if p.strip()],
        "front": view_table(view.front, most=_MOST_ROWS) if view.front else None,
    }


def _graphic(requirement: RequirementRow) -> str:
    measurement = requirement.finding.measurement
    if measurement is None:
        return ""
    judgement = requirement.finding.judgement
    unit = measurement.unit
    name = f"{format_value(measurement.value, unit)}, interval {interval_text(measurement)}"
    if requirement.bound is not None and requirement.comparison is not None:
        side = "at least" if requirement.comparison == ">=" else "at most"
        name += f"; required: {side} {format_value(requirement.bound, unit)}"
    return draw_interval(
        measurement,
        name,
        comparison=requirement.comparison,
        bound=requirement.bound,
        verdict=judgement.verdict if judgement else "undecided",
    )


# --- network and search


def _network_context(view: RunView) -> dict[str, Any]:
    from markupsafe import Markup

    name = f"Drawing of the network {view.design_name}".strip()
    drawing = Markup(inline_drawing(view.drawing, name)) if view.drawing else None
    figures = []
    for item in view.figures:
        shown, _, unit = format_value(item.value, item.unit).partition(" ")
        unit = "" if unit == item.label else unit
        if unit.endswith(f" {item.label}"):  # "M parameters" under the label "parameters"
            unit = unit.removesuffix(f" {item.label}")
        figures.append({"label": item.label, "number": shown, "unit": unit, "note": item.note})
    design = view.design_json
    if design:
        try:
            design = json.dumps(json.loads(design), indent=2, ensure_ascii=False)
        except ValueError:
            pass  # shown as it came
    return {
        "drawing": drawing,
        "figures": figures,
        "design_json": _cut(design),
        "show": {
            "network": bool(view.design_name or drawing or figures or design),
            "search": bool(view.leaderboard) or view.job == "build",
            "data": bool(
                view.splits or view.schema or view.quarantine or view.duplicates or view.notes
            ),
        },
    }


def _word(text: str) -> str:
    """The quantity that a metric's key or a requirement's text begins with."""
    found = re.match(r"\s*[A-Za-z_]\w*", text)
    return found[0].strip() if found else text


def _search_context(view: RunView, parts: Any) -> dict[str, Any]:
    board = view.leaderboard
    scatter = _scatter(view)
    n_trained = sum(1 for row in board if row.metrics)
    if not board:
        sentence = "No candidate was tried within the budget."
    else:
        seconds = format_value(sum(row.seconds for row in board), "s")
        count = "One candidate was" if len(board) == 1 else f"{len(board)} candidates were"
        sentence = f"{count} tried in {seconds}; {n_trained} were measured."
        shipped = [row for row in board if row.chosen]
        sentence += f" Shipped: no. {shipped[0].number}." if shipped else " None was shipped."
    return {
        "search_sentence": sentence,
        "scatter": parts.figure(_mark(scatter)) if scatter else None,
        "board": _board(board) if board else None,
    }


def _board(board: Sequence[LeaderboardRow]) -> dict[str, Any]:
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
            CellView(f"{row.fidelity:.0%}".replace("%", " %"), f"{row.fidelity:.6g}"),
            _quantity(row.seconds, "s"),
            CellView("–") if row.parent is None else CellView(str(row.parent), str(row.parent)),
        ]
        rows.append({"cells": cells, "chosen": row.chosen, "note": row.note})
    left_out = len(board) - len(rows)
    note = f"{left_out:,} more candidates are in the run's ledger." if left_out else ""
    return {"metrics": names, "rows": rows, "note": note}


def _metric(measurement: Measurement | None) -> CellView:
    return CellView("–") if measurement is None else _quantity(measurement.value, measurement.unit)


def _quantity(value: float | None, unit: str) -> CellView:
    if value is None:
        return CellView("–")
    key = f"{value:.10g}" if math.isfinite(value) else ""
    return CellView(format_value(value, unit), key)


def _scatter(view: RunView) -> Figure | None:
    """The score of each candidate against its size, with the bounds that are stated on either."""
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
            label = f"size {words} {format_value(requirement.bound, 'bytes')}"
            guides.append(Guide("x", requirement.bound / scale, side, label))
        elif _word(requirement.text) == word:
            label = f"{word} {words} {format_value(requirement.bound)}"
            guides.append(Guide("y", requirement.bound, side, label))
    pins = tuple(
        Pin((row.size or 0.0) / scale, row.metrics[view.score].value, f"no. {row.number}, shipped")
        for row in drawn
        if row.chosen
    )
    title = f"{word} of each candidate against its size".capitalize()
    points = Points(title, f"size ({unit})", f"{word}, validation split", series, log_x)
    drawing = chart(points, "search-scatter", guides=tuple(guides), pins=pins)
    return drawing


# --- findings


@dataclass(slots=True)
class _Room:
    """Bytes that are left for evidence."""

    left: int

    def take(self, markup: "Markup") -> bool:
        size = len(markup.encode())
        if size > self.left:
            return False
        self.left -= size
        return True


def _entries(view: RunView, parts: Any, room: int) -> list[dict[str, Any]]:
    left = _Room(room)
    return [
        _entry(finding, place, parts, left, finding.name in view.errors)
        for place, finding in enumerate(view.findings)
    ]


def _entry(finding: Finding, place: int, parts: Any, room: _Room, is_error: bool) -> dict[str, Any]:
    from markupsafe import Markup

    ident = _ident(place, finding)
    pictures, figures = [], []
    for k, evidence in enumerate(finding.evidence):
        markup = parts.figure(_mark(_figure(evidence, f"{ident}-{k}", finding)))
        if not room.take(markup):
            markup = parts.left_out(evidence.title)
        (pictures if isinstance(evidence, Picture) else figures).append(markup)
    line = None
    if finding.measurement is not None:
        measured = finding.measurement
        about = _about(measured)
        name = f"{format_value(measured.value, measured.unit)}; {about}"
        graphic = "" if measured.low == measured.high else draw_interval(measured, name)
        line = {
            "value": format_value(measured.value, measured.unit),
            "graphic": Markup(graphic),
            "about": about,
            "warning": measured.unresolved,
        }
    judgement = finding.judgement
    return {
        "ident": ident,
        "title": finding.title,
        "summary": finding.summary,
        "line": line,
        "verdict": judgement.verdict if judgement else None,
        "requirement": finding.requirement,
        "reason": judgement.reason if judgement else "",
        "pictures": pictures,
        "figures": figures,
        "has_evidence": bool(pictures or figures),
        "is_error": is_error,
    }


def _figure(evidence: Evidence, ident: str, finding: Finding) -> Figure:
    try:
        return figure(evidence, ident)
    except ValueError as error:
        raise ValueError(f"Finding `{finding.name}`: {error}") from error


def _about(measured: Measurement) -> str:
    pieces = []
    if measured.method != "exact" or measured.low != measured.high:
        pieces.append(
            f"{measured.confidence:.0%}".replace("%", " %")
            + f" interval {interval_text(measured)} ({measured.method})"
        )
    if measured.n > 1:
        pieces.append(f"n = {measured.n:,}")
    if measured.note:
        pieces.append(measured.note)
    return " · ".join(pieces)


# --- data and making


def _data_context(view: RunView) -> dict[str, Any]:
    total = sum(n for _, n in view.splits)
    splits = [
        {
            "label": name,
            "number": f"{n:,}",
            "note": f"{n / total:.0%} of the rows".replace("%", " %") if total else "",
        }
        for name, n in view.splits
    ]
    looks = ""
    if view.looks:
        times = {1: "once", 2: "twice"}.get(len(view.looks), f"{len(view.looks)} times")
        looks = f"The test split was opened {times}: {'; '.join(view.looks)}."
    return {
        "splits": splits,
        "looks": looks,
        "schema": _cut(view.schema),
        "quarantine": view_table(view.quarantine, most=_MOST_ROWS) if view.quarantine else None,
        "duplicates": view_table(view.duplicates, most=_MOST_ROWS) if view.duplicates else None,
    }


def _making_context(view: RunView) -> dict[str, Any]:
    facts = [("Made", view.created.replace("T", " ")), ("Netwright", view.version)]
    if view.seed is not None:
        facts.append(("Seed", str(view.seed)))
    if view.device:
        facts.append(("Device", view.device))
    facts += view.versions
    if view.agreement is not None:
        facts.append(("Largest difference, ONNX Runtime against torch", f"{view.agreement:.2g}"))
    files = None
    if view.files:
        rows = tuple(
            (
                CellView(file.name),
                CellView(format_value(file.size, "bytes"), str(file.size)),
                CellView(file.sha256),
            )
            for file in view.files
        )
        files = TableView(
            "Files of the run", ("file", "size", "SHA-256"), (False, True, False), rows, headed=True
        )
    budget = view_table(view.budget, headed=True) if view.budget else None
    return {"command": _cut(view.command), "facts": facts, "files": files, "budget": budget}


def _contents(context: dict[str, Any]) -> list[dict[str, Any]]:
    show = context["show"]
    found = context["findings"]
    listed = (
        ("verdict", "Verdict", True, ()),
        ("network", "The network", show["network"], ()),
        ("search", "The search", show["search"], ()),
        ("training", "Training", bool(context["training"]), ()),
        ("errors", "The errors", bool(context["errors"]), context["errors"]),
        ("findings", "Findings", bool(found or context["cards"]), found),
        ("data", "The data", show["data"], ()),
        ("making", "How this was made", True, ()),
    )
    return [
        {"ident": ident, "title": title, "inside": inside if len(inside) > 1 else ()}
        for ident, title, shown, inside in listed
        if shown
    ]
