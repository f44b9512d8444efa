"""Bar charts as SVG: upright where the names fit under the bars, lying down where they do not."""

import math

from netwright.finding import Bars
from netwright.report._frame import Box, axes, canvas, legend, nothing, series_class
from netwright.report._numbers import write_column
from netwright.report._scale import Axis, drawable, fit_axis, tick_texts
from netwright.report._svg import element, shorten, shorten_middle, text_width

__all__ = ["draw_bars"]

_MOST_LYING = 40  # categories; more become thin upright bars


def draw_bars(chart: Bars, ident: str, width: float, height: float, kind: str) -> str:
    """Draw a bar chart; the value axis always holds 0.

    Args:
        chart: what to draw.
        ident: unique in the page.
        width: of the view box.
        height: of the view box of upright bars; lying ones take what they need.
        kind: "wide" or "narrow".
    """
    names = tuple(dict.fromkeys(str(p) for s in chart.series for p in s.x))
    values: list[dict[str, tuple[float, str]]] = []
    for series in chart.series:
        titles = series.labels or tuple(
            f"{series.name + ': ' if len(chart.series) > 1 else ''}{p}, {v:.5g}"
            for p, v in zip(series.x, series.y, strict=True)
        )
        values.append({str(p): (v, t) for p, v, t in zip(series.x, series.y, titles, strict=True)})
    finite = [v for group in values for v, _ in group.values() if drawable(v)]
    axis = fit_axis(finite, zero=True, n_ticks=4 if kind == "narrow" else 5, extend=True)
    key = legend([s.name for s in chart.series], 4.0, width - 4, 0.0)
    head, top_markup = (key.height, key.markup) if len(chart.series) > 1 else (0.0, "")
    widest = max((text_width(n) for n in names), default=0.0)
    fits = widest + 8 <= (width - 60) / max(1, len(names))
    if fits or len(names) > _MOST_LYING or _is_scale(names):
        body, bottom = _upright(chart, names, values, axis, width, height, head)
    else:
        body, bottom = _lying(chart, names, values, axis, width, head, widest)
    description = f"Bar chart of {chart.y_label or 'values'} by {chart.x_label or 'category'}."
    if finite:
        description += (
            f" {len(names)} categories, values from {min(finite):.4g} to {max(finite):.4g}."
        )
    description += " The table below holds the data."
    return canvas(ident, width, bottom, chart.title, description, top_markup, body, kind=kind)


def _upright(
    chart: Bars,
    names: tuple[str, ...],
    values: list[dict[str, tuple[float, str]]],
    axis: Axis,
    width: float,
    height: float,
    head: float,
) -> tuple[str, float]:
    left = max((text_width(t) for t in tick_texts(axis)), default=0.0) + 14
    top = head + (38 if chart.y_label else 18)
    box = Box(left, top, width - 10, top + height - 72)
    room = (box.right - box.left) / max(1, len(names))
    widest = max((text_width(n) for n in names), default=0.0)
    every = max(1, math.ceil(min(widest + 10, 80) / room))
    ticks = tuple(
        (box.left + (k + 0.5) * room, shorten_middle(n, room * every - 4))
        for k, n in enumerate(names)
        if k % every == 0
    )
    n_series = max(1, len(values))
    texts = _texts(values)
    thick = min(44.0, room * (0.66 if room > 6 else 0.9)) / n_series
    zero = axis.place(0.0, box.bottom, box.top)
    groups, values_shown = [], []
    for place, group in enumerate(values):
        bars = []
        for k, name in enumerate(names):
            value, title = group.get(name, (math.nan, ""))
            if not drawable(value):
                continue
            start = box.left + (k + 0.5) * room + (place - n_series / 2) * thick
            end = axis.place(value, box.bottom, box.top)
            bars.append(_bar(start, min(zero, end), thick, abs(end - zero), title))
            written = texts[value]
            if n_series == 1 and len(names) <= 14 and text_width(written) < room:
                up = min(zero, end) - 6 if value >= 0 else max(zero, end) + 14
                values_shown.append(
                    element("text", text=written, class_="value mid", x=start + thick / 2, y=up)
                )
        groups.append(element("g", *bars, class_=f"{series_class(place)} bars"))
    frame = axes(
        box,
        axis,
        chart.y_label,
        head + 14,
        x_names=ticks,
        x_label=chart.x_label,
        x_label_bottom=box.bottom + 38,
    )
    base = element("line", class_="axis", x1=box.left, x2=box.right, y1=zero, y2=zero)
    empty = "" if any(values) else nothing(box)
    return frame + "".join([*groups, *values_shown, base, empty]), box.bottom + 46


