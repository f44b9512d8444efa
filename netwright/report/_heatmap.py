"""Heatmaps as SVG; confusion matrices show hits and mistakes on scales of their own."""

import math

from netwright.finding import Heatmap
from netwright.report._frame import Box, Legend, canvas, nothing
from netwright.report._svg import element, shorten, shorten_middle, text_width

__all__ = ["draw_heatmap", "is_confusion"]

_LEVELS = 10
_MOST_TITLES = 2500


def is_confusion(chart: Heatmap) -> bool:
    """Say whether rows and columns name the same classes and the diagonal counts the hits.

    Args:
        chart: any heatmap.
    """
    cells = [v for row in chart.values for v in row]
    return (
        len(chart.rows) > 1
        and chart.rows == chart.columns
        and all(math.isfinite(v) and v >= 0 and v == int(v) for v in cells)
        and any(chart.values[k][k] > 0 for k in range(len(chart.rows)))
    )


def draw_heatmap(chart: Heatmap, ident: str, width: float, kind: str) -> str:
    """Draw a matrix of numbers as a grid of tinted cells.

    Args:
        chart: what to draw.
        ident: unique in the page.
        width: of the view box; the height follows from the number of rows.
        kind: "wide" or "narrow".
    """
    n_rows, n_columns = len(chart.rows), len(chart.columns)
    row_room = min(max((text_width(n, 11) for n in chart.rows), default=0.0) + 10, width * 0.3)
    side = (width - row_room - 10) / max(1, n_columns)
    cell = min(side, 46.0)
    tall = min(cell, 34.0) if n_rows * cell > width else cell
    upright = max((text_width(n, 11) for n in chart.columns), default=0.0) + 4 <= cell
    column_room = (
        20.0
        if upright
        else min(max((text_width(n, 11) for n in chart.columns), default=0.0) + 8, 110.0)
    )
    head = 22.0 if chart.y_label else 6.0
    left, top = row_room, head + 4
    bottom = top + tall * n_rows
    every = max(1, math.ceil(12 / cell)), max(1, math.ceil(12 / tall))
    parts = [
        element(
            "rect", class_="ground", x=left, y=top, width=cell * n_columns, height=tall * n_rows
        )
    ]
    parts += _cells(chart, left, top, cell, tall)
    for k, name in enumerate(chart.rows):
        if k % every[1] == 0:
            parts.append(
                _name(name, row_room - 8, "end small", left - 6, top + (k + 0.5) * tall + 4)
            )
    for k, name in enumerate(chart.columns):
        if k % every[0]:
            continue
        x = left + (k + 0.5) * cell
        if upright:
            parts.append(_name(name, cell, "mid small", x, bottom + 14))
        else:
            parts.append(
                _name(
                    name,
                    column_room - 8,
                    "end small",
                    x + 4,
                    bottom + 6,
                    transform=f"rotate(-90 {x + 4:.1f} {bottom + 6:.1f})",
                )
            )
    if chart.y_label:
        label = shorten(f"{chart.y_label} ↓", width - 8)
        parts.append(element("text", text=label, class_="label", x=4.0, y=14.0))
    end = bottom + column_room
    if chart.x_label:
        middle = left + cell * n_columns / 2
        label = shorten(f"{chart.x_label} →", width - 8)
        x = min(max(middle, text_width(label) / 2 + 4), width - text_width(label) / 2 - 4)
        parts.append(element("text", text=label, class_="label mid", x=x, y=end + 16))
        end += 22
    if not chart.rows or not chart.columns:
        parts = [nothing(Box(0.0, 0.0, width, 60.0))]
        end = 60.0
    used = max(left + cell * n_columns + 10, width if kind == "narrow" else 320.0)
    if not _written(chart, cell, tall):
        ramps = _ramps(chart, width, end + 14)
        parts.append(ramps.markup)
        end += ramps.height + 14
    description = _describe(chart)
    return canvas(ident, used, end + 6, chart.title, description, *parts, kind=kind)


def _name(name: str, room: float, class_: str, x: float, y: float, **more: str) -> str:
    shown = shorten_middle(name, room, 11)
    whole = element("title", text=name) if shown != name else ""
    return element("text", whole, text=shown, class_=class_, x=x, y=y, **more)


