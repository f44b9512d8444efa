"""What an audit says: a measurement, the verdict it allows, and the evidence behind it."""

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
        method: how the interval was made: "exact", "wilson", "clopper-pearson", "bootstrap",
            "order statistics".
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
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
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
