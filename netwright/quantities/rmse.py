"""RMSE: typical error, large ones weighing more."""

from netwright import _rng
from netwright.finding import Measurement
from netwright.measure import Subject, rmse
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, confidence: float = 0.95) -> Measurement:
    """Measure the root mean squared error, in the target's units.

    Args:
        subject: what to measure.
        confidence: probability that the interval covers the truth.
    """
    return rmse(
        subject.outputs,
        subject.split.y,
        confidence=confidence,
        generator=_rng.child(subject.seed, "quantities/rmse"),
    )


QUANTITIES = (
    Quantity(
        name="rmse",
        summary="root of the mean squared error, in units of the target; several targets: mean",
        dimension="target",
        better="lower",
        measure=measure,
        shows_learning=True,
        targets=("value", "values"),
    ),
)