def _cells(chart: Heatmap, left: float, top: float, cell: float, tall: float) -> list[str]:
    confusion = is_confusion(chart)
    flat = [abs(v) for row in chart.values for v in row if math.isfinite(v)]
    signed = any(v < 0 for row in chart.values for v in row)
    most = max(flat, default=0.0) or 1.0
    wrong = (
        [v for i, row in enumerate(chart.values) for j, v in enumerate(row) if i != j]
        if confusion
        else []
    )
    most_wrong = max(wrong, default=0.0) or 1.0
    whole_numbers = all(v == int(v) for v in flat)
    texts = _texts(flat)
    write = _written(chart, cell, tall)
    titled = sum(1 for v in flat if v) <= _MOST_TITLES
    gap = 1.0 if cell > 9 else 0.0
    parts = []
    for i, row in enumerate(chart.values):
        for j, value in enumerate(row):
            if not math.isfinite(value) or (value == 0 and whole_numbers):
                continue
            mistake = confusion and i != j
            share = abs(value) / (most_wrong if mistake else most)
            # Few mistakes among many hits must still be seen: no counted cell is paler than 2.
            level = max(2 if confusion else 0, round((_LEVELS - 1) * share))
            tone = "error" if mistake or (signed and value < 0) else "heat"
            shown = texts[abs(value)] if value >= 0 else f"−{texts[abs(value)]}"
            title = (
                element(
                    "title",
                    text=f"{chart.y_label} {chart.rows[i]}, {chart.x_label} "
                    f"{chart.columns[j]}: {shown}",
                )
                if titled
                else ""
            )
            x, y = left + j * cell, top + i * tall
            parts.append(
                element(
                    "rect",
                    title,
                    class_=f"{tone} q{level}",
                    x=x + gap / 2,
                    y=y + gap / 2,
                    width=cell - gap,
                    height=tall - gap,
                )
            )
            if write:
                parts.append(
                    element("text", text=shown, class_="cell", x=x + cell / 2, y=y + tall / 2 + 4)
                )
    return parts


def _texts(flat: list[float]) -> dict[float, str]:
    whole = all(v == int(v) for v in flat)
    return {v: f"{v:,.0f}" if whole and v < 1e9 else f"{v:.2g}" for v in set(flat)}


def _written(chart: Heatmap, cell: float, tall: float) -> bool:
    """Whether the cells are large enough to hold their numbers."""
    flat = [abs(v) for row in chart.values for v in row if math.isfinite(v)]
    widest = max((text_width(t, 11) for t in _texts(flat).values()), default=0.0)
    return widest + 6 <= cell and tall >= 15


def _ramps(chart: Heatmap, right: float, top: float) -> Legend:
    """A key to the tints, where the cells are too small for their numbers."""
    values = [v for row in chart.values for v in row if math.isfinite(v)]
    if not values:
        return Legend("", 0.0)
    most = max(abs(v) for v in values)
    ramps = [("heat", "", most)]
    if is_confusion(chart):
        wrong = [v for i, row in enumerate(chart.values) for j, v in enumerate(row) if i != j]
        ramps = [("heat", "hits", most), ("error", "mistakes", max(wrong, default=0.0))]
    elif min(values) < 0:
        ramps = [("error", "below 0", -most), ("heat", "above 0", most)]
    parts, x, y = [], 4.0, top
    for tone, name, end in ramps:
        label = f"{name} to {end:,.4g}".strip().replace("-", "−")
        width = 66 + text_width(label, 11)
        if x > 4 and x + width > right:
            x, y = 4.0, y + 20
        for level in range(0, _LEVELS, 2):
            parts.append(
                element(
                    "rect", class_=f"{tone} q{level}", x=x + 6 * level, y=y, width=12, height=12
                )
            )
        parts.append(element("text", text=label, class_="small", x=x + 66, y=y + 10))
        x += width + 20
    return Legend("".join(parts), y + 14 - top)


def _describe(chart: Heatmap) -> str:
    size = f"{len(chart.rows)} rows ({chart.y_label}) and {len(chart.columns)} columns"
    text = f"Matrix of {size} ({chart.x_label})."
    if is_confusion(chart):
        mistakes = sorted(
            (
                (-value, chart.rows[i], chart.columns[j])
                for i, row in enumerate(chart.values)
                for j, value in enumerate(row)
                if i != j and value
            ),
        )[:3]
        hits = sum(chart.values[k][k] for k in range(len(chart.rows)))
        total = sum(sum(row) for row in chart.values)
        text += f" {hits:,.0f} of {total:,.0f} lie on the diagonal."
        if mistakes:
            listed = "; ".join(f"{a} taken for {b}, {-n:.0f}" for n, a, b in mistakes)
            text += f" Most frequent off it: {listed}."
    return text + " The table below holds the data."
