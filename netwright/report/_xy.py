"""Line and scatter charts as SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from netwright.finding import Lines, Points, Series
from netwright.report._frame import Box, axes, canvas, dash, legend, marker, nothing, series_class
from netwright.report._scale import Axis, drawable, fit_axis, tick_texts
from netwright.report._svg import element, shorten_middle, text_width

__all__ = ["Guide", "Pin", "decimate", "draw_lines", "draw_points"]

_MOST_POINTS = 400
_Spot = tuple[float, float, str]  # x and y in units of the data, hover text


@dataclass(frozen=True, slots=True)
class Guide:
    """A bound drawn across a scatter chart.

    Attributes:
        axis: the axis it bounds.
        value: in units of the data.
        side: the side on which the bound is satisfied.
        label: a few words.
    """

    axis: Literal["x", "y"]
    value: float
    side: Literal["above", "below"]
    label: str


@dataclass(frozen=True, slots=True)
class Pin:
    """A point with a ring round it and its name beside it.

    Attributes:
        x: in units of the data.
        y: in units of the data.
        label: a few words.
    """

    x: float
    y: float
    label: str


def decimate(spots: Sequence[_Spot], most: int = _MOST_POINTS) -> tuple[_Spot, ...]:
    """Thin out a line: of each stretch keep its first, last, lowest and highest point.

    Args:
        spots: points in drawing order.
        most: how many to keep; at least 4.

    Returns:
        At most `most` points, in order, with every extreme of the whole among them.
    """
    if len(spots) <= most:
        return tuple(spots)
    n_stretches = max(1, most // 4)
    kept: list[_Spot] = []
    for k in range(n_stretches):
        start = k * len(spots) // n_stretches
        end = (k + 1) * len(spots) // n_stretches
        stretch = range(start, end)
        lowest = min(stretch, key=lambda i: spots[i][1])
        highest = max(stretch, key=lambda i: spots[i][1])
        kept += [spots[i] for i in sorted({start, end - 1, lowest, highest})]
    return tuple(kept)


def draw_lines(chart: Lines, ident: str, width: float, height: float, kind: str) -> str:
    """Draw a line chart.

    Args:
        chart: what to draw.
        ident: unique in the page.
        width: of the view box.
        height: of the view box, before a legend is added.
        kind: "wide" or "narrow"; a narrow one has no direct labels and fewer ticks.
    """
    names = _categories(chart.series)
    spots = [_spots(s, names, chart.log_x, chart.log_y) for s in chart.series]
    drawn = [p for line in spots for p in line]
    y_values = [p[1] for p in drawn]
    if chart.diagonal:
        y_values += [0.0, 1.0]
    y = fit_axis(y_values, log=chart.log_y, zero=_near_zero(y_values), n_ticks=5, extend=True)
    x = _x_axis(chart, [p[0] for p in drawn], names, kind)
    n_series = len(chart.series)
    longest = max((text_width(s.name) for s in chart.series), default=0.0)
    direct = kind != "narrow" and 1 < n_series <= 4 and longest <= width * 0.28
    named = n_series > 1 and not direct
    key = legend([s.name for s in chart.series], 4.0, width - 4, 0.0, lines=True)
    head = key.height if named else 0.0
    left = _left(y)
    right = width - (longest + 20 if direct else 14)
    top = head + (30 if chart.y_label else 10)
    box = Box(left, top, right, top + height - 72)
    parts = [key.markup if named else ""]
    parts.append(
        axes(
            box,
            y,
            chart.y_label,
            head + 14,
            x=None if names else x,
            x_names=_named_ticks(names, x, box),
            x_label=chart.x_label,
            x_label_bottom=box.bottom + 38,
        )
    )
    if chart.diagonal:
        parts.append(_diagonal(x, y, box))
    ends: list[tuple[float, int, str]] = []
    for place, (series, line) in enumerate(zip(chart.series, spots, strict=True)):
        path, marks, end = _line(line, x, y, box, kind, place, dashed=named)
        parts.append(element("g", path, marks, class_=series_class(place)))
        if direct and end is not None:
            ends.append((end, place, series.name))
    parts += _end_labels(ends, box)
    if not drawn:
        parts.append(nothing(box))
    description = _describe("Line chart", chart, spots)
    return canvas(ident, width, box.bottom + 46, chart.title, description, *parts, kind=kind)


def draw_points(
    chart: Points,
    ident: str,
    width: float,
    height: float,
    kind: str,
    *,
    guides: tuple[Guide, ...] = (),
    pins: tuple[Pin, ...] = (),
    path: tuple[tuple[float, float], ...] = (),
) -> str:
    """Draw a scatter chart.

    Args:
        chart: what to draw.
        ident: unique in the page.
        width: of the view box.
        height: of the view box, before a legend is added.
        kind: "wide" or "narrow".
        guides: bounds to draw across the chart; the side that satisfies them all is tinted.
        pins: points to ring and name.
        path: places to join by steps, from left to right, and on to the right edge.
    """
    names = _categories(chart.series)
    spots = [_spots(s, names, chart.log_x, chart.log_y) for s in chart.series]
    drawn = [p for group in spots for p in group]
    x_values = [p[0] for p in drawn] + [g.value for g in guides if g.axis == "x"]
    y_values = [p[1] for p in drawn] + [g.value for g in guides if g.axis == "y"]
    y = fit_axis(y_values, log=chart.log_y, pad=0.06, zero=_near_zero(y_values))
    if chart.diagonal and not names:  # one range for both, or the diagonal would mislead
        x_values = y_values = [*x_values, *y_values]
        y = fit_axis(y_values, log=chart.log_y, pad=0.06, zero=_near_zero(y_values))
    if names:
        x = Axis(-0.5, len(names) - 0.5, tuple(float(k) for k in range(len(names))))
    else:
        n_ticks = 4 if kind == "narrow" else 6
        zero = _near_zero(x_values)
        x = fit_axis(x_values, log=chart.log_x, pad=0.06, zero=zero, n_ticks=n_ticks)
    named = len(chart.series) > 1
    key = legend([s.name for s in chart.series], 4.0, width - 4, 0.0)
    head = key.height if named else 0.0
    top = head + (30 if chart.y_label else 10)
    box = Box(_left(y), top, width - 14, top + height - 72)
    parts = [key.markup if named else "", _allowed(guides, x, y, box)]
    parts.append(
        axes(
            box,
            y,
            chart.y_label,
            head + 14,
            x=None if names else x,
            x_names=_named_ticks(names, x, box),
            x_label=chart.x_label,
            x_label_bottom=box.bottom + 38,
            vertical_grid=True,
        )
    )
    at = [
        (x.place(px, box.left, box.right), y.place(py, box.bottom, box.top))
        for group in spots
        for px, py, _ in group
    ]
    crossings = {
        "x": [y.place(g.value, box.bottom, box.top) for g in guides if g.axis == "y"],
        "y": [x.place(g.value, box.left, box.right) for g in guides if g.axis == "x"],
    }
    for pin in pins:
        px, py, step = x.place(pin.x, box.left, box.right), y.place(pin.y, box.bottom, box.top), 10
        if px + 14 + text_width(pin.label) > box.right:
            step = -10
        at += [(px + k * step, py) for k in range(2 + int(text_width(pin.label) / 10))]
    parts += [_guide(g, x, y, box, at, crossings[g.axis]) for g in guides]
    if chart.diagonal:
        parts.append(_diagonal(x, y, box))
    parts.append(_steps(path, x, y, box))
    faint = " faint" if len(drawn) > 150 else ""
    for place, group in enumerate(spots):
        marks = [
            marker(
                place,
                x.place(px, box.left, box.right),
                y.place(py, box.bottom, box.top),
                3.0 if faint else 4.5,
                title,
            )
            for px, py, title in _thin(group)
        ]
        parts.append(element("g", *marks, class_=f"{series_class(place)} points{faint}"))
    parts += [_pin(p, x, y, box) for p in pins]
    if not drawn:
        parts.append(nothing(box))
    description = _describe("Scatter chart", chart, spots)
    return canvas(ident, width, box.bottom + 46, chart.title, description, *parts, kind=kind)


def _diagonal(x: Axis, y: Axis, box: Box) -> str:
    low, high = max(x.low, y.low), min(x.high, y.high)
    if low >= high:
        return ""
    return element(
        "line",
        class_="diagonal",
        x1=x.place(low, box.left, box.right),
        y1=y.place(low, box.bottom, box.top),
        x2=x.place(high, box.left, box.right),
        y2=y.place(high, box.bottom, box.top),
    )


def _categories(series: Iterable[Series]) -> tuple[str, ...]:
    """Names on the horizontal axis, in order of appearance; empty where positions are numbers."""
    positions = [p for s in series for p in s.x]
    if not any(isinstance(p, str) for p in positions):
        return ()
    return tuple(dict.fromkeys(str(p) for p in positions))


def _spots(series: Series, names: Sequence[str], log_x: bool, log_y: bool) -> list[_Spot]:
    place_of = {name: float(k) for k, name in enumerate(names)}
    spots = []
    for k, (raw, y) in enumerate(zip(series.x, series.y, strict=True)):
        x = place_of[str(raw)] if names else float(raw)
        if not (drawable(x, log=log_x and not names) and drawable(y, log=log_y)):
            continue
        where = str(raw) if isinstance(raw, str) else f"{raw:.6g}"
        title = series.labels[k] if series.labels else f"{series.name}: {where}, {y:.5g}"
        spots.append((x, float(y), title))
    return spots


def _near_zero(values: Sequence[float]) -> bool:
    """Whether an axis should start at 0: the data come near to it, relative to their range."""
    usable = [v for v in values if math.isfinite(v)]
    return bool(usable) and 0 <= min(usable) <= 0.3 * max(usable)


def _left(y: Axis) -> float:
    return max((text_width(t) for t in tick_texts(y)), default=0.0) + 14


def _x_axis(chart: Lines, values: list[float], names: Sequence[str], kind: str) -> Axis:
    if names:
        return Axis(-0.5, len(names) - 0.5, tuple(float(k) for k in range(len(names))))
    n_ticks = 4 if kind == "narrow" else 6
    if chart.diagonal:
        values = [*values, 0.0, 1.0]
    return fit_axis(values, log=chart.log_x, n_ticks=n_ticks)


def _named_ticks(names: Sequence[str], x: Axis, box: Box) -> tuple[tuple[float, str], ...]:
    if not names:
        return ()
    room = (box.right - box.left) / len(names)
    widest = max(text_width(n) for n in names)
    every = max(1, math.ceil(min(widest + 10, 90) / room))
    return tuple(
        (x.place(k, box.left, box.right), shorten_middle(name, room * every - 6))
        for k, name in enumerate(names)
        if k % every == 0
    )


def _line(
    line: list[_Spot], x: Axis, y: Axis, box: Box, kind: str, place: int, *, dashed: bool
) -> tuple[str, str, float | None]:
    """Return the path, its marks, and the height at which it ends."""
    if not line:
        return "", "", None
    at = [
        (x.place(px, box.left, box.right), y.place(py, box.bottom, box.top), title)
        for px, py, title in decimate(line)
    ]
    steps = " ".join(f"{px:.1f} {py:.1f}" for px, py, _ in at)
    path = element(
        "path", class_="line", d=f"M{steps}", stroke_dasharray=dash(place) if dashed else None
    )
    if len(at) <= 30:
        marks = "".join(marker(place, px, py, 3.0, title) for px, py, title in at)
    elif kind == "narrow":
        marks = ""
    else:
        targets = decimate(at, 80)
        marks = "".join(
            element("circle", element("title", text=t), class_="hit", cx=px, cy=py, r=6)
            for px, py, t in targets
        )
    return path, element("g", marks, class_="points") if marks else "", at[-1][1]


def _end_labels(ends: list[tuple[float, int, str]], box: Box) -> list[str]:
    """Write each line's name at its end, pushed apart where they would overlap."""
    ends = sorted(ends)
    places = [max(box.top + 4, end) for end, _, _ in ends]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + 15)
    overshoot = max(0.0, places[-1] - box.bottom) if places else 0.0
    return [
        element(
            "text",
            text=name,
            class_=f"name {series_class(s)}",
            x=box.right + 8,
            y=place - overshoot + 4,
        )
        for place, (_, s, name) in zip(places, ends, strict=True)
    ]


