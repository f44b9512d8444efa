"""Whether a classifier's probabilities come true as often as they say.

Paper:    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017,
          arXiv:1706.04599, section 2 (reliability diagrams, expected calibration error). Brier.
          Verification of Forecasts Expressed in Terms of Probability. Monthly Weather Review 1950.
Departs:  bins without rows are not drawn; the diagram shows intervals.
Notation: none.
"""

import torch

from netwright import _rng, measure
from netwright.audits._finding import not_applicable, outputs_trouble, span, timed
from netwright.finding import Bars, Cell, Finding, Lines, Measurement, Series, Table
from netwright.measure import Reliability, Subject

__all__ = ["calibration"]

_NAME, _TITLE = "calibration", "Do probabilities come true?"


@timed
def calibration(
    subject: Subject, *, bins: int = 15, generator: torch.Generator | None = None
) -> Finding:
    """Compare the probabilities that a classifier gives with how often they come true.

    Args:
        subject: a classifier and the rows to measure on.
        bins: bins of equal width that probabilities are sorted into.
        generator: draws bootstrap resamples; None derives one from `subject.seed`.

    Returns:
        The expected calibration error; the reliability diagram (on the diagonal, probabilities come
        true), the distribution of confidence, and the Brier score and log loss.

    Raises:
        ValueError: if `bins` is below 1.
    """
    kind = subject.schema.target.kind
    if kind not in ("class", "labels"):
        return not_applicable(_NAME, _TITLE, "values come without a probability")
    if trouble := outputs_trouble(subject):
        return not_applicable(_NAME, _TITLE, trouble)
    if generator is None:
        generator = _rng.child(subject.seed, "audits/calibration")
    logits, y = subject.outputs, subject.split.y
    if kind == "class":
        error = measure.ece(logits, y, bins=bins, generator=generator)
        loss = measure.log_loss(logits, y, generator=generator)
        found = measure.reliability(logits, y, bins=bins)
        probabilities = logits.double().softmax(1)
        truth = torch.nn.functional.one_hot(y, logits.shape[1])
        squared = (probabilities - truth).square().sum(1)
    else:
        error = measure.ece_labels(logits, y, bins=bins, generator=generator)
        loss = measure.log_loss_labels(logits, y, generator=generator)
        found = measure.reliability_labels(logits, y, bins=bins)
        squared = (logits.double().sigmoid() - y).square().mean(1)
    brier = measure.bootstrap(squared[:, None], lambda mean: mean[..., 0], generator=generator)
    return Finding(
        name=_NAME,
        title=_TITLE,
        summary=_summary(error, found, kind),
        measurement=error,
        evidence=(_diagram(found), _histogram(found), _scores(error, brier, loss), _table(found)),
    )


def _summary(error: Measurement, found: Reliability, kind: str) -> str:
    counts = torch.tensor(found.counts, dtype=torch.double)
    weights = counts / counts.sum()
    sure, right = (
        float(weights @ torch.tensor(part, dtype=torch.double))
        for part in (found.confidence, found.accuracy)
    )
    start = f"Probabilities are off by {span(error)} on average"
    if error.unresolved:
        start = f"The calibration error is unresolved: {error.unresolved.rstrip('.')}"
    if kind == "labels":
        return f"{start}; labels get probability {sure:.3f} on average and are true in {right:.3f}."
    # The difference of two means over the same rows; half a point is nothing to speak of.
    if abs(sure - right) < 0.005:
        judged = "neither over- nor underconfident on the whole"
    else:
        judged = "overconfident" if sure > right else "underconfident"
    return f"{start}; mean confidence {sure:.3f}, accuracy {right:.3f}: {judged}."


def _diagram(found: Reliability) -> Lines:
    ends = [
        measure.proportion(round(right * n), n)
        for right, n in zip(found.accuracy, found.counts, strict=True)
    ]
    hover = tuple(
        f"said {sure:.3f}, came true {span(end)}, {n:,} predictions"
        for sure, end, n in zip(found.confidence, ends, found.counts, strict=True)
    )
    x = found.confidence
    return Lines(
        title="Reliability diagram: how often predictions of a confidence come true",
        x_label="mean probability in the bin",
        y_label="share that came true",
        series=(
            Series("came true", x, found.accuracy, hover),
            Series("95 % interval, low end", x, tuple(e.low for e in ends)),
            Series("95 % interval, high end", x, tuple(e.high for e in ends)),
        ),
        diagonal=True,
    )


def _histogram(found: Reliability) -> Bars:
    width = 1 / found.bins
    counts = dict(zip((round(e / width) for e in found.edges), found.counts, strict=True))
    names = tuple(f"{(i + 0.5) * width:.2f}" for i in range(found.bins))
    values = tuple(float(counts.get(i, 0)) for i in range(found.bins))
    hover = tuple(
        f"{i * width:.3f} to {(i + 1) * width:.3f}: {v:,.0f} predictions"
        for i, v in enumerate(values)
    )
    return Bars(
        title="How sure the network is",
        x_label="probability of the prediction (middle of the bin)",
        y_label="predictions",
        series=(Series("predictions", names, values, hover),),
    )


def _scores(error: Measurement, brier: Measurement, loss: Measurement) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, m in (
        ("expected calibration error", error),
        ("Brier score", brier),
        ("log loss (nats)", loss),
    ):
        ends = (None, None, None) if m.unresolved else (m.value, m.low, m.high)
        rows.append((name, *ends, m.note or m.unresolved))
    columns = ("score, lower is better", "value", "low", "high", "note")
    return Table("Scores of the probabilities, with 95 % intervals", columns, tuple(rows))


def _table(found: Reliability) -> Table:
    rows = tuple(
        (round(edge, 4), round(edge + 1 / found.bins, 4), n, sure, right)
        for edge, n, sure, right in zip(
            found.edges, found.counts, found.confidence, found.accuracy, strict=True
        )
    )
    columns = ("from", "to", "predictions", "mean probability", "came true")
    return Table("Bins of the reliability diagram", columns, rows)
