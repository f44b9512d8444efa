"""What a requirement costs, computed from the candidates that were trained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netwright.design._ranking import meets, quantity_of, ranking_key, usable_records
from netwright.design._record import Record
from netwright.finding import Measurement, format_value
from netwright.requirement import Requirement

__all__ = ["Price", "binding", "price_of"]


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
        text: the price in words, for example "`size <= 20 kB` costs 1.3 points of accuracy".
    """

    requirement: str
    metric: str
    kept: float
    given_up: float
    binds: bool
    text: str


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
    text = _price_in_words(requirement, metric, kept, given_up)
    return Price(
        requirement.text,
        metric,
        math.nan if kept is None else kept.value,
        math.nan if given_up is None else given_up.value,
        binds,
        text,
    )


def _best(records: Sequence[Record], metric: str) -> Measurement | None:
    if not records:
        return None
    return min(records, key=lambda r: ranking_key(r, metric)).measurements[metric]


def _price_in_words(
    requirement: Requirement, metric: str, kept: Measurement | None, given_up: Measurement | None
) -> str:
    if given_up is None:
        return f"`{requirement.text}`: no candidate meets the other requirements."
    best = format_value(given_up.value, given_up.unit)
    if requirement.quantity == metric:
        return f"`{requirement.text}`: the best {metric} reached is {best}."
    if kept is None:
        return (
            f"No trained candidate meets `{requirement.text}`; without it, {metric} reaches {best}."
        )
    lost = abs(given_up.value - kept.value)
    if lost == 0:
        return f"`{requirement.text}` costs nothing: {metric} reaches {best} with it."
    is_share = quantity_of(metric).dimension == "ratio"
    amount = f"{100 * lost:.1f} points" if is_share else format_value(lost, given_up.unit)
    return (
        f"`{requirement.text}` costs {amount} of {metric}: {format_value(kept.value, kept.unit)} "
        f"with it, {best} without."
    )
