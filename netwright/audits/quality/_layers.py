"""What each layer of a network costs: bytes and multiply-accumulates."""

from collections.abc import Callable

from netwright.audits._finding import not_applicable, timed
from netwright.finding import Bars, Cell, Finding, Measurement, Series, Table, format_value
from netwright.measure import LayerCost, Subject, macs

__all__ = ["macs_by_layer", "size_by_layer"]

_MOST_BARS = 30
_MOST_ROWS = 200


@timed
def size_by_layer(subject: Subject) -> Finding:
    """Say where the bytes of the parameters are.

    Args:
        subject: a network, with its shipped file if there is one.

    Returns:
        The bytes of the file (of the parameters, when there is no file), a bar and a row for each
        layer, and what of the file is not parameters: graph, preprocessing, buffers and metadata.

    Cost: one forward pass of one row.
    """
    name, title = "size_by_layer", "Size by layer"
    if not len(subject.split):
        return not_applicable(name, title, "the split has no row to run the network on")
    costs = macs(subject.network, subject.split.take([0]))
    held = [row for row in costs.rows if row.parameters]
    total = costs.parameter_bytes
    rows = _rows(held, lambda r: r.parameter_bytes, lambda r: (r.parameters, r.parameter_bytes))
    if subject.artefact is None:
        measured = _exact(total, "bytes", "parameters only")
        summary = f"{costs.parameters:,} parameters in {format_value(total, 'bytes')}."
    else:
        size = subject.artefact.stat().st_size
        measured = _exact(size, "bytes", "")
        # A compressed file may be smaller than the numbers decoded from it.
        rest = f"; {format_value(size - total, 'bytes')} of it are not" if size > total else ""
        summary = (
            f"The shipped file has {format_value(size, 'bytes')}; its {costs.parameters:,} "
            f"parameters take {format_value(total, 'bytes')} in memory{rest}."
        )
    columns = ("layer", "kind", "parameters", "bytes", "share")
    bars = _bars("Bytes of the parameters, by layer", "bytes", held, lambda r: r.parameter_bytes)
    table = Table(_title("Parameters by layer", held), columns, rows)
    return Finding(name, title, summary, measured, evidence=(bars, table) if held else (table,))


@timed
def macs_by_layer(subject: Subject) -> Finding:
    """Say where the multiply-accumulates of one prediction are spent.

    Args:
        subject: a network.

    Returns:
        The multiply-accumulates of one example, and a bar and a row for each layer that has some.
        What is counted stands with `netwright.measure.macs`.

    Cost: one forward pass of one row.
    """
    name, title = "macs_by_layer", "Multiply-accumulates by layer"
    if not len(subject.split):
        return not_applicable(name, title, "the split has no row to run the network on")
    costs = macs(subject.network, subject.split.take([0]))
    busy = [row for row in costs.rows if row.macs]
    summary = f"One prediction takes {format_value(costs.macs, 'MACs')}."
    if busy:
        most = max(busy, key=lambda row: row.macs)
        summary += f" {_name(most)} takes {most.macs / costs.macs:.0%} of them."
    columns = ("layer", "kind", "operator", "output", "MACs", "share")
    rows = _rows(busy, lambda r: r.macs, lambda r: (r.operator, _shape(r), r.macs))
    bars = _bars("Multiply-accumulates of one prediction, by layer", "MACs", busy, lambda r: r.macs)
    table = Table(_title("Multiply-accumulates by layer", busy), columns, rows)
    measured = _exact(costs.macs, "MACs", "one example")
    return Finding(name, title, summary, measured, evidence=(bars, table) if busy else (table,))


def _exact(value: float, unit: str, note: str) -> Measurement:
    return Measurement(float(value), float(value), float(value), n=1, unit=unit, note=note)


def _rows(
    layers: list[LayerCost],
    size: Callable[[LayerCost], int],
    cells: Callable[[LayerCost], tuple[Cell, ...]],
) -> tuple[tuple[Cell, ...], ...]:
    total = sum(map(size, layers))
    return tuple(
        (_name(row), row.kind, *cells(row), size(row) / total if total else None)
        for row in _largest(layers, size, _MOST_ROWS)
    )


def _bars(title: str, unit: str, layers: list[LayerCost], size: Callable[[LayerCost], int]) -> Bars:
    shown = _largest(layers, size, _MOST_BARS)
    names = [f"{place + 1} {_name(row)}" for place, row in enumerate(layers) if row in shown]
    values = [size(row) for row in layers if row in shown]
    if len(shown) < len(layers):
        names.append(f"the {len(layers) - len(shown)} others")
        values.append(sum(map(size, layers)) - sum(values))
    hover = tuple(f"{n}: {format_value(v, unit)}" for n, v in zip(names, values, strict=True))
    series = Series(unit, tuple(names), tuple(map(float, values)), hover)
    return Bars(title=title, x_label="layer, from input to output", y_label=unit, series=(series,))


def _largest(
    layers: list[LayerCost], size: Callable[[LayerCost], int], most: int
) -> list[LayerCost]:
    """Keep the largest layers, in the network's own order."""
    order = sorted(range(len(layers)), key=lambda i: -size(layers[i]))[:most]
    return [layers[i] for i in sorted(order)]


def _name(row: LayerCost) -> str:
    return row.path or f"({row.kind})"


def _shape(row: LayerCost) -> str:
    return " × ".join(map(str, row.output_shape[1:]))


def _title(text: str, layers: list[LayerCost]) -> str:
    return text if len(layers) <= _MOST_ROWS else f"{text} (the {_MOST_ROWS} largest)"
