"""How candidates compare: by a metric, by size, and by how far they miss a requirement."""

import importlib
import math
from collections.abc import Sequence

from netwright.design._record import Record
from netwright.finding import Measurement
from netwright.requirement import Quantity, Requirement

__all__ = [
    "COSTS",
    "asks_for_learning",
    "higher_is_better",
    "meets",
    "on_whole_images",
    "pareto_front",
    "quantity_of",
    "ranking_key",
    "shortfall",
    "size_of",
    "surely_meets",
    "usable_records",
]

COSTS = ("network", "artefact")  # what quantities need that training does not change


def pareto_front(records: Sequence[Record], *, metric: str) -> tuple[Record, ...]:
    """Return the candidates that no other beats in both size and `metric`, smallest first.

    Args:
        records: all that was trained; those without a finite `metric` are passed over.
        metric: the quantity that ranks networks.
    """
    front: list[Record] = []
    records = on_whole_images(records)
    ordered = [r for r in records if metric in r.measurements and _is_finite(r, metric)]
    for record in sorted(ordered, key=lambda r: (size_of(r), *ranking_key(r, metric))):
        if not front or ranking_key(record, metric)[0] < ranking_key(front[-1], metric)[0]:
            front.append(record)
    return tuple(front)


def on_whole_images(records: Sequence[Record]) -> list[Record]:
    """Leave out what learned from smaller images than the task's, unless nothing else has learned.

    Args:
        records: all that was trained.
    """
    whole = [record for record in records if not record.candidate.is_shrunk]
    if any(record.status not in ("pruned", "died", "diverged") for record in whole):
        return whole
    return list(records)


def shortfall(requirement: Requirement, value: float) -> float:
    """Say by how much a value misses a bound, on a scale that all quantities share.

    Args:
        requirement: the bound.
        value: in base units.

    Returns:
        0 if the bound holds, else the logarithm of a ratio: of the errors (1 - value) to
        (1 - bound) for a share that must be large, of value and bound where it must be small. 0.69
        is twice too much. Where no such ratio exists (a bound of 0, or a share of 1), the
        difference. Infinite if the value is not finite.
    """
    if not math.isfinite(value):
        return math.inf
    if requirement.holds(value):
        return 0.0
    bound = requirement.bound
    if requirement.comparison == ">=" and 0 <= bound < 1 and value <= 1:
        return math.log((1 - value) / (1 - bound))
    if requirement.comparison == ">=" or bound <= 0:  # a value of 0 must not fall short by less
        return abs(value - bound)
    return math.log(value / bound)


def higher_is_better(metric: str) -> bool:
    """Say which direction of a quantity is better, from the catalogue of quantities.

    Args:
        metric: a quantity's name.
    """
    return quantity_of(metric).better == "higher"


def ranking_key(record: Record, metric: str) -> tuple[float, float, float, int]:
    """Sort key of a candidate: best `metric` first, then more training, smaller, earlier.

    Args:
        record: what was trained.
        metric: the quantity that ranks networks.
    """
    value = record.measurements[metric].value if metric in record.measurements else math.nan
    signed = -value if higher_is_better(metric) else value
    rank = signed if math.isfinite(signed) else math.inf
    return rank, -record.candidate.fidelity, size_of(record), record.candidate.number


def meets(record: Record, requirements: Sequence[Requirement]) -> bool:
    """Say whether a candidate's measured values satisfy requirements, intervals left aside.

    Args:
        record: what was trained.
        requirements: looked up among its measurements by their text.
    """
    return all(q.holds(record.measurements[q.text].value) for q in requirements)


def surely_meets(record: Record, requirements: Sequence[Requirement]) -> bool:
    """Say whether other rows, as many, would most likely show every requirement to be met as well.

    The interval must clear the bound with as much room again: two looks at different rows differ by
    the square root of two standard errors, and the second must clear the bound with its own
    interval. If both intervals are of 95 %, the second look agrees in 92 of 100 cases.

    Args:
        record: what was trained; without one of the measurements it is not sure.
        requirements: looked up among its measurements by their text.
    """
    found = [(q, record.measurements.get(q.text)) for q in requirements]
    return all(m is not None and _clears(q, m) for q, m in found)


def _clears(requirement: Requirement, found: Measurement) -> bool:
    end = found.low if requirement.comparison == ">=" else found.high
    is_met = requirement.judge(found).verdict == "met"
    return is_met and requirement.holds(end + (end - found.value))


def size_of(record: Record) -> float:
    """Return the candidate's size in bytes if it was measured, else its number of parameters.

    Args:
        record: what was trained.
    """
    for name in ("size", "params"):
        if name in record.measurements:
            return record.measurements[name].value
    return 0.0


def quantity_of(name: str) -> Quantity:
    """Look a quantity up.

    Args:
        name: of a quantity in the catalogue.
    """
    # The catalogue stands above this file; it is resolved by name, at call time.
    return importlib.import_module("netwright.quantities").CATALOGUE[name]


def asks_for_learning(requirements: Sequence[Requirement]) -> bool:
    """Say whether some requirement can only be met by a network that has learned its task.

    Where none does, a constant answer or the smallest network may meet them all; the best by the
    metric is wanted then.

    Args:
        requirements: what the network must meet.
    """
    return any(quantity_of(r.quantity).shows_learning for r in requirements)


def usable_records(
    records: Sequence[Record], requirements: Sequence[Requirement], metric: str
) -> list[Record]:
    """Leave out what diverged, what was never trained, and what took its workers down.

    Args:
        records: all that was trained.
        requirements: each must have been measured on each record.
        metric: must have been measured on each record.

    Raises:
        ValueError: if there is no record, none with a finite `metric`, or one lacks a measurement.
    """
    if not records:
        raise ValueError("`records` is empty: no candidate was trained, so none can be chosen.")
    trained = [r for r in records if r.status not in ("pruned", "died")]
    for record in trained:
        for name in (metric, *(q.text for q in requirements)):
            if name not in record.measurements:
                raise ValueError(
                    f"Candidate {record.candidate.number} ({record.candidate.design.name}) has no "
                    f"measurement of `{name}`; it has {', '.join(record.measurements) or 'none'}."
                )
    usable = [r for r in trained if _is_finite(r, metric) and r.status != "diverged"]
    if not usable:
        raise ValueError(
            f"None of the {len(trained)} trained candidates has a finite `{metric}`: every one "
            f"diverged. Check the data for extreme values, or lower the learning rate."
        )
    return usable


def _is_finite(record: Record, metric: str) -> bool:
    return math.isfinite(record.measurements[metric].value)
