"""Gap: how unequally a network serves groups of rows.

The interval is that of `audits.fairness.largest_gap`, which names its papers.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from inspect import signature
from typing import Any

import torch

from netwright.audits.fairness import largest_gap
from netwright.data import Schema
from netwright.finding import Measurement
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

    @cache
    def of(name: str, confidence: float) -> Measurement:
        return inner.measure(subjects[name], confidence=confidence)

    for name in subjects:
        found = of(name, 0.95)
        if found.unresolved:
            return unresolved(n, f"In group {name!r}: {found.unresolved}", unit=found.unit)
    found = largest_gap(of, tuple(subjects))
    return replace(found, note=f"{quantity} by {by}: {found.note}")


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
