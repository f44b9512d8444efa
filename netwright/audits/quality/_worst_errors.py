"""The mistakes that the network is most sure of, or the values that it misses by most."""

import torch
from torch import Tensor

from netwright.audits._decode import decode_target, headings, readable
from netwright.audits._finding import not_applicable, outputs_trouble, shorten, timed
from netwright.audits._line_sheet import line_sheet
from netwright.audits._picture import contact_sheet
from netwright.finding import Cell, Evidence, Finding, Table
from netwright.measure import Subject

__all__ = ["worst_errors"]

_NAME, _TITLE = "worst_errors", "Worst errors"


@timed
def worst_errors(subject: Subject, *, n_shown: int = 18) -> Finding:
    """Show the rows that the network gets most wrong, readable.

    Which are worst: for classes, the mistakes with the highest probability of the wrong class; for
    labels, the rows with the highest cross-entropy that have a wrong label; for values, the largest
    differences, in standard deviations of the training targets.

    Args:
        subject: a network and the rows to look at.
        n_shown: most rows shown.

    Returns:
        A picture of images, or of sequences as line charts, with what is true and what was said,
        and a table of the same rows; for tables and texts their cells and words (of a table the
        first 12 columns).

    Raises:
        ValueError: if `n_shown` is below 1.
    """
    if n_shown < 1:
        raise ValueError(f"`n_shown` must be at least 1; got {n_shown}.")
    if trouble := outputs_trouble(subject):
        return not_applicable(_NAME, _TITLE, trouble)
    kind = subject.schema.target.kind
    score, wrong, sure = {"class": _of_class, "labels": _of_labels}.get(kind, _of_values)(subject)
    n_wrong, n = int(wrong.sum()), len(wrong)
    order = score.masked_fill(~wrong, float("-inf")).argsort(descending=True, stable=True)
    places = order[: min(n_shown, n_wrong)]
    if not n_wrong:
        return Finding(_NAME, _TITLE, f"No errors on {n:,} rows.")
    if kind in ("value", "values"):
        summary = f"The {len(places)} of {n:,} rows that are missed by most."
    else:
        summary = f"{n_wrong:,} of {n:,} rows are wrong; the {len(places)} worst are shown."
    return Finding(_NAME, _TITLE, summary, evidence=_show(subject, places, sure))


def _of_class(subject: Subject) -> tuple[Tensor, Tensor, Tensor]:
    top = subject.outputs.double().softmax(1).max(1)
    return top.values, top.indices != subject.split.y, top.values


def _of_labels(subject: Subject) -> tuple[Tensor, Tensor, Tensor]:
    logits, y = subject.outputs, subject.split.y
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none").mean(1)
    return loss, ((logits > 0) != (y > 0.5)).any(1), loss


def _of_values(subject: Subject) -> tuple[Tensor, Tensor, Tensor]:
    std = torch.tensor(subject.schema.target.std)
    error = (subject.outputs - subject.split.y) / std
    size = error.abs().amax(1)
    # Every row is off by something; only exact hits are no errors.
    return size, size > 0, size


def _show(subject: Subject, places: Tensor, sure: Tensor) -> tuple[Evidence, ...]:
    schema, split = subject.schema, subject.split
    target, inputs = schema.target, schema.input
    word = {"class": "probability", "labels": "loss in nats a label"}
    measure = word.get(target.kind, "difference in standard deviations")
    said = subject.outputs.argmax(1) if target.kind == "class" else subject.outputs
    said = (said > 0).float() if target.kind == "labels" else said
    x = split.take(places)
    rows: list[tuple[Cell, ...]] = []
    captions = []
    for i, place in enumerate(places.tolist()):
        true, guess = decode_target(split.y[place], target), decode_target(said[place], target)
        how = float(f"{sure[place].item():.4g}")
        cells = readable(x[i], inputs) if inputs.kind != "image" else ()
        rows.append((int(split.rows[place]), true, guess, how, *cells))
        short = {"class": "p", "labels": "loss"}.get(target.kind, "off by")
        off = f"{how:.2f}" + ("" if target.kind in word else " std")
        captions.append((f"true: {true}", f"said: {shorten(guess, 60)}", f"{short} = {off}"))
    columns = ("row of the source", "true", "predicted", measure)
    title = "Worst errors"
    if inputs.kind != "image":
        shown = headings(inputs)
        columns += shown
        if inputs.kind == "table" and len(shown) < len(inputs.columns):
            title += f" (the first {len(shown)} of {len(inputs.columns)} columns)"
    table = Table(title, columns, tuple(rows))
    if inputs.kind not in ("image", "sequence"):
        return (table,)
    worst = "; ".join(f"{true} taken for {guess}" for _, true, guess, *_ in rows[:3])
    sheet, what = (contact_sheet, "images") if inputs.kind == "image" else (line_sheet, "sequences")
    alt = f"{len(rows)} {what} with what is true and what was said, worst first: "
    alt += f"{shorten(worst, 200)}."
    return (sheet(x, captions, title="The worst errors", alt=alt), table)
