"""Size: bytes of the shipped artefact."""

from netwright.finding import Measurement
from netwright.measure import Subject
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject) -> Measurement:
    """Measure the bytes of the shipped file, preprocessing and metadata included.

    Args:
        subject: what to measure; it must have an artefact.

    Raises:
        ValueError: if `subject` has no artefact.
    """
    if subject.artefact is None:
        raise ValueError("`size` is measured on the shipped file; `subject.artefact` is None.")
    size = float(subject.artefact.stat().st_size)
    return Measurement(value=size, low=size, high=size, n=1, unit="bytes")


QUANTITIES = (
    Quantity(
        name="size",
        summary="bytes of the shipped artefact (`model.onnx`); 1 kB = 1000 B, 1 KiB = 1024 B",
        dimension="bytes",
        better="lower",
        measure=measure,
        needs="artefact",
    ),
)
