"""Accuracy: the share of rows that are right."""

from netwright.finding import Measurement
from netwright.measure import Subject, accuracy, exact_match
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, confidence: float = 0.95) -> Measurement:
    """Measure accuracy; with several labels a row is right when every label is.

    Args:
        subject: what to measure.
        confidence: probability that the interval covers the true rate.
    """
    several = subject.schema.target.kind == "labels"
    return (exact_match if several else accuracy)(
        subject.outputs, subject.split.y, confidence=confidence
    )


QUANTITIES = (
    Quantity(
        name="accuracy",
        summary="share of rows whose class is right; with several labels, every label",
        dimension="ratio",
        better="higher",
        measure=measure,
        shows_learning=True,
        targets=("class", "labels"),
    ),
)
