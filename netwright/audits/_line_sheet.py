"""Draw sequences as small line charts with captions, into one PNG as images are."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from netwright.audits._picture import contact_sheet
from netwright.data._outline import outline
from netwright.finding import Picture

__all__ = ["line_sheet"]

_WIDTH, _HEIGHT = 190, 112  # pixels of a chart
_FINE = 3  # drawn so many times larger, then reduced, for smooth lines
_MOST_CHANNELS = 8
_PAPER = (255, 255, 255)
# The report's series colours.
_INKS = (
    *((10, 100, 173), (193, 74, 0), (0, 122, 90), (160, 60, 134)),
    *((138, 104, 0), (43, 131, 181), (91, 95, 199), (93, 102, 112)),
)


def line_sheet(
    sequences: Float[Tensor, "n channels steps"],
    captions: Sequence[Sequence[str]],
    *,
    title: str,
    alt: str,
) -> Picture:
    """Draw sequences in a grid, each with its caption lines underneath.

    Each of the first eight channels has a band of its own, between its smallest and its largest
    value; where a value is missing the line is broken. The width is the sequence's own length.

    Args:
        sequences: NaN is missing, and follows the end.
        captions: the lines under each chart; a line that does not fit is cut with an ellipsis.
        title: caption of the whole picture.
        alt: what it shows, in words.

    Raises:
        ValueError: if there are no sequences or not one caption for each.
    """
    drawn = [_drawn(each.double().cpu().numpy()) for each in sequences]
    charts = torch.stack(drawn) if drawn else torch.empty(0, 3, _HEIGHT, _WIDTH)
    return contact_sheet(charts, captions, title=title, alt=alt, columns=4, side=_WIDTH)


def _drawn(values: Float[np.ndarray, "channels steps"]) -> UInt8[Tensor, "3 height width"]:
    from PIL import Image, ImageDraw

    used = np.flatnonzero(~np.isnan(values).all(axis=0))
    values = values[:_MOST_CHANNELS, : int(used[-1]) + 1 if len(used) else 1]
    width, height = _WIDTH * _FINE, _HEIGHT * _FINE
    chart = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(chart)
    edge = 4 * _FINE
    band = (height - edge) / len(values)
    for place, row in enumerate(values):
        top, bottom = edge + place * band, (place + 1) * band
        for line in _lines(row, edge, width - edge, top, bottom):
            ink = _INKS[place % len(_INKS)]
            if len(line) > 1:
                draw.line(line, fill=ink, width=2 * _FINE - 1, joint="curve")
            else:
                x, y = line[0]
                draw.ellipse((x - _FINE, y - _FINE, x + _FINE, y + _FINE), fill=ink)
    small = chart.resize((_WIDTH, _HEIGHT), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)


def _lines(
    row: np.ndarray, left: float, right: float, top: float, bottom: float
) -> list[list[tuple[float, float]]]:
    # Runs of points without a gap between them, in pixels.
    places, found = outline(row, 2 * _WIDTH)
    known = [v for v in found if v is not None]
    if not known:
        return []
    low, high = min(known), max(known)
    across = (right - left) / max(1, len(row) - 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in zip(places, found, strict=True):
        if value is None:
            runs.append([])
            continue
        share = (value - low) / (high - low) if high > low else 0.5
        runs[-1].append((left + place * across, bottom - share * (bottom - top)))
    return [run for run in runs if run]
