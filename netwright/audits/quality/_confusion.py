"""Which class is taken for which."""

import torch
from jaxtyping import Int
from torch import Tensor

from netwright.audits._finding import not_applicable, outputs_trouble, shorten, timed
from netwright.finding import Evidence, Finding, Heatmap, Table
from netwright.measure import Subject, proportion

__all__ = ["confusion", "confusion_counts"]

_NAME, _TITLE = "confusion", "Which class is taken for which"
_MOST_DRAWN = 30  # classes; a larger matrix cannot be read
_MOST_PAIRS = 10


def confusion_counts(
    y: Int[Tensor, "n"], predicted: Int[Tensor, "n"], *, n_classes: int
) -> Int[Tensor, "classes classes"]:
    """Count rows by true class (row) and predicted class (column).

    Args:
        y: true classes.
        predicted: predicted classes.
        n_classes: how many classes there are.

    Raises:
        ValueError: if a class is not in 0..`n_classes` - 1.

    Example:
        >>> confusion_counts(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), n_classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    both = torch.cat([y, predicted])
    if len(both) and not (0 <= both.min() and both.max() < n_classes):
        raise ValueError(
            f"`y` and `predicted` must lie in 0..{n_classes - 1} (`n_classes` - 1); got "
            f"{int(both.min())}..{int(both.max())}."
        )
    flat = torch.bincount(y * n_classes + predicted, minlength=n_classes * n_classes)
    return flat.view(n_classes, n_classes)


@timed
def confusion(subject: Subject) -> Finding:
    """Count which class is taken for which, and list the pairs that are confused most.

    Args:
        subject: a classifier and the rows to count on.

    Returns:
        The matrix, drawn whole up to 30 classes, else for the 30 classes with most errors; and the
        ten commonest confusions. For several labels at once, right and wrong calls of each label.
    """
    target = subject.schema.target
    if target.kind in ("value", "values"):
        return not_applicable(_NAME, _TITLE, "the target is a number, not a class")
    if trouble := outputs_trouble(subject):
        return not_applicable(_NAME, _TITLE, trouble)
    if target.kind == "labels":
        return _labels(subject)
    classes = target.classes
    predicted = subject.outputs.argmax(1)
    counts = confusion_counts(subject.split.y, predicted, n_classes=len(classes))
    wrong = counts - torch.diag(counts.diag())
    n_wrong, n = int(wrong.sum()), len(predicted)
    pairs = _pairs(wrong, counts.sum(1), classes)
    if pairs.rows:
        true, said, n_pair, *_ = pairs.rows[0]
        summary = (
            f"{n_wrong:,} of {n:,} rows are misclassified; the commonest confusion takes "
            f"{true} for {said} ({n_pair} rows)."
        )
    else:
        summary = f"No confusion: all {n:,} rows are classified rightly."
    evidence: tuple[Evidence, ...] = (_matrix(counts, wrong, classes),)
    return Finding(
        name=_NAME,
        title=_TITLE,
        summary=summary,
        evidence=(*evidence, pairs) if pairs.rows else evidence,
    )


def _matrix(counts: Tensor, wrong: Tensor, classes: tuple[str, ...]) -> Heatmap:
    shown = torch.arange(len(classes))
    title = "Confusion matrix, in rows of the split"
    if len(classes) > _MOST_DRAWN:
        errors = wrong.sum(0) + wrong.sum(1)
        shown = errors.argsort(descending=True, stable=True)[:_MOST_DRAWN].sort().values
        title += f"; the {_MOST_DRAWN} of {len(classes)} classes with most errors"
    names = tuple(shorten(classes[i], 24) for i in shown.tolist())
    return Heatmap(
        title=title,
        x_label="predicted",
        y_label="true",
        columns=names,
        rows=names,
        values=tuple(tuple(map(float, row)) for row in counts[shown][:, shown].tolist()),
    )


def _pairs(wrong: Tensor, totals: Tensor, classes: tuple[str, ...]) -> Table:
    order = wrong.flatten().argsort(descending=True, stable=True)[:_MOST_PAIRS].tolist()
    rows = []
    for place in order:
        true, said = divmod(place, len(classes))
        count, total = int(wrong[true, said]), int(totals[true])
        if count:
            share = proportion(count, total)
            cells = (classes[true], classes[said], count, share.value, share.low, share.high)
            rows.append(cells)
    return Table(
        title="Commonest confusions",
        columns=("true", "predicted", "rows", "share of the true class", "low", "high"),
        rows=tuple(rows),
    )


def _labels(subject: Subject) -> Finding:
    truth, said = subject.split.y > 0.5, subject.outputs > 0
    cells = torch.stack([truth & said, ~truth & said, truth & ~said, ~truth & ~said]).sum(
        1
    )  # (4, L)
    classes = subject.schema.target.classes
    rows = tuple((name, *cells[:, i].tolist()) for i, name in enumerate(classes))
    worst = int((cells[1] + cells[2]).argmax())
    n_wrong = int(cells[1, worst] + cells[2, worst])
    summary = f"The label called wrongly most often is {classes[worst]}: {n_wrong:,} rows."
    if not n_wrong:
        summary = "Every label is called rightly on every row."
    columns = ("label", "rightly yes", "wrongly yes", "wrongly no", "rightly no")
    table = Table(title="Calls of each label, in rows of the split", columns=columns, rows=rows)
    return Finding(name=_NAME, title=_TITLE, summary=summary, evidence=(table,))
