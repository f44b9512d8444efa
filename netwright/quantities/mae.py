"""MAE: typical error."""

from netwright import _rng
from netwright.finding import Measurement
from netwright.measure import Subject, mae
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, confidence: float = 0.95) -> Measurement:
    """Measure the mean absolute error, in the target's units.

    Args:
        subject: what to measure.
        confidence: probability that the interval covers the truth.
    """
    return mae(
        subject.outputs,
        subject.split.y,
        confidence=confidence,
        generator=_rng.child(subject.seed, "quantities/mae"),
    )


QUANTITIES = (
    Quantity(
        name="mae",
        summary="mean absolute error, in units of the target; several targets: mean",
        dimension="target",
        better="lower",
        measure=measure,
        shows_learning=True,
        targets=("value", "values"),
    ),
)
