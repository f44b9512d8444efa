"""Balanced accuracy: accuracy if every class were equally frequent."""

from netwright.finding import Measurement
from netwright.measure import Subject, balanced_accuracy
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, confidence: float = 0.95) -> Measurement:
    """Measure accuracy averaged over classes.

    Args:
        subject: what to measure.
        confidence: probability that the interval covers the truth.
    """
    return balanced_accuracy(subject.outputs, subject.split.y, confidence=confidence)


QUANTITIES = (
    Quantity(
        name="balanced_accuracy",
        summary="accuracy averaged over classes, each counting the same",
        dimension="ratio",
        better="higher",
        measure=measure,
        shows_learning=True,
        targets=("class",),
    ),
)
