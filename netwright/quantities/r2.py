"""R2: share of the variance that is explained."""

from netwright import _rng
from netwright.finding import Measurement
from netwright.measure import Subject, r2
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, confidence: float = 0.95) -> Measurement:
    """Measure the share of variance explained.

    Args:
        subject: what to measure.
        confidence: probability that the interval covers the truth.
    """
    return r2(
        subject.outputs,
        subject.split.y,
        confidence=confidence,
        generator=_rng.child(subject.seed, "quantities/r2"),
    )


QUANTITIES = (
    Quantity(
        name="r2",
        summary="share of the variance explained, at most 1, negative if worse than the mean",
        dimension="score",
        better="higher",
        measure=measure,
        shows_learning=True,
        targets=("value", "values"),
    ),
)
