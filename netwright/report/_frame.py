"""What every chart with two axes shares: margins, grid, ticks, axis labels, legend."""

from collections.abc import Sequence
from dataclasses import dataclass

from netwright.report._palette import N_SERIES
from netwright.report._scale import Axis, tick_texts
from netwright.report._svg import element, shorten, text_width

__all__ = [
    "DASHES",
    "Box",
    "Legend",
    "axes",
    "canvas",
    "dash",
    "legend",
    "marker",
    "nothing",
    "series_class",
]

DASHES = (None, "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True, slots=True)
class Box:
    """The rectangle that data are drawn in, in units of the view box.

    Attributes:
        left: its left edge.
        top: its upper edge.
        right: its right edge.
        bottom: its lower edge.
    """

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Legend:
    """A drawn legend.

    Attributes:
        markup: what to draw.
        height: the room it takes, in units of the view box.
    """

    markup: str
    height: float


def canvas(
    ident: str, width: float, height: float, title: str, description: str, *parts: str, kind: str
) -> str:
    """Wrap a drawing as an image with a name and a description.

    Args:
        ident: unique in the page; the ids of title and description start with it.
        width: of the view box.
        height: of the view box.
        title: the image's name.
        description: what it shows, in words, for people who do not see it.
        *parts: markup of the drawing.
        kind: a class for the style sheet: "wide" or "narrow".
    """
    return element(
        "svg",
        element("title", text=title or "Chart", id=f"{ident}-t"),
        element("desc", text=description, id=f"{ident}-d"),
        *parts,
        role="img",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        class_=f"chart {kind}",
        style=f"max-width:{1.08 * width:.0f}px" if kind == "wide" else None,
        aria_labelledby=f"{ident}-t",
        aria_describedby=f"{ident}-d",
    )


def nothing(box: Box) -> str:
    """Say that a chart is empty, where its data would be.

    Args:
        box: where the data would go.
    """
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return element("text", text="nothing to draw", class_="mid", x=x, y=y)


def series_class(place: int) -> str:
    """Return the class that gives a series its colour.

    Args:
        place: number of the series, from 0.
    """
    return f"s{place % N_SERIES}"


def marker(place: int, x: float, y: float, radius: float = 4.0, title: str | None = None) -> str:
    """Draw one point; the shape tells the series apart where colours cannot.

    Args:
        place: number of the series, from 0.
        x: centre.
        y: centre.
        radius: half its size.
        title: hover text.
    """
    inside = "" if title is None else element("title", text=title)
    r = radius
    shape = place % 5
    if shape == 0:
        return element("circle", inside, cx=x, cy=y, r=float(r))
    if shape == 1:
        s = r * 0.9
        return element("rect", inside, x=x - s, y=y - s, width=2 * s, height=2 * s)
    outlines = {
        2: ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
        3: ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        4: ((0, 1.2), (1.1, -0.8), (-1.1, -0.8)),
    }
    corners = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in outlines[shape])
    return element("polygon", inside, points=corners)


def legend(
    names: Sequence[str], box_left: float, box_right: float, top: float, *, lines: bool = False
) -> Legend:
    """Draw a legend in as many rows as it needs.

    Args:
        names: of the series, in order.
        box_left: where rows begin.
        box_right: where rows must end.
        top: upper edge of the first row.
        lines: draw a stroke with the series' dash rather than a point.
    """
    x, y, parts = box_left, top + 9.0, []
    for place, name in enumerate(names):
        key = 24.0 if lines else 14.0
        shown = shorten(name, box_right - box_left - key)
        width = key + text_width(shown) + 16
        if x > box_left and x + width - 16 > box_right:
            x, y = box_left, y + 19.0
        if lines:
            sample = element(
                "line", class_="line", x1=x, x2=x + 18, y1=y, y2=y, stroke_dasharray=dash(place)
            )
        else:
            sample = marker(place, x + 5, y, 4.0)
        label = element("text", text=shown, x=x + key, y=y + 4)
        whole = element("title", text=name) if shown != name else ""
        parts.append(element("g", whole, sample, label, class_=f"{series_class(place)} key"))
        x += width
    return Legend("".join(parts), y + 12.0 - top)


def dash(place: int) -> str | None:
    """Return the dash pattern that tells a line apart where colours cannot.

    Args:
        place: number of the series, from 0.
    """
    return DASHES[(place + place // N_SERIES) % len(DASHES)]


def axes(
    box: Box,
    y: Axis,
    y_label: str,
    y_label_top: float,
    *,
    x: Axis | None = None,
    x_names: Sequence[tuple[float, str]] = (),
    x_label: str = "",
    x_label_bottom: float = 0.0,
    vertical_grid: bool = False,
) -> str:
    """Draw grid lines, tick texts and axis labels.

    Args:
        box: where the data go.
        y: vertical axis.
        y_label: its label, written above the axis where it can be read without turning the head.
        y_label_top: base line of that label.
        x: horizontal axis; None where the positions are names.
        x_names: positions (in the view box) and texts of named positions.
        x_label: label of the horizontal axis.
        x_label_bottom: base line of that label.
        vertical_grid: whether to draw grid lines for the horizontal axis too.
    """
    parts = []
    for tick, shown in zip(y.ticks, tick_texts(y), strict=True):
        place = y.place(tick, box.bottom, box.top)
        parts.append(
            element("line", class_="grid", x1=box.left, x2=box.right, y1=place, y2=place)
            + element("text", text=shown, class_="end", x=box.left - 8, y=place + 4)
        )
    if x is not None:
        x_names = tuple(
            (x.place(t, box.left, box.right), s)
            for t, s in zip(x.ticks, tick_texts(x), strict=True)
        )
    taken = -10.0  # where the last name ended; a name that would run into it is left out
    for place, shown in x_names:
        if vertical_grid:
            parts.append(
                element("line", class_="grid", x1=place, x2=place, y1=box.top, y2=box.bottom)
            )
        elif x is not None:
            tick_end = box.bottom + 4
            parts.append(
                element("line", class_="axis", x1=place, x2=place, y1=box.bottom, y2=tick_end)
            )
        half = text_width(shown) / 2
        centre = min(max(place, half), box.right + 10 - half) if x is None else place
        if centre - half < taken + 4:
            continue
        taken = centre + half
        parts.append(element("text", text=shown, class_="mid", x=centre, y=box.bottom + 18))
    parts.append(
        element("line", class_="axis", x1=box.left, x2=box.right, y1=box.bottom, y2=box.bottom)
    )
    room = box.right - 4
    if y_label:
        parts.append(
            element("text", text=shorten(y_label, room), class_="label", x=4.0, y=y_label_top)
        )
    if x_label:
        middle = (box.left + box.right) / 2
        parts.append(
            element(
                "text",
                text=shorten(x_label, room),
                class_="label mid",
                x=middle,
                y=x_label_bottom,
            )
        )
    return "".join(parts)
