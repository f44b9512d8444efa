"""Gap: how unequally a network serves groups of rows.

Paper:    Newcombe. Interval Estimation for the Difference between Independent Proportions.
          Statistics in Medicine 1998, method 10; for other measures Zou, Donner, Statistics in
          Medicine 2008, equation 5 (the same construction from any two intervals).
Departs:  of many groups the two extreme ones are chosen by the data. The lower end therefore takes
          the best of all pairs at a level divided by their number; the upper end needs no
          correction, since the truly extreme pair is one of them.
Notation: none.
"""

from collections.abc import Mapping
from inspect import signature
from itertools import combinations
from typing import Any

import torch

from netwright.data import Schema
from netwright.finding import Measurement, format_value
from netwright.measure import Subject, unresolved
from netwright.requirement import Argument, Quantity

__all__ = ["QUANTITIES"]

_FEWEST_ROWS = 30


def check(arguments: Mapping[str, Any], schema: Schema | None) -> None:
    """Refuse what cannot be measured.

    Args:
        arguments: as given in the requirement.
        schema: of the task, once it is known.

    Raises:
        ValueError: if the inner quantity is unknown, takes no groups or does not fit the target, or
            if `by` is not a group column.
    """
    inner = _inner(arguments["quantity"])
    if schema is None:
        return
    if inner.targets and schema.target.kind not in inner.targets:
        raise ValueError(
            f"`gap({inner.name}, ...)` does not apply to a target of kind `{schema.target.kind}`; "
            f"`{inner.name}` is for: {', '.join(inner.targets)}."
        )
    if arguments["by"] not in schema.groups:
        known = ", ".join(f"`{name}`" for name in schema.groups) or "none"
        raise ValueError(
            f"`by` must name a group column; got `{arguments['by']}`, known: {known}. "
            f"Name them when you load the data: `load(..., by=...)` or `--by`."
        )


def measure(subject: Subject, *, quantity: str, by: str) -> Measurement:
    """Measure the largest difference of a quantity between two groups.

    Args:
        subject: what to measure; its split must have the group column.
        quantity: name of a quantity that needs nothing but predictions.
        by: name of the group column.

    Returns:
        The measurement; unresolved if a group has fewer than 30 rows, or the quantity itself is
        unresolved in a group.

    Raises:
        ValueError: if the quantity is unknown or takes no groups, or if there is no such column.
    """
    inner = _inner(quantity)
    if by not in subject.split.groups:
        known = ", ".join(f"`{name}`" for name in subject.split.groups) or "none"
        raise ValueError(f"`by` must name a group column; got `{by}`, known: {known}.")
    n = len(subject.split)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(subject.split.groups[by]):
        places.setdefault(name, []).append(place)
    if len(places) < 2:
        return unresolved(n, f"`{by}` has one group only ({next(iter(places), 'no rows')}).")
    small = [f"{name!r} ({len(rows)})" for name, rows in places.items() if len(rows) < _FEWEST_ROWS]
    if small:
        return unresolved(
            n,
            f"Groups of `{by}` with fewer than {_FEWEST_ROWS} rows: {', '.join(sorted(small))}.",
        )
    subjects = {name: subject.where(torch.tensor(rows)) for name, rows in places.items()}
    pairs = len(places) * (len(places) - 1) // 2
    each = {name: inner.measure(s) for name, s in subjects.items()}
    strict = each
    if pairs > 1:
        confidence = 1 - (1 - 0.95) / pairs
        strict = {name: inner.measure(s, confidence=confidence) for name, s in subjects.items()}
    for name, found in each.items():
        if found.unresolved:
            return unresolved(n, f"In group {name!r}: {found.unresolved}", unit=found.unit)
    worst, best = (pick(each, key=lambda name: each[name].value) for pick in (min, max))
    value = each[best].value - each[worst].value
    low = max(_distance(a, b)[0] for a, b in combinations(strict.values(), 2))
    high = max(_distance(a, b)[1] for a, b in combinations(each.values(), 2))
    unit = each[best].unit
    return Measurement(
        value=value,
        low=min(low, value),
        high=max(high, value),
        n=n,
        unit=unit,
        method="newcombe",
        note=(
            f"{quantity} by {by}: {best} {format_value(each[best].value, unit)} "
            f"({each[best].n:,} rows), {worst} {format_value(each[worst].value, unit)} "
            f"({each[worst].n:,} rows)"
        ),
    )


def _distance(a: Measurement, b: Measurement) -> tuple[float, float]:
    """Ends of the interval of |a - b|."""
    difference = a.value - b.value
    low = difference - ((a.value - a.low) ** 2 + (b.high - b.value) ** 2) ** 0.5
    high = difference + ((a.high - a.value) ** 2 + (b.value - b.low) ** 2) ** 0.5
    return max(0.0, low, -high), max(abs(low), abs(high))


def _inner(name: str) -> Quantity:
    from netwright.quantities import CATALOGUE

    if name not in CATALOGUE:
        return _refuse(name, "is no quantity")
    found = CATALOGUE[name]
    if not _takes_groups(found):
        return _refuse(name, "cannot be measured on a group of rows")
    return found


def _refuse(name: str, why: str) -> Quantity:
    from netwright.quantities import CATALOGUE

    usable = ", ".join(sorted(q.name for q in CATALOGUE.values() if _takes_groups(q)))
    raise ValueError(f"`gap`: `{name}` {why}; it takes one of {usable}.")


def _takes_groups(quantity: Quantity) -> bool:
    takes_confidence = "confidence" in signature(quantity.measure).parameters
    free = not any(a.required for a in quantity.arguments)
    return quantity.needs == "predictions" and takes_confidence and free


QUANTITIES = (
    Quantity(
        name="gap",
        summary="largest difference of a quantity between two groups of rows",
        dimension="score",
        better="lower",
        measure=measure,
        check=check,
        arguments=(
            Argument("quantity", str, "a quantity of predictions, as `accuracy`", required=True),
            Argument("by", str, "the group column", required=True),
        ),
    ),
)
