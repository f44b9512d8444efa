"""Size: bytes of the shipped artefact."""

from netwright.finding import Measurement
from netwright.measure import Subject
from netwright.quantities._shipped import shipped
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject) -> Measurement:
    """Measure the bytes of the shipped file, preprocessing and metadata included.

    Args:
        subject: what to measure; it must have an artefact.

    Raises:
        ValueError: if `subject` has no artefact.
    """
    size = float(shipped(subject, "size").stat().st_size)
    return Measurement(value=size, low=size, high=size, n=1, unit="bytes")


QUANTITIES = (
    Quantity(
        name="size",
        summary="bytes of the shipped file (`model.onnx`); 1 kB is 1000 bytes, 1 KiB is 1024",
        dimension="bytes",
        better="lower",
        measure=measure,
        needs="artefact",
    ),
)