def _lying(
    chart: Bars,
    names: tuple[str, ...],
    values: list[dict[str, tuple[float, str]]],
    axis: Axis,
    width: float,
    head: float,
    widest: float,
) -> tuple[str, float]:
    n_series = max(1, len(values))
    texts = _texts(values)
    thick = 16.0 if n_series == 1 else 11.0
    row = thick * n_series + 9
    left = min(widest + 12, width * 0.38)
    top = head + (22.0 if chart.x_label else 6.0)
    # Room for the value behind the longest bar, which then needs no reading off the axis.
    box = Box(left, top, width - 48, top + row * len(names))
    zero = axis.place(0.0, box.left, box.right)
    parts = []
    if chart.x_label:
        parts.append(
            element(
                "text", text=shorten(chart.x_label, width - 8), class_="label", x=4.0, y=top - 8
            )
        )
    for tick, shown in zip(axis.ticks, tick_texts(axis), strict=True):
        place = axis.place(tick, box.left, box.right)
        parts.append(
            element("line", class_="grid", x1=place, x2=place, y1=box.top, y2=box.bottom)
            + element("text", text=shown, class_="mid", x=place, y=box.bottom + 18)
        )
    for k, name in enumerate(names):
        middle = box.top + (k + 0.5) * row
        shown = shorten_middle(name, left - 11)
        whole = element("title", text=name) if shown != name else ""
        parts.append(element("text", whole, text=shown, class_="end", x=left - 8, y=middle + 4))
        for place, group in enumerate(values):
            value, title = group.get(name, (math.nan, ""))
            if not drawable(value):
                continue
            end = axis.place(value, box.left, box.right)
            upper = middle + (place - n_series / 2) * thick
            bar = _bar(min(zero, end), upper + 0.5, abs(end - zero), thick - 1, title)
            parts.append(element("g", bar, class_=f"{series_class(place)} bars"))
            if n_series == 1:
                parts.append(
                    element(
                        "text",
                        text=texts[value],
                        class_="value",
                        x=max(zero, end) + 6,
                        y=middle + 4,
                    )
                )
    parts.append(element("line", class_="axis", x1=zero, x2=zero, y1=box.top, y2=box.bottom))
    parts.append(
        element(
            "text",
            text=shorten(chart.y_label, width - 8),
            class_="label mid",
            x=(box.left + box.right) / 2,
            y=box.bottom + 38,
        )
    )
    return "".join(parts), box.bottom + 46


def _is_scale(names: tuple[str, ...]) -> bool:
    """Whether the categories are rising numbers, as the bins of a histogram are."""
    try:
        places = [float(name) for name in names]
    except ValueError:
        return False
    return all(a < b for a, b in zip(places, places[1:], strict=False))


def _texts(values: list[dict[str, tuple[float, str]]]) -> dict[float, str]:
    numbers = [float(v) for group in values for v, _ in group.values() if drawable(v)]
    return dict(zip(numbers, write_column(numbers), strict=True))


def _bar(x: float, y: float, width: float, height: float, title: str) -> str:
    return element(
        "rect", element("title", text=title), x=x, y=y, width=max(width, 0.5), height=float(height)
    )