def _thin(group: list[_Spot]) -> list[_Spot]:
    """At most 400 points of a cloud: its extremes, and an even sample of the rest."""
    if len(group) <= _MOST_POINTS:
        return group
    keep = set()
    for axis in (0, 1):
        order = sorted(range(len(group)), key=lambda i: group[i][axis])
        keep |= set(order[:4] + order[-4:])
    n_more = _MOST_POINTS - len(keep)
    rest = [i for i in range(len(group)) if i not in keep]
    keep |= {rest[k * len(rest) // n_more] for k in range(n_more)}
    return [group[i] for i in sorted(keep)]


def _allowed(guides: tuple[Guide, ...], x: Axis, y: Axis, box: Box) -> str:
    if not guides:
        return ""
    left, right, top, bottom = box.left, box.right, box.top, box.bottom
    for guide in guides:
        if guide.axis == "x":
            place = x.place(guide.value, box.left, box.right)
            left, right = (left, place) if guide.side == "below" else (place, right)
        else:
            place = y.place(guide.value, box.bottom, box.top)
            top, bottom = (top, place) if guide.side == "above" else (place, bottom)
    return element(
        "rect",
        class_="allowed",
        x=left,
        y=top,
        width=max(0.0, right - left),
        height=max(0.0, bottom - top),
    )


def _guide(
    guide: Guide,
    x: Axis,
    y: Axis,
    box: Box,
    at: Sequence[tuple[float, float]],
    crossings: Sequence[float],
) -> str:
    """Draw a bound, its label at the first of a few places where it covers nothing."""
    width = text_width(guide.label, 11)
    if guide.axis == "x":
        place = x.place(guide.value, box.left, box.right)
        line = element("line", class_="guide", x1=place, x2=place, y1=box.top, y2=box.bottom)
        lefts = [place - 6 - width, place + 6]
        heights = [box.bottom - 8 - k * (box.bottom - box.top - 22) / 5 for k in range(6)]
        tries = [(left, height) for height in heights for left in lefts]
    else:
        place = y.place(guide.value, box.bottom, box.top)
        line = element("line", class_="guide", x1=box.left, x2=box.right, y1=place, y2=place)
        room = box.right - box.left - width - 12
        lefts = [box.left + 6 + k * room / 8 for k in range(9)]
        tries = [(left, height) for left in lefts for height in (place + 15, place - 6)]
    inside = [
        (left, base)
        for left, base in tries
        if box.left <= left <= box.right - width and box.top + 10 <= base <= box.bottom - 4
    ] or tries
    free = [
        (left, base)
        for left, base in inside
        if not any(left - 8 < px < left + width + 8 and base - 18 < py < base + 8 for px, py in at)
        and not any(
            base - 14 < c < base + 4 if guide.axis == "x" else left - 4 < c < left + width + 4
            for c in crossings
        )
    ] or inside
    left, base = free[0]
    return line + element("text", text=guide.label, class_="bound", x=left, y=base)


def _steps(path: Sequence[tuple[float, float]], x: Axis, y: Axis, box: Box) -> str:
    if len(path) < 2:
        return ""
    at = [(x.place(a, box.left, box.right), y.place(b, box.bottom, box.top)) for a, b in path]
    steps = [f"M{at[0][0]:.1f} {at[0][1]:.1f}"]
    steps += [f"H{px:.1f}V{py:.1f}" for px, py in at[1:]]
    return element("path", class_="front", d="".join([*steps, f"H{box.right:.1f}"]))


def _pin(pin: Pin, x: Axis, y: Axis, box: Box) -> str:
    px, py = x.place(pin.x, box.left, box.right), y.place(pin.y, box.bottom, box.top)
    ring = element("circle", class_="ring", cx=px, cy=py, r=9)
    width = text_width(pin.label)
    if px + 14 + width <= box.right:
        return ring + element("text", text=pin.label, class_="pin", x=px + 14, y=py + 4)
    if px - 14 - width >= box.left:
        return ring + element("text", text=pin.label, class_="pin end", x=px - 14, y=py + 4)
    above = py - 14 if py - 26 > box.top else py + 24
    return ring + element(
        "text",
        text=pin.label,
        class_="pin mid",
        x=min(max(px, box.left + width / 2), box.right - width / 2),
        y=above,
    )


def _describe(what: str, chart: Lines | Points, spots: list[list[_Spot]]) -> str:
    """Say in words what the chart shows, what was left out, and where all of it stands."""
    sentences = [f"{what} of {chart.y_label or 'y'} against {chart.x_label or 'x'}."]
    for series, line in list(zip(chart.series, spots, strict=True))[:12]:
        if line:
            low, high = min(p[1] for p in line), max(p[1] for p in line)
            sentences.append(
                f"{series.name}: {len(line)} points, from {low:.4g} to {high:.4g}, "
                f"last {line[-1][1]:.4g}."
            )
        left_out = len(series.y) - len(line)
        if left_out:
            sentences.append(f"{left_out} points of {series.name} cannot be drawn on these axes.")
    sentences.append("The table below holds the data.")
    return " ".join(sentences)
