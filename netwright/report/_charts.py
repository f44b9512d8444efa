"""From evidence to figures: each chart drawn twice, for a desk and for a phone, beside its data."""

import base64
import binascii
import struct
from dataclasses import dataclass
from typing import Literal

from netwright.finding import Bars, Evidence, Heatmap, Lines, Picture, Points, Table
from netwright.report._bars import draw_bars
from netwright.report._heatmap import draw_heatmap
from netwright.report._svg import text_width
from netwright.report._tables import TableView, chart_table, view_table
from netwright.report._xy import Guide, Pin, draw_lines, draw_points

__all__ = ["Figure", "Image", "chart", "figure"]

_WIDE, _FULL, _NARROW = 520.0, 1000.0, 330.0
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Image:
    """A PNG picture as shown.

    Attributes:
        source: data address.
        alt: what it shows, in words.
        width: pixels to show it at.
        height: pixels to show it at.
        pixelated: whether pixels stay sharp.
    """

    source: str
    alt: str
    width: int
    height: int
    pixelated: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """One piece of evidence as shown; of `drawings`, `image` and `table` those that it has.

    Attributes:
        ident: unique in the page.
        title: caption.
        room: how much of a row it wants: "half", "full" or "small".
        drawings: SVG markup, for a wide and for a narrow place.
        image: the picture.
        table: the data.
    """

    ident: str
    title: str
    room: Literal["half", "full", "small"]
    drawings: tuple[str, ...] = ()
    image: Image | None = None
    table: TableView | None = None


def chart(
    evidence: Lines | Points | Bars | Heatmap,
    ident: str,
    *,
    guides: tuple[Guide, ...] = (),
    pins: tuple[Pin, ...] = (),
    path: tuple[tuple[float, float], ...] = (),
    full: bool = False,
) -> Figure:
    """Draw a chart for wide and for narrow places, and list its data.

    Args:
        evidence: what to draw.
        ident: unique in the page; the ids of the drawings start with it.
        guides: bounds to draw across a scatter chart.
        pins: points of a scatter chart to ring and name.
        path: places of a scatter chart to join by steps, from left to right.
        full: give it a whole row.

    Raises:
        ValueError: if a series or a row has another length than its positions.
    """
    _check(evidence)
    drawings = []
    if isinstance(evidence, Heatmap):
        full = full or len(evidence.columns) > 14
        for kind, width in (("wide", _FULL if full else _WIDE), ("narrow", _NARROW)):
            drawings.append(draw_heatmap(evidence, f"{ident}-{kind}", width, kind))
    else:
        if isinstance(evidence, Bars):
            names = {str(p) for s in evidence.series for p in s.x}
            full = full or len(names) > 40
        for kind, width, height in (
            ("wide", _FULL if full else _WIDE, 400.0 if full else 330.0),
            ("narrow", _NARROW, 280.0),
        ):
            at = (f"{ident}-{kind}", width, height, kind)
            if isinstance(evidence, Lines):
                drawings.append(draw_lines(evidence, *at))
            elif isinstance(evidence, Points):
                drawings.append(draw_points(evidence, *at, guides=guides, pins=pins, path=path))
            else:
                drawings.append(draw_bars(evidence, *at))
    room = "full" if full else "half"
    return Figure(ident, evidence.title, room, tuple(drawings), None, chart_table(evidence))


def figure(evidence: Evidence, ident: str) -> Figure:
    """Prepare any piece of evidence for a page.

    Args:
        evidence: a table, chart or picture.
        ident: unique in the page.

    Raises:
        ValueError: if the evidence contradicts itself (lengths differ, a picture is no PNG).
    """
    if isinstance(evidence, Picture):
        image = _image(evidence)
        small = "small" if image.width < 240 else "half" if image.width <= 560 else "full"
        return Figure(ident, evidence.title, small, image=image)
    if isinstance(evidence, Table):
        table = view_table(evidence)
        letters = sum(
            max([text_width(c), *(text_width(row[k].text) for row in table.rows)], default=0.0) + 24
            for k, c in enumerate(table.columns)
        )
        return Figure(ident, evidence.title, "full" if letters > _WIDE else "half", table=table)
    return chart(evidence, ident)


def _check(evidence: Lines | Points | Bars | Heatmap) -> None:
    where = f"chart {evidence.title!r}"
    if isinstance(evidence, Heatmap):
        if len(evidence.values) != len(evidence.rows):
            raise ValueError(
                f"{where} names {len(evidence.rows)} rows and has {len(evidence.values)}."
            )
        for name, row in zip(evidence.rows, evidence.values, strict=True):
            if len(row) != len(evidence.columns):
                raise ValueError(
                    f"{where} names {len(evidence.columns)} columns; row {name!r} has {len(row)}."
                )
        return
    for series in evidence.series:
        if len(series.x) != len(series.y) or len(series.labels) not in (0, len(series.x)):
            raise ValueError(
                f"{where}: `x`, `y` and `labels` of series {series.name!r} must be equally long; "
                f"got {len(series.x)}, {len(series.y)} and {len(series.labels)}."
            )


def _image(picture: Picture) -> Image:
    try:
        data = base64.b64decode(picture.png, validate=True)
    except binascii.Error as error:
        raise ValueError(f"picture {picture.title!r}: `png` must be base64; {error}.") from error
    if data[:8] != _PNG or len(data) < 24:
        raise ValueError(f"picture {picture.title!r}: `png` must hold a PNG file.")
    width, height = (max(1, side) for side in struct.unpack(">II", data[16:24]))
    # Tiny images are enlarged by a whole number, so that their pixels stay square.
    times = max(1, min(860 // width, 144 // height)) if picture.pixelated else 1
    source = f"data:image/png;base64,{picture.png}"
    return Image(source, picture.alt, width * times, height * times, picture.pixelated)
