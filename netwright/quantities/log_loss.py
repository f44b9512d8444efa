"""Log loss: how little probability the truth gets."""

from netwright import _rng
from netwright.finding import Measurement
from netwright.measure import Subject, log_loss, log_loss_labels
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, confidence: float = 0.95) -> Measurement:
    """Measure the log loss, in nats.

    Args:
        subject: what to measure.
        confidence: probability that the interval covers the truth.
    """
    several = subject.schema.target.kind == "labels"
    return (log_loss_labels if several else log_loss)(
        subject.outputs,
        subject.split.y,
        confidence=confidence,
        generator=_rng.child(subject.seed, "quantities/log_loss"),
    )


QUANTITIES = (
    Quantity(
        name="log_loss",
        summary="mean negative log probability of the truth, in nats",
        dimension="nats",
        better="lower",
        measure=measure,
        shows_learning=True,
        targets=("class", "labels"),
    ),
)
