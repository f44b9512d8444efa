"""AUROC: how well scores rank."""

from netwright.finding import Measurement
from netwright.measure import Subject, auroc, auroc_labels
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, confidence: float = 0.95) -> Measurement:
    """Measure the area under the ROC curve.

    Args:
        subject: what to measure.
        confidence: probability that the interval covers the truth.
    """
    several = subject.schema.target.kind == "labels"
    return (auroc_labels if several else auroc)(
        subject.outputs, subject.split.y, confidence=confidence
    )


QUANTITIES = (
    Quantity(
        name="auroc",
        summary="area under the ROC curve; beyond two classes the mean of each against the rest",
        dimension="ratio",
        better="higher",
        measure=measure,
        shows_learning=True,
        targets=("class", "labels"),
    ),
)
