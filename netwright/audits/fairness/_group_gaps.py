"""Whether a network serves groups of rows equally well.

Paper:    Barocas et al. Designing Disaggregated Evaluations of AI Systems. AIES 2021,
          arXiv:2103.06076. Buolamwini, Gebru. Gender Shades. FAT* 2018 (intersections). Hardt,
          Price, Srebro. Equality of Opportunity in Supervised Learning. NeurIPS 2016,
          arXiv:1610.02413 (true and false positive rates). The interval of a difference: Newcombe.
          Interval Estimation for the Difference between Independent Proportions. Statistics in
          Medicine 1998, method 10; Zou, Donner. Construction of Confidence Limits about Effect
          Measures. Statistics in Medicine 2008, for measures other than proportions.
Departs:  which two groups are furthest apart is chosen by the data, so the gap's lower end is the
          best of all pairs at a level divided by their number (Bonferroni).
Notation: none.
"""

import itertools
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from netwright import _rng, measure
from netwright.audits._finding import not_applicable, outputs_trouble, span, timed
from netwright.finding import (
    Bars,
    Cell,
    Evidence,
    Finding,
    Measurement,
    Series,
    Table,
    format_value,
)
from netwright.measure import Subject

__all__ = ["group_gaps", "largest_gap"]

_NAME, _TITLE = "group_gaps", "Groups of rows"
_FEWEST_ROWS = 30  # below, a group is shown but not compared
_MOST_GROUPS = 60
_CONFIDENCE = 0.95

_Take = Callable[[Tensor, float], Measurement | None]


def largest_gap(
    measure_group: Callable[[str, float], Measurement],
    groups: tuple[str, ...],
    *,
    confidence: float = 0.95,
) -> Measurement:
    """Measure the difference between the two groups that are furthest apart.

    Args:
        measure_group: measures one group, given its name and the confidence of the interval.
        groups: names of at least two groups.
        confidence: probability that the interval covers the true largest difference.

    Returns:
        The difference; its note names the two groups.

    Raises:
        ValueError: if there are fewer than two groups.

    Example:
        >>> def of(name: str, confidence: float) -> Measurement:
        ...     return measure.proportion({"a": 90, "b": 60}[name], 100, confidence=confidence)
        >>> found = largest_gap(of, ("a", "b"))
        >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
        (0.3, 0.18, 0.41)
    """
    if len(groups) < 2:
        raise ValueError(f"`groups` must name at least two groups; got {list(groups)}.")
    pairs = list(itertools.combinations(groups, 2))
    each = {name: measure_group(name, confidence) for name in groups}
    strict = each
    if len(pairs) > 1:
        level = 1 - (1 - confidence) / len(pairs)
        strict = {name: measure_group(name, level) for name in groups}
    best = max(groups, key=lambda name: each[name].value)
    worst = min(groups, key=lambda name: each[name].value)
    value = each[best].value - each[worst].value
    low = max(_distance(strict[a], strict[b])[0] for a, b in pairs)
    high = max(_distance(each[a], each[b])[1] for a, b in pairs)
    unit = each[best].unit
    return Measurement(
        value=value,
        low=min(low, value),
        high=max(high, value),
        n=sum(each[name].n for name in groups),
        unit=unit,
        method="newcombe",
        confidence=confidence,
        note=", ".join(
            f"{name} {format_value(each[name].value, unit)} ({each[name].n:,} rows)"
            for name in (best, worst)
        ),
    )


@timed
def group_gaps(subject: Subject, *, generator: torch.Generator | None = None) -> Finding:
    """Measure the network on each group of rows, and the gap between groups.

    For classes the measure is accuracy, for labels the share of rows with every label right, for
    values the root mean squared error. With two classes the share of rows called the second class,
    and its true and false positive rates, are compared as well: equal ones are what demographic
    parity and equalised odds ask for. Which of these matters is not a question of measurement.

    Args:
        subject: a network and rows with group columns.
        generator: draws bootstrap resamples; None derives one from `subject.seed`.

    Returns:
        The largest gap of the main measure over all group columns; every group with its number of
        rows and interval, also at the intersections of two columns. Groups of fewer than 30 rows
        are shown but not compared; of more than 60 groups, the 60 largest are shown and compared.
    """
    columns = subject.split.groups
    if not columns:
        return not_applicable(_NAME, _TITLE, "no group column was named when the data were loaded")
    if trouble := outputs_trouble(subject):
        return not_applicable(_NAME, _TITLE, trouble)
    if generator is None:
        generator = _rng.child(subject.seed, "audits/group_gaps")
    takes = _measures(subject, generator)
    main, take = next(iter(takes.items()))
    charts: list[Evidence] = []
    tables: list[Evidence] = []
    gaps: list[tuple[Cell, ...]] = []
    compared: dict[str, Measurement] = {}
    for column, names in columns.items():
        places = _places(names)
        charts.append(_chart(column, main, places, take))
        tables.append(_table(f"Groups of {column}", (column,), places, takes))
        for name, each in takes.items():
            gap = _gap(places, each)
            if gap is not None:
                gaps.append((column, name, gap.value, gap.low, gap.high, gap.note))
                if name == main:
                    compared[column] = gap
    for one, other in itertools.combinations(columns, 2):
        places = _places(
            tuple(f"{a} × {b}" for a, b in zip(columns[one], columns[other], strict=True))
        )
        tables.append(_table(f"Intersections of {one} and {other}", ("group",), places, takes))
    headings = ("group column", "measure", "gap", "low", "high", "furthest apart")
    gap_table = Table("Largest gaps, with 95 % intervals", headings, tuple(gaps))
    worst = max(compared, key=lambda name: compared[name].value, default=None)
    summary = "; ".join(
        f"{main} differs by {span(gap)} between groups of {column} ({gap.note})"
        for column, gap in compared.items()
    )
    return Finding(
        name=_NAME,
        title=_TITLE,
        summary=f"{summary}." if summary else "No two groups have 30 rows each: nothing compared.",
        measurement=compared[worst] if worst is not None else None,
        evidence=(*charts, gap_table, *tables),
    )


