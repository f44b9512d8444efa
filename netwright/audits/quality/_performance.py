"""How well the network predicts, as a whole and for each class, label or value."""

import math

import torch
from torch import Tensor

from netwright import _rng, measure
from netwright.audits._finding import not_applicable, outputs_trouble, span, timed
from netwright.finding import Cell, Finding, Measurement, Table
from netwright.measure import Subject

__all__ = ["performance"]

_NAME, _TITLE = "performance", "How well the network predicts"
_MOST_ROWS = 200
_RATES = ("precision", "precision low", "precision high", "recall", "recall low", "recall high")


@timed
def performance(subject: Subject, *, generator: torch.Generator | None = None) -> Finding:
    """Measure the usual figures of merit with their intervals, and each class by itself.

    Args:
        subject: a network and the rows to measure on.
        generator: draws bootstrap resamples; None derives one from `subject.seed`.

    Returns:
        The main measure (accuracy, share of rows with every label right, or the root mean squared
        error), a table of all measures beside what needs no network, and one row for each class,
        label or value.

    Cost: bootstrap resamples of the rows; no call of the network beyond `subject.outputs`.
    """
    if trouble := outputs_trouble(subject):
        return not_applicable(_NAME, _TITLE, trouble)
    if generator is None:
        generator = _rng.child(subject.seed, "audits/performance")
    kind = subject.schema.target.kind
    if kind == "class":
        return _of_class(subject, generator)
    if kind == "labels":
        return _of_labels(subject, generator)
    return _of_values(subject, generator)


def _of_class(subject: Subject, generator: torch.Generator) -> Finding:
    logits, y, classes = subject.outputs, subject.split.y, subject.schema.target.classes
    found = {
        "accuracy": measure.accuracy(logits, y),
        "balanced accuracy": measure.balanced_accuracy(logits, y),
    }
    if len(classes) == 2:
        found[f"F1 of {classes[1]}"] = measure.f1_binary(logits, y)
    else:
        found["F1, mean over classes"] = measure.f1(logits, y, generator=generator)
    found["AUROC"] = measure.auroc(logits, y)
    found["log loss (nats)"] = measure.log_loss(logits, y, generator=generator)
    commonest = int(torch.bincount(y, minlength=len(classes)).argmax())
    always = measure.proportion(int((y == commonest).sum()), len(y))
    found[f"accuracy of always saying {classes[commonest]}"] = always
    predicted = logits.argmax(1)
    rows = [_class_row(name, y == i, predicted == i) for i, name in enumerate(classes)]
    title = "Each class"
    if len(rows) > _MOST_ROWS:
        rows = sorted(rows, key=lambda row: -1.0 if row[5] is None else row[5])[:_MOST_ROWS]
        title = f"The {_MOST_ROWS} of {len(classes)} classes that are recalled worst"
    each = Table(title, ("class", "rows", *_RATES, "F1"), tuple(rows))
    main = found["accuracy"]
    summary = (
        f"Accuracy {span(main)} on {main.n:,} rows; always saying {classes[commonest]} would "
        f"reach {always.value:.3f}."
    )
    return Finding(_NAME, _TITLE, summary, main, evidence=(_measures(found), each))


def _of_labels(subject: Subject, generator: torch.Generator) -> Finding:
    logits, y = subject.outputs, subject.split.y
    found = {
        "every label right": measure.exact_match(logits, y),
        "F1, mean over labels": measure.f1_labels(logits, y, generator=generator),
        "AUROC, mean over labels": measure.auroc_labels(logits, y),
        "log loss (nats a label)": measure.log_loss_labels(logits, y, generator=generator),
    }
    truth, said = y > 0.5, logits > 0
    names = subject.schema.target.classes
    rows = [_class_row(name, truth[:, i], said[:, i]) for i, name in enumerate(names)]
    each = Table("Each label", ("label", "rows", *_RATES, "F1"), tuple(rows))
    main = found["every label right"]
    summary = f"Every label is right on {span(main)} of {main.n:,} rows."
    return Finding(_NAME, _TITLE, summary, main, evidence=(_measures(found), each))


def _of_values(subject: Subject, generator: torch.Generator) -> Finding:
    values, y, target = subject.outputs, subject.split.y, subject.schema.target
    measures = {
        "root mean squared error": measure.rmse,
        "mean absolute error": measure.mae,
        "R²": measure.r2,
    }
    found = {name: take(values, y, generator=generator) for name, take in measures.items()}
    tables = [_measures(found)]
    if len(target.names) > 1:
        rows = []
        for i, column in enumerate(target.names):
            one = slice(i, i + 1)
            for name, take in measures.items():
                m = take(values[:, one], y[:, one], generator=generator)
                rows.append((column, name, *_ends(m), m.n))
        columns = ("value", "measure", "measured", "low", "high", "rows")
        tables.append(Table("Each value, in its own unit", columns, tuple(rows)))
    main = found["root mean squared error"]
    spread = ((y.double() - torch.tensor(target.mean)) ** 2).mean(0).sqrt().mean().item()
    summary = (
        f"Root mean squared error {span(main)} on {main.n:,} rows, in units of "
        f"{', '.join(target.names)}; always saying the training mean would give {spread:.4g}."
    )
    return Finding(_NAME, _TITLE, summary, main, evidence=tuple(tables))


def _measures(found: dict[str, Measurement]) -> Table:
    rows = tuple((name, *_ends(m), m.n, m.unresolved or m.method) for name, m in found.items())
    columns = ("measure", "value", "low", "high", "rows", "interval")
    return Table("Measures, with 95 % intervals", columns, rows)


def _ends(measured: Measurement) -> tuple[Cell, Cell, Cell]:
    ends = (measured.value, measured.low, measured.high)
    return tuple(None if math.isnan(end) else end for end in ends)  # type: ignore[return-value]


def _class_row(name: str, true: Tensor, said: Tensor) -> tuple[Cell, ...]:
    hits, n_true, n_said = (int(mask.sum()) for mask in (true & said, true, said))
    f1 = 2 * hits / (n_true + n_said) if n_true + n_said else None
    return (name, n_true, *_rate(hits, n_said), *_rate(hits, n_true), f1)


def _rate(successes: int, n: int) -> tuple[Cell, Cell, Cell]:
    if not n:
        return (None, None, None)  # no rate of nothing
    return _ends(measure.proportion(successes, n))
