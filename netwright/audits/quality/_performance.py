"""How well the network predicts, as a whole and for each class, label or value."""

from torch import Tensor

from netwright.audits._finding import not_applicable, outputs_trouble, span, timed
from netwright.finding import Cell, Finding, Measurement, Table
from netwright.measure import Subject, accuracy, proportion

__all__ = ["performance"]

_NAME, _TITLE = "performance", "How well the network predicts"
_HEADINGS = ("measure", "value", "low", "high", "rows", "interval")


@timed
def performance(subject: Subject) -> Finding:
    """Measure the usual figures of merit with their intervals, and each class by itself.

    Args:
        subject: a network and the rows to measure on.

    Returns:
        The main measure (accuracy, share of rows with every label right, or the root mean squared
        error), a table of all measures, and one row for each class, label or value.
    """
    if trouble := outputs_trouble(subject):
        return not_applicable(_NAME, _TITLE, trouble)
    kind = subject.schema.target.kind
    outputs, y = subject.outputs, subject.split.y
    if kind == "class":
        main = accuracy(outputs, y)
        classes = subject.schema.target.classes
        evidence = (_measures({"accuracy": main}), _per_class(outputs.argmax(1), y, classes))
        summary = f"Accuracy {span(main)} on {main.n:,} rows."
        return Finding(_NAME, _TITLE, summary, measurement=main, evidence=evidence)
    return not_applicable(_NAME, _TITLE, f"a target of kind {kind} has no measure yet")


def _measures(found: dict[str, Measurement]) -> Table:
    rows = tuple((name, m.value, m.low, m.high, m.n, m.method) for name, m in found.items())
    return Table("Measures, with 95 % intervals", _HEADINGS, rows)


def _per_class(predicted: Tensor, y: Tensor, classes: tuple[str, ...]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for i, name in enumerate(classes):
        true, said = y == i, predicted == i
        rows.append(_row(name, true, said))
    return Table("Each class", _PER_CLASS, tuple(rows))


_PER_CLASS = (
    "class",
    "rows",
    "precision",
    "precision low",
    "precision high",
    "recall",
    "recall low",
    "recall high",
    "F1",
)


def _row(name: str, true: Tensor, said: Tensor) -> tuple[Cell, ...]:
    hits, n_true, n_said = (int(mask.sum()) for mask in (true & said, true, said))
    f1 = 2 * hits / (n_true + n_said) if n_true + n_said else None
    return (name, n_true, *_rate(hits, n_said), *_rate(hits, n_true), f1)


def _rate(successes: int, n: int) -> tuple[Cell, Cell, Cell]:
    if not n:
        return (None, None, None)  # no rate of nothing
    measured = proportion(successes, n)
    return (measured.value, measured.low, measured.high)
