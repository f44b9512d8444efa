"""What a requirement costs, computed from the candidates that were trained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netwright.design._ranking import meets, quantity_of, ranking_key, shortfall, usable_records
from netwright.design._record import Record
from netwright.finding import Measurement, format_value
from netwright.requirement import Requirement

__all__ = ["Price", "Rung", "binding", "price_of"]

_MOST_RUNGS = 4


@dataclass(frozen=True, slots=True)
class Rung:
    """What a looser bound would cost.

    Attributes:
        bound: the looser bound, in base units: what a trained candidate has.
        lost: how much worse `Price.metric` is under it than without any bound, in its own units.
        fidelity: share of a full training that the candidate had.
    """

    bound: float
    lost: float
    fidelity: float


@dataclass(frozen=True, slots=True)
class Price:
    """What one requirement costs, among the candidates that were trained.

    Attributes:
        requirement: its text.
        metric: the quantity in which the price is paid.
        kept: best value of `metric` among candidates that meet every requirement on cost; NaN if
            there are none.
        given_up: best value when this requirement is left out.
        binds: whether some candidate would meet all other requirements if this one were left out.
        text: the price in words, for example "`size <= 20 kB` costs 1.3 points of accuracy: 0.968
            with it, 0.981 without; 37.4 kB costs 0.2, 172.1 kB nothing."
        ladder: what looser bounds would cost, tightest first; the last one costs nothing.
    """

    requirement: str
    metric: str
    kept: float
    given_up: float
    binds: bool
    text: str
    ladder: tuple[Rung, ...] = ()


def binding(
    records: Sequence[Record], requirements: Sequence[Requirement], *, metric: str
) -> tuple[Price, ...]:
    """Compute the price of each requirement from measured candidates; those that bind come first.

    Args:
        records: all that was trained.
        requirements: what the network must meet.
        metric: the quantity in which prices are paid.

    Raises:
        ValueError: as `choose`.
    """
    usable = usable_records(records, requirements, metric)
    prices = [price_of(q, usable, requirements, metric) for q in requirements]
    return tuple(sorted(prices, key=lambda price: not price.binds))


def price_of(
    requirement: Requirement,
    usable: Sequence[Record],
    requirements: Sequence[Requirement],
    metric: str,
) -> Price:
    """Compute what one requirement costs.

    Args:
        requirement: one of `requirements`.
        usable: candidates with all measurements.
        requirements: all that are demanded.
        metric: the quantity in which the price is paid.
    """
    others = [q for q in requirements if q is not requirement]

    binds = not any(meets(r, requirements) for r in usable) and any(
        meets(r, others) for r in usable
    )
    # The price is paid in the metric: what the other bounds on cost, not on the metric, leave open.
    open_to = [q for q in others if q.quantity != metric]
    kept = _best([r for r in usable if meets(r, [*open_to, requirement])], metric)
    given_up = _best([r for r in usable if meets(r, open_to)], metric)
    ladder: tuple[Rung, ...] = ()
    if given_up is not None and requirement.quantity != metric:
        ladder = _ladder(requirement, [r for r in usable if meets(r, open_to)], metric)
    unit = usable[0].measurements[requirement.text].unit if usable else ""
    free = _best(usable, metric)
    text = _price_in_words(requirement, metric, kept, given_up, free, _listed(ladder, unit))
    return Price(
        requirement.text,
        metric,
        math.nan if kept is None else kept.value,
        math.nan if given_up is None else given_up.value,
        binds,
        text,
        ladder,
    )


def _ladder(requirement: Requirement, records: Sequence[Record], metric: str) -> tuple[Rung, ...]:
    """List the candidates that break a bound and lose less than any that break it less."""
    best = _best(records, metric)
    within = _best([r for r in records if meets(r, [requirement])], metric)
    assert best is not None
    lost = math.inf if within is None else abs(best.value - within.value)
    rungs: list[Rung] = []
    beyond = [r for r in records if not meets(r, [requirement])]
    for record in sorted(
        beyond,
        key=lambda r: (shortfall(requirement, _value(r, requirement)), *ranking_key(r, metric)),
    ):
        less = abs(best.value - record.measurements[metric].value)
        if less < lost:
            lost = less
            rungs.append(Rung(_value(record, requirement), lost, record.candidate.fidelity))
    if len(rungs) <= _MOST_RUNGS:
        return tuple(rungs)
    places = {round(k * (len(rungs) - 1) / (_MOST_RUNGS - 1)) for k in range(_MOST_RUNGS)}
    return tuple(rungs[k] for k in sorted(places))


def _value(record: Record, requirement: Requirement) -> float:
    return record.measurements[requirement.text].value


def _best(records: Sequence[Record], metric: str) -> Measurement | None:
    if not records:
        return None
    return min(records, key=lambda r: ranking_key(r, metric)).measurements[metric]


def _price_in_words(
    requirement: Requirement,
    metric: str,
    kept: Measurement | None,
    given_up: Measurement | None,
    free: Measurement | None,
    ladder: Sequence[tuple[str, Rung]],
) -> str:
    if given_up is None:
        return f"`{requirement.text}`: no candidate meets the other requirements."
    best = format_value(given_up.value, given_up.unit)
    if requirement.quantity == metric:
        text = f"`{requirement.text}`: the best {metric} reached is {best}"
        if free is not None and free.value != given_up.value:
            value = format_value(free.value, free.unit)
            text += f", and {value} if nothing else is required"
        return f"{text}."
    steps = _steps_in_words(ladder, metric, given_up)
    if kept is None:
        first = f"No trained candidate meets `{requirement.text}`; without it, {metric} reaches "
        return f"{first}{best}{': ' if steps else ''}{steps}."
    lost = abs(given_up.value - kept.value)
    if lost == 0:
        return f"`{requirement.text}` costs nothing: {metric} reaches {best} with it."
    return (
        f"`{requirement.text}` costs {_amount(lost, metric, given_up)} of {metric}: "
        f"{format_value(kept.value, kept.unit)} with it, {best} without"
        f"{'; ' if steps else ''}{steps}."
    )


def _amount(lost: float, metric: str, like: Measurement) -> str:
    if quantity_of(metric).dimension == "ratio":
        return f"{100 * lost:.1f} points"
    return format_value(lost, like.unit)


def _listed(ladder: Sequence[Rung], unit: str) -> list[tuple[str, Rung]]:
    return [(format_value(rung.bound, unit), rung) for rung in ladder]


def _steps_in_words(ladder: Sequence[tuple[str, Rung]], metric: str, like: Measurement) -> str:
    """Write "37.4 kB costs 0.2 points, 172.1 kB nothing"."""
    longest = max((rung.fidelity for _, rung in ladder), default=1.0)
    parts = []
    for bound, rung in ladder:
        verb = "" if parts else " costs"
        lost = _amount(rung.lost, metric, like) if rung.lost else "nothing"
        brief = "" if rung.fidelity >= 0.5 * longest else " (trained briefly)"
        parts.append(f"{bound}{verb} {lost}{brief}")
    return ", ".join(parts)
