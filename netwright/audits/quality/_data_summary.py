"""What the data look like: how many rows of what, and examples of them."""

import torch
from torch import Tensor

from netwright import _rng
from netwright.audits._decode import decode_cells, decode_target, headings, readable
from netwright.audits._finding import shorten, timed
from netwright.audits._line_sheet import line_sheet
from netwright.audits._picture import contact_sheet
from netwright.data import Schema, Split, Task
from netwright.finding import Bars, Cell, Evidence, Finding, Series, Table

__all__ = ["data_summary"]

_NAME, _TITLE = "data_summary", "The data"
_MOST_CLASSES = 30
_MOST_SHOWN = 18
_MOST_ROWS = 50


@timed
def data_summary(task: Task, *, generator: torch.Generator | None = None) -> Finding:
    """Describe a task: sizes and balance of its splits, columns, samples, duplicates, bad rows.

    The test split stays sealed; only its number of rows is told.

    Args:
        task: what is to be learned.
        generator: draws the samples that are shown; None derives one from the fingerprint.

    Returns:
        Tables and charts; for images and sequences a picture of training samples with their
        targets.
    """
    if generator is None:
        generator = _rng.child(0, f"audits/data_summary/{task.fingerprint}")
    schema = task.schema
    splits = {
        "train": task.train,
        "validation": task.validation,
        "calibration": task.calibration,
    }
    evidence: list[Evidence] = [_sizes(splits, len(task.test))]
    if schema.target.kind in ("class", "labels"):
        evidence.append(_balance(splits, schema))
    else:
        evidence.append(_values(splits, schema))
    if schema.input.kind == "table":
        evidence.append(_columns(schema))
    if len(task.train):  # an audit of rows from a file has none
        evidence.append(_samples(task.train, schema, generator))
    for table in (task.duplicates, task.quarantine):
        if table.rows:
            evidence.append(Table(_cut_title(table), table.columns, table.rows[:_MOST_ROWS]))
    n = sum(map(len, splits.values())) + len(task.test)
    what = {"image": "images", "table": "rows"}.get(schema.input.kind, f"{schema.input.kind}s")
    parts = [
        f"{n:,} {what}",
        f"{len(task.quarantine.rows):,} left out as unusable",
        f"{len(task.duplicates.rows):,} duplicates across splits",
        *task.notes,
    ]
    if schema.target.kind == "class":
        parts.insert(1, f"{len(schema.target.classes)} classes")
    summary = "; ".join(part.rstrip(".") for part in parts) + "."
    return Finding(_NAME, _TITLE, summary, evidence=tuple(evidence))


def _sizes(splits: dict[str, Split], n_test: int) -> Table:
    uses = {
        "train": "networks learn from it",
        "validation": "the search and early stopping look at it",
        "calibration": "confidence is fitted on it",
    }
    rows = [(name, len(split), uses[name]) for name, split in splits.items()]
    rows.append(("test", n_test, "opened by the audit alone"))
    return Table("Splits", ("split", "rows", "use"), tuple(rows))


def _balance(splits: dict[str, Split], schema: Schema) -> Bars:
    classes = schema.target.classes

    def counts(y: Tensor) -> Tensor:
        if schema.target.kind == "labels":
            return (y > 0.5).sum(0)
        return torch.bincount(y, minlength=len(classes))

    of_train = counts(splits["train"].y)
    shown = of_train.argsort(descending=True, stable=True)[:_MOST_CLASSES].sort().values.tolist()
    series = []
    for name, split in splits.items():
        found, n = counts(split.y).tolist(), max(1, len(split))
        hover = tuple(f"{classes[i]}: {found[i]:,} of {n:,} rows of {name}" for i in shown)
        shares = tuple(found[i] / n for i in shown)
        series.append(Series(name, tuple(classes[i] for i in shown), shares, hover))
    title = "Share of each class" if schema.target.kind == "class" else "Share of each label"
    if len(shown) < len(classes):
        title += f" (the {len(shown)} commonest of {len(classes)})"
    return Bars(title, schema.target.kind, "share of the split's rows", tuple(series))


def _values(splits: dict[str, Split], schema: Schema) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for i, name in enumerate(schema.target.names):
        for split_name, split in splits.items():
            if len(split):
                y = split.y[:, i].double()
                ends = (y.mean(), y.std(correction=0), y.min(), y.median(), y.max())
                rows.append((name, split_name, *(float(f"{v.item():.5g}") for v in ends)))
    columns = ("value", "split", "mean", "standard deviation", "smallest", "median", "largest")
    return Table("Targets", columns, tuple(rows))


def _columns(schema: Schema) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for c in schema.input.columns[:_MOST_ROWS]:
        if c.kind == "category":
            first = ", ".join(c.categories[:5]) + (", …" if len(c.categories) > 5 else "")
            seen = f"{len(c.categories)}: {first}"
        elif c.kind == "boolean":
            seen = f"yes in {c.mean:.0%}"
        elif c.kind == "date":
            first, last = decode_cells(
                torch.tensor([c.minimum, c.maximum], dtype=torch.double), (c, c)
            )
            seen = f"{first} to {last}"
        else:
            seen = f"{c.minimum:.5g} to {c.maximum:.5g}, mean {c.mean:.5g}"
        rows.append((c.name, c.kind, seen, "yes" if c.has_missing else "no"))
    title = f"Columns (the first {_MOST_ROWS} of {len(schema.input.columns)})"
    title = title if len(rows) < len(schema.input.columns) else "Columns"
    return Table(title, ("column", "kind", "in the training split", "missing values"), tuple(rows))


def _samples(train: Split, schema: Schema, generator: torch.Generator) -> Evidence:
    places = _spread(train, schema, generator)
    x, names = train.take(places), [decode_target(y, schema.target) for y in train.y[places]]
    if schema.input.kind in ("image", "sequence"):
        alt = f"{len(names)} training {schema.input.kind}s with their targets: "
        return (contact_sheet if schema.input.kind == "image" else line_sheet)(
            x,
            [(name,) for name in names],
            title="Training samples",
            alt=alt + shorten(", ".join(names), 200),
        )
    rows = tuple(
        (int(train.rows[place]), names[i], *readable(x[i], schema.input))
        for i, place in enumerate(places.tolist())
    )
    target = ", ".join(schema.target.names)
    columns = ("row of the source", target, *headings(schema.input))
    return Table("Training samples", columns, rows)


def _spread(train: Split, schema: Schema, generator: torch.Generator) -> Tensor:
    """Draw rows, as evenly over the classes as the classes allow."""
    order = torch.randperm(len(train), generator=generator)
    if schema.target.kind != "class":
        return order[:_MOST_SHOWN]
    y = train.y[order]
    turn = torch.zeros_like(y)
    for i in range(len(schema.target.classes)):
        turn[y == i] = torch.arange(int((y == i).sum()))
    chosen = order[turn.argsort(stable=True)[:_MOST_SHOWN]]
    return chosen[train.y[chosen].argsort(stable=True)]


def _cut_title(table: Table) -> str:
    if len(table.rows) <= _MOST_ROWS:
        return table.title
    return f"{table.title} (the first {_MOST_ROWS} of {len(table.rows):,})"
