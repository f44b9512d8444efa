"""ECE: how far stated probabilities are from observed frequencies."""

from netwright import _rng
from netwright.finding import Measurement
from netwright.measure import Subject, ece, ece_labels
from netwright.requirement import Argument, Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, bins: int = 15, confidence: float = 0.95) -> Measurement:
    """Measure the expected calibration error, with bins of equal width.

    Args:
        subject: what to measure.
        bins: how many bins [0, 1] is cut into.
        confidence: probability that the interval covers the truth.
    """
    several = subject.schema.target.kind == "labels"
    return (ece_labels if several else ece)(
        subject.outputs,
        subject.split.y,
        bins=bins,
        confidence=confidence,
        generator=_rng.child(subject.seed, "quantities/ece"),
    )


QUANTITIES = (
    Quantity(
        name="ece",
        summary="expected calibration error of the predicted class, in bins of equal width",
        dimension="ratio",
        better="lower",
        measure=measure,
        arguments=(Argument("bins", int, "bins that [0, 1] is cut into", default=15, least=1),),
        targets=("class", "labels"),
    ),
)
