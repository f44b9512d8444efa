"""MACs: multiplications that one example costs."""

from netwright.finding import Measurement
from netwright.measure import Subject, macs
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject) -> Measurement:
    """Count the multiply-accumulates of one example; see `netwright.measure.macs` for what counts.

    Args:
        subject: what to measure.
    """
    count = macs(subject.network, subject.split.take([0])).macs_per_example
    return Measurement(value=count, low=count, high=count, n=1, unit="MACs")


QUANTITIES = (
    Quantity(
        name="macs",
        summary="multiply-accumulates of one example, in products and convolutions",
        dimension="count",
        better="lower",
        measure=measure,
        needs="network",
    ),
)
