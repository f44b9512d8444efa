"""Parameters: the numbers a network has learned."""

from netwright.finding import Measurement
from netwright.measure import Subject, parameters
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject) -> Measurement:
    """Count the network's parameters; one that is used twice counts once.

    Args:
        subject: what to measure.
    """
    count = float(parameters(subject.network))
    return Measurement(value=count, low=count, high=count, n=1, unit="parameters")


QUANTITIES = (
    Quantity(
        name="params",
        summary="parameters of the network, shared ones once",
        dimension="count",
        better="lower",
        measure=measure,
        needs="network",
    ),
)
