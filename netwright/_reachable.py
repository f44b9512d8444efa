"""What to say when no candidate meets all requirements: what binds, the front, and the prices."""

from collections.abc import Sequence

from netwright.design import Choice, Record, pareto_front
from netwright.finding import Cell, Finding, Table, format_value

__all__ = ["NAME", "front_table", "price_table", "reachable"]

NAME = "reachable"
_COSTS = ("size", "params", "macs")
_HEADINGS = {"size": "size (bytes)", "params": "parameters", "macs": "MACs"}


def reachable(choice: Choice, records: Sequence[Record], metric: str) -> Finding | None:
    """Say what could be reached instead, from the candidates of a search.

    Args:
        choice: what the search ended with.
        records: all its candidates.
        metric: the quantity that ranks networks.

    Returns:
        The finding, with the front and the price list as tables; None if some candidate met all.
    """
    if not choice.unreachable:
        return None
    return Finding(
        name=NAME,
        title="What stands in the way",
        summary=choice.unreachable,
        evidence=(front_table(records, metric), price_table(choice, records)),
    )


def front_table(records: Sequence[Record], metric: str) -> Table:
    """List the candidates that no other beats in both size and metric.

    Args:
        records: all candidates.
        metric: the quantity that ranks networks.
    """
    front = pareto_front(records, metric=metric)
    names = [n for n in _COSTS if all(n in r.measurements for r in front)]
    rows = tuple(
        (
            record.candidate.design.name,
            record.measurements[metric].value,
            *(record.measurements[name].value for name in names),
        )
        for record in front
    )
    columns = ("design", metric, *(_HEADINGS.get(name, name) for name in names))
    return Table("The reachable front, on the validation split", columns, rows)


def price_table(choice: Choice, records: Sequence[Record]) -> Table:
    """List what each requirement costs, and what looser bounds would.

    Args:
        choice: what the search ended with.
        records: all its candidates.
    """
    units = {name: m.unit for r in records for name, m in r.measurements.items()}
    rows: list[tuple[Cell, ...]] = []
    for price in choice.prices:
        unit, paid = units.get(price.requirement, ""), units.get(price.metric, "")
        lost = abs(price.given_up - price.kept)
        first = None if lost != lost else format_value(lost, paid)  # NaN: no candidate keeps it
        rows.append((price.requirement, "as stated", first, "yes" if price.binds else "no"))
        rows += [
            (price.requirement, format_value(r.bound, unit), format_value(r.lost, paid), None)
            for r in price.ladder
        ]
    metric = choice.prices[0].metric if choice.prices else ""
    columns = ("requirement", "bound", f"{metric} lost", "binds alone")
    return Table("The price of each requirement, and of looser bounds", columns, tuple(rows))
