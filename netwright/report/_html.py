"""Write a run as one self-contained HTML page: it opens offline, and data can run nothing in it."""

import base64
import datetime
import functools
import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright._files import write_atomically
from netwright.finding import Evidence, Finding, Heatmap, Measurement, Picture, format_value
from netwright.report._charts import Figure, chart, figure
from netwright.report._drawing import inline_drawing
from netwright.report._interval import draw_interval
from netwright.report._palette import stylesheet
from netwright.report._search import board_of, scatters_of, search_sentence
from netwright.report._svg import clean
from netwright.report._tables import CellView, TableView, view_table
from netwright.report._verdict import bound_text, interval_text, row_of, summarise
from netwright.report._view import RequirementRow, RunView

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

__all__ = ["MOST_BYTES", "render_report", "write_report"]

MOST_BYTES = 2_000_000
_MOST_LETTERS = 20_000
_MOST_ROWS = 60
_METHODS = {"wilson": "Wilson", "clopper-pearson": "Clopper-Pearson"}


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


@functools.cache
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


def _coded(text: str) -> "Markup":
    """Escape a line, and set what stands in backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(clean(text.strip())))))


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
    heading = f"{100 * confidences.pop():.0f} % interval" if one else "Interval"
    return {
        "verdict": summarise(view),
        "rows": rows,
        "interval_heading": heading,
        "unreachable": [_coded(p) for p in _cut(view.unreachable).splitlines() if p.strip()],
        "front": view_table(view.front, most=_MOST_ROWS) if view.front else None,
        "prices": view_table(view.prices, most=_MOST_ROWS) if view.prices else None,
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
        name += f"; required: {side} {bound_text(requirement.bound, unit)}"
    return draw_interval(
        measurement,
        name,
        comparison=requirement.comparison,
        bound=requirement.bound,
        verdict=judgement.verdict if judgement else "undecided",
    )


def _search_context(view: RunView, parts: Any) -> dict[str, Any]:
    scatters = scatters_of(view)
    return {
        "search_sentence": search_sentence(view.leaderboard),
        "scatters": [{"name": name, "figure": parts.figure(_mark(f))} for name, f in scatters],
        "board": board_of(view.leaderboard) if view.leaderboard else None,
        "cells": _inline(view.cells, "The cells of the network"),
        "decided": [
            parts.figure(_mark(chart(c, f"decided-{k}", full=isinstance(c, Heatmap))))
            for k, c in enumerate(view.decided)
        ],
    }


def _inline(svg: str, name: str) -> "Markup | None":
    from markupsafe import Markup

    return Markup(inline_drawing(svg, name).markup) if svg else None


def _network_context(view: RunView) -> dict[str, Any]:
    from markupsafe import Markup

    name = f"Drawing of the network {view.design_name}".strip()
    drawing = inline_drawing(view.drawing, name) if view.drawing else None
    figures = []
    for item in view.figures:
        shown, unit = format_value(item.value, item.unit), ""
        if math.isfinite(item.value):
            shown, _, unit = shown.partition(" ")
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
        "drawing": Markup(drawing.markup) if drawing else None,
        "tall": drawing is not None and drawing.height > drawing.width,
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
    entries = [_entry(finding, place, view) for place, finding in enumerate(view.findings)]
    left = _Room(room - sum(len(parts.finding(entry).encode()) for entry in entries))
    for entry, finding in zip(entries, view.findings, strict=True):
        entry["blocks"] = _blocks(finding, entry["ident"], parts, left)
    return entries


def _entry(finding: Finding, place: int, view: RunView) -> dict[str, Any]:
    """What a page says of a finding, but for its evidence."""
    judgement = finding.judgement
    return {
        "ident": _ident(place, finding),
        "title": finding.title or finding.name or "Finding",
        "summary": _cut(finding.summary),
        "line": _line(finding, view),
        "verdict": judgement.verdict if judgement else None,
        "requirement": finding.requirement,
        "reason": judgement.reason if judgement else "",
        "blocks": [],
        "has_evidence": bool(finding.evidence),
        "is_error": finding.name in view.errors,
    }


def _line(finding: Finding, view: RunView) -> dict[str, Any] | None:
    from markupsafe import Markup

    measured = finding.measurement
    if measured is None:
        return None
    demanded = [r for r in view.requirements if r.finding == finding]
    shown = format_value(measured.value, measured.unit)
    if demanded:
        graphic = _graphic(demanded[0])
    elif measured.low == measured.high:
        graphic = ""
    else:
        graphic = draw_interval(measured, f"{shown}, interval {interval_text(measured)}")
    return {
        "value": shown,
        "graphic": Markup(graphic),
        "about": _about(measured),
        "warning": measured.unresolved,
    }


def _blocks(finding: Finding, ident: str, parts: Any, room: _Room) -> list[dict[str, Any]]:
    """A finding's evidence, in its order; pictures that follow each other stand together."""
    blocks: list[dict[str, Any]] = []
    for k, evidence in enumerate(finding.evidence):
        markup = parts.figure(_mark(_figure(evidence, f"{ident}-{k}", finding)))
        if not room.take(markup):
            markup = parts.left_out(evidence.title)
        kind = "gallery" if isinstance(evidence, Picture) else "figures"
        if not blocks or blocks[-1]["kind"] != kind:
            blocks.append({"kind": kind, "pieces": []})
        blocks[-1]["pieces"].append(markup)
    return blocks


def _figure(evidence: Evidence, ident: str, finding: Finding) -> Figure:
    try:
        return figure(evidence, ident)
    except ValueError as error:
        raise ValueError(f"Finding `{finding.name}`: {error}") from error


def _about(measured: Measurement) -> str:
    pieces = []
    if measured.method != "exact" or measured.low != measured.high:
        pieces.append(
            f"{100 * measured.confidence:.0f} % interval {interval_text(measured)} "
            f"({_METHODS.get(measured.method, measured.method)})"
        )
    if measured.n > 1:
        pieces.append(f"n = {measured.n:,}")
    if measured.note:
        pieces.append(measured.note)
    return " · ".join(pieces)


def _data_context(view: RunView) -> dict[str, Any]:
    total = sum(n for _, n in view.splits)
    splits = [
        {
            "label": name,
            "number": f"{n:,}",
            "note": f"{100 * n / total:.0f} % of the rows" if total else "",
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
    facts = [("Made", _moment(view.created)), ("Netwright", view.version)]
    if view.seed is not None:
        facts.append(("Seed", str(view.seed)))
    if view.device:
        facts.append(("Device", view.device))
    facts += [(name, v) for name, v in view.versions if name.lower() != "netwright"]
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
            "Files of the run",
            ("file", "size", "SHA-256"),
            (False, True, False),
            rows,
            headed=True,
            room=("", "", "loose"),
        )
    budget = view_table(view.budget, headed=True) if view.budget else None
    return {"command": _cut(view.command), "facts": facts, "files": files, "budget": budget}


def _moment(created: str) -> str:
    try:
        moment = datetime.datetime.fromisoformat(created)
    except ValueError:
        return created
    if moment.tzinfo is None:
        return moment.strftime("%Y-%m-%d %H:%M")
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


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
