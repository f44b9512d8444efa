"""What an audit says: a measurement, the verdict it allows, and the evidence behind it."""

import math
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Bars",
    "Evidence",
    "Finding",
    "Heatmap",
    "Judgement",
    "Lines",
    "Measurement",
    "Picture",
    "Points",
    "Series",
    "Table",
    "Verdict",
    "format_value",
]

Verdict = Literal["met", "broken", "undecided"]
Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number, with the interval that the data allow.

    Attributes:
        value: the point estimate, in base units (bytes, seconds, fractions of one, target units).
        low: lower end of the interval; equal to `value` where the number is exact.
        high: upper end of the interval.
        n: how many samples (or timings) it rests on.
        unit: base unit: "" for ratios, "bytes", "s", "MACs", "parameters", "nats" or "target".
        method: how the interval was made: "exact", "wilson", "clopper-pearson", "combined
            proportions", "bootstrap", "delong", "newcombe", "agresti-min", "order statistics",
            "range" (smallest and largest of a few measurements), or "none" (no number: see
            `unresolved`).
        successes: for proportions, how many of `n`; None otherwise.
        confidence: probability that the interval covers the truth.
        note: what a reader must know, for example the number of bins.
        unresolved: why the number must not be trusted (masked gradients, too few rows of a group);
            empty when it may be. A requirement on it is then undecided.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str = ""
    method: str = "exact"
    successes: int | None = None
    confidence: float = 0.95
    note: str = ""
    unresolved: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and its reason.

    Attributes:
        verdict: met, broken or undecided.
        reason: one sentence for people.
        more_samples: samples to add before the interval would clear the bound, at the same rate;
            None when decided or when more samples would not help.
    """

    verdict: Verdict
    reason: str
    more_samples: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people to read.

    Attributes:
        title: caption.
        columns: headings.
        rows: one tuple of cells a row; None is shown as a dash.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class Series:
    """One named set of points.

    Attributes:
        name: legend entry.
        x: positions (numbers) or categories (text).
        y: values, as many as `x`.
        labels: hover text for each point; empty for "x, y".
    """

    name: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """A line chart.

    Attributes:
        title: caption.
        x_label: horizontal axis, with unit.
        y_label: vertical axis, with unit.
        series: the lines.
        log_x: whether the horizontal axis is logarithmic.
        log_y: whether the vertical axis is logarithmic.
        diagonal: draw y = x for reference (reliability diagrams).
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    diagonal: bool = False
    kind: Literal["lines"] = "lines"


@dataclass(frozen=True, slots=True)
class Points:
    """A scatter chart; fields as in `Lines`.

    Attributes:
        title: caption.
        x_label: horizontal axis, with unit.
        y_label: vertical axis, with unit.
        series: the groups of points.
        log_x: whether the horizontal axis is logarithmic.
        log_y: whether the vertical axis is logarithmic.
        diagonal: draw y = x for reference (predicted against true values).
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    diagonal: bool = False
    kind: Literal["points"] = "points"


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar chart over categories.

    Attributes:
        title: caption.
        x_label: what the categories are.
        y_label: vertical axis, with unit.
        series: one or more groups of bars over the same categories.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    kind: Literal["bars"] = "bars"


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A matrix of numbers, for example a confusion matrix.

    Attributes:
        title: caption.
        x_label: what the columns are.
        y_label: what the rows are.
        columns: names of the columns.
        rows: names of the rows.
        values: one tuple a row.
    """

    title: str
    x_label: str
    y_label: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    kind: Literal["heatmap"] = "heatmap"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image for people.

    Attributes:
        title: caption.
        png: the PNG file's bytes, base64.
        alt: what it shows, in words, for a screen reader.
        pixelated: enlarge with sharp pixels (tiny images) rather than smoothly.
    """

    title: str
    png: str
    alt: str
    pixelated: bool = True
    kind: Literal["picture"] = "picture"


Evidence = Table | Lines | Points | Bars | Heatmap | Picture


@dataclass(frozen=True, slots=True)
class Finding:
    """What one audit found.

    Attributes:
        name: stable identifier, for example "accuracy" or "confusion".
        title: heading for people.
        summary: the result in one or two sentences.
        measurement: the number, if the finding has one.
        requirement: the requirement's text, if one was put to it.
        judgement: the verdict on that requirement.
        evidence: tables, charts and pictures.
        seconds: what it cost.
    """

    name: str
    title: str
    summary: str
    measurement: Measurement | None = None
    requirement: str | None = None
    judgement: Judgement | None = None
    evidence: tuple[Evidence, ...] = field(default=())
    seconds: float = 0.0


def format_value(value: float, unit: str = "") -> str:
    """Write a number for people: three or four digits and the unit that keeps it short.

    Args:
        value: in base units.
        unit: as in `Measurement.unit`.

    Example:
        >>> format_value(0.9777778), format_value(143_210, "bytes"), format_value(2.1e-4, "s")
        ('0.978', '143.2 kB', '0.21 ms')
        >>> format_value(1_250_000, "parameters"), format_value(8970, "MACs")
        ('1.25 M parameters', '8,970 MACs')
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    size = abs(value)
    if unit == "bytes":
        scale, word = next(((s, w) for s, w in _BYTES if size >= 0.99995 * s), (1.0, "B"))
        shown = f"{value / scale:,.1f}" if scale > 1 else f"{value:,.0f}"
    elif unit == "s":
        scale, word = (1.0, "s") if size >= 1 or not value else (1e-3, "ms")
        if 0 < size < 1e-5:
            scale, word = 1e-6, "µs"
        shown = f"{value / scale:,.0f}" if size / scale >= 999.5 else f"{value / scale:.3g}"
    elif unit in ("MACs", "parameters"):
        scale, prefix = next(((s, p) for s, p in _COUNTS if size >= 0.9995 * s), (1.0, ""))
        shown = f"{value / scale:.3g}" if scale > 1 else f"{value:,.0f}"
        word = f"{prefix}{unit}"
    else:
        shown, word = _ratio(value), unit if unit == "nats" else ""
    text = f"{shown} {word}".rstrip()
    return text if "e" in shown else text.replace("-", "−")


_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_COUNTS = ((1e12, "T "), (1e9, "G "), (1e6, "M "))


def _ratio(value: float) -> str:
    size = abs(value)
    if size in (0.0, 1.0):
        return f"{value:.0f}"
    if size >= 1e7 or size < 1e-4:
        return f"{value:.3g}"
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 1:
        return f"{value:.4g}"
    # 0.99987 must not read 1.000, nor 0.00042 read 0.000.
    decimals = 3
    while decimals < 6 and (round(size, decimals) in (0.0, 1.0) or size < 10 ** (1 - decimals)):
        decimals += 1
    return f"{value:.{decimals}f}"