def _measures(subject: Subject, generator: torch.Generator) -> Mapping[str, _Take]:
    outputs, y = subject.outputs, subject.split.y
    kind, classes = subject.schema.target.kind, subject.schema.target.classes
    if kind == "labels":
        return {
            "rows with every label right": lambda rows, level: measure.exact_match(
                outputs[rows], y[rows], confidence=level
            )
        }
    if kind != "class":
        return {
            "root mean squared error": lambda rows, level: measure.rmse(
                outputs[rows], y[rows], confidence=level, generator=generator
            )
        }
    said = outputs.argmax(1)

    def rate(hit: Tensor, among: Tensor | None = None) -> _Take:
        def take(rows: Tensor, level: float) -> Measurement | None:
            chosen = rows if among is None else rows[among[rows]]
            if not len(chosen):
                return None  # no rate of nothing
            return measure.proportion(int(hit[chosen].sum()), len(chosen), confidence=level)

        return take

    takes = {"accuracy": rate(said == y)}
    if len(classes) == 2:
        positive = classes[1]
        takes[f"share called {positive}"] = rate(said == 1)
        takes[f"true positive rate of {positive}"] = rate(said == 1, y == 1)
        takes[f"false positive rate of {positive}"] = rate(said == 1, y == 0)
    return takes


def _places(names: tuple[str, ...]) -> dict[str, Tensor]:
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name, []).append(place)
    return {name: torch.tensor(found[name]) for name in sorted(found)}


def _gap(places: Mapping[str, Tensor], take: _Take) -> Measurement | None:
    def enough(rows: Tensor) -> bool:
        found = take(rows, _CONFIDENCE)
        return found is not None and found.n >= _FEWEST_ROWS and not found.unresolved

    groups = tuple(name for name, rows in places.items() if enough(rows))
    if len(groups) < 2:
        return None
    if len(groups) > _MOST_GROUPS:  # every pair is compared
        groups = tuple(sorted(groups, key=lambda name: -len(places[name]))[:_MOST_GROUPS])

    def of(name: str, level: float) -> Measurement:
        found = take(places[name], level)
        assert found is not None  # `enough` said so
        return found

    return largest_gap(of, groups, confidence=_CONFIDENCE)


def _chart(column: str, name: str, places: Mapping[str, Tensor], take: _Take) -> Bars:
    found = {group: take(rows, _CONFIDENCE) for group, rows in places.items()}
    shown = {g: m for g, m in found.items() if m is not None and not math.isnan(m.value)}
    order = sorted(shown, key=lambda g: -len(places[g]))[:_MOST_GROUPS]
    series = Series(
        name,
        tuple(order),
        tuple(shown[g].value for g in order),
        tuple(f"{g}: {span(shown[g])}, {shown[g].n:,} rows" for g in order),
    )
    return Bars(f"{name.capitalize()} by {column}", column, name, (series,))


def _table(
    title: str, first: tuple[str, ...], places: Mapping[str, Tensor], takes: Mapping[str, _Take]
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for group in sorted(places, key=lambda g: -len(places[g]))[:_MOST_GROUPS]:
        cells: list[Cell] = [group, len(places[group])]
        for take in takes.values():
            found = take(places[group], _CONFIDENCE)
            if found is None or math.isnan(found.value):
                cells += [None, None, None]
            else:
                cells += [found.value, found.low, found.high]
        cells.append("too few to compare" if len(places[group]) < _FEWEST_ROWS else "")
        rows.append(tuple(cells))
    if len(places) > _MOST_GROUPS:
        title += f" (the {_MOST_GROUPS} largest of {len(places)})"
    headings = [part for name in takes for part in (name, "low", "high")]
    return Table(title, (*first, "rows", *headings, "note"), tuple(rows))


def _distance(a: Measurement, b: Measurement) -> tuple[float, float]:
    """Ends of the interval of |a - b|, from the intervals of both."""
    difference = a.value - b.value
    low = difference - math.hypot(a.value - a.low, b.high - b.value)
    high = difference + math.hypot(a.high - a.value, b.value - b.low)
    return max(0.0, low, -high), max(abs(low), abs(high))
