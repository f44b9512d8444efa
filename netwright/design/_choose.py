"""Choose among trained candidates, and say what stands in the way when none will do."""

from collections.abc import Sequence
from dataclasses import dataclass

from netwright.design._price import Price, price_of
from netwright.design._ranking import (
    COSTS,
    asks_for_learning,
    meets,
    on_whole_images,
    quantity_of,
    ranking_key,
    shortfall,
    size_of,
    surely_meets,
    usable_records,
)
from netwright.design._record import Record
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["Choice", "choose"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to ship, and why.

    Attributes:
        record: the chosen candidate.
        qualified: whether its measured values meet every requirement on the validation split.
        reason: one or two sentences for people.
        prices: of each requirement; empty without requirements.
        unreachable: for people, a sentence a line, what binds and what it costs; empty if
            `qualified`.
    """

    record: Record
    qualified: bool
    reason: str
    prices: tuple[Price, ...] = ()
    unreachable: str = ""


def choose(
    records: Sequence[Record], requirements: Sequence[Requirement], *, metric: str
) -> Choice:
    """Choose the smallest candidate that meets every requirement for sure, or the nearest to it.

    In this order: candidates that will most likely meet every requirement on other rows as well
    (the smallest wins); candidates whose values do, though with little room (the one that is
    surest);
    of those that keep to the bounds on costs, if any does, the one that misses by least. When no
    requirement asks for learning (none at all, or only costs, gaps, calibration), the best by
    `metric` wins among those that keep to the others.

    Args:
        records: all that was trained.
        requirements: what the network must meet; measurements are looked up by their text.
        metric: the quantity that ranks networks, for example "accuracy".

    Raises:
        ValueError: if there is no record, none with a finite `metric`, or one lacks a measurement.
    """
    records = on_whole_images(records)
    usable = usable_records(records, requirements, metric)
    for_learning = asks_for_learning(requirements)
    holding = [
        r for r in usable if all(q.holds(r.measurements[q.text].value) for q in requirements)
    ]
    prices = tuple(price_of(q, usable, requirements, metric) for q in requirements)
    if not holding:
        priced = [q for q in requirements if quantity_of(q.quantity).needs in COSTS]
        fitting = [r for r in usable if meets(r, priced)]  # what does not fit cannot be used at all
        best = min(fitting or usable, key=lambda r: _missed(r, requirements, metric))
        missed = [q.text for q in requirements if not q.holds(best.measurements[q.text].value)]
        reason = f"{_name(best)} comes nearest to the requirements."
        return Choice(best, False, reason, prices, _unreachable(best, missed, prices))
    sure = [r for r in holding if surely_meets(r, requirements)]
    if for_learning and sure:
        best = min(sure, key=lambda r: (size_of(r), -r.candidate.fidelity, r.candidate.number))
        reason = (
            f"{_name(best)} is the smallest of {len(sure)} that meet every requirement on the "
            f"validation split with twice the room of their intervals."
        )
    elif for_learning:
        best = min(holding, key=lambda r: (_doubt(r, requirements), *ranking_key(r, metric)))
        reason = (
            f"{_name(best)} meets every requirement on the validation split, though not with room "
            f"for other rows; of {len(holding)} such candidates it is the surest."
        )
    else:
        best = min(holding, key=lambda r: ranking_key(r, metric))
        reason = f"{_name(best)} has the best {metric} on the validation split."
    return Choice(best, True, reason, prices)


def _bad_end(requirement: Requirement, measured: Measurement) -> float:
    return measured.low if requirement.comparison == ">=" else measured.high


def _doubt(record: Record, requirements: Sequence[Requirement]) -> float:
    measured = [(q, record.measurements[q.text]) for q in requirements]
    return sum(shortfall(q, _bad_end(q, m)) for q, m in measured)


def _missed(record: Record, requirements: Sequence[Requirement], metric: str):
    total = sum(shortfall(q, record.measurements[q.text].value) for q in requirements)
    return (total, *ranking_key(record, metric))


def _listed(texts: Sequence[str]) -> str:
    return " and ".join(f"`{text}`" for text in texts)


def _name(record: Record) -> str:
    return f"candidate {record.candidate.number} ({record.candidate.design.name})"


def _unreachable(best: Record, missed: Sequence[str], prices: Sequence[Price]) -> str:
    lines = [
        f"The requirements cannot be met by any candidate that was trained. "
        f"C{_name(best)[1:]} comes nearest and misses {_listed(missed)}."
    ]
    binds = [f"`{p.requirement}`" for p in prices if p.binds]
    if binds:
        lines.append(f"All other requirements could be met without {' or without '.join(binds)}.")
    return "\n".join(lines + [p.text for p in prices])
