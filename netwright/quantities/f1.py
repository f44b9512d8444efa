"""F1: precision and recall of one class, or averaged over classes."""

import dataclasses

from netwright import _rng
from netwright.finding import Measurement
from netwright.measure import Subject, f1, f1_binary, f1_labels
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, confidence: float = 0.95) -> Measurement:
    """Measure F1 of the second of two classes, or averaged over more classes or labels.

    Args:
        subject: what to measure.
        confidence: probability that the interval covers the truth.
    """
    target, y = subject.schema.target, subject.split.y
    if target.kind == "class" and len(target.classes) == 2:
        found = f1_binary(subject.outputs, y, confidence=confidence)
        return dataclasses.replace(found, note=f"F1 of class {target.classes[1]!r}")
    return (f1_labels if target.kind == "labels" else f1)(
        subject.outputs,
        y,
        confidence=confidence,
        generator=_rng.child(subject.seed, "quantities/f1"),
    )


QUANTITIES = (
    Quantity(
        name="f1",
        summary="F1; of two classes that of the second, of more classes or labels the mean (macro)",
        dimension="ratio",
        better="higher",
        measure=measure,
        shows_learning=True,
        targets=("class", "labels"),
    ),
)
