"""Latency: time to answer one batch, preprocessing included."""

from functools import partial

from netwright.finding import Measurement
from netwright.measure import Subject, latency
from netwright.requirement import Argument, Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, level: str, batch: int = 1, threads: int = 1) -> Measurement:
    """Time the shipped file in ONNX Runtime on real rows.

    Args:
        subject: what to measure; it must have an artefact.
        level: "p50" or "p95".
        batch: rows a call.
        threads: intra-op threads of the runtime.

    Raises:
        ValueError: if `subject` has no artefact.
    """
    if subject.artefact is None:
        raise ValueError(
            f"`latency_{level}` is measured on the shipped file; `subject.artefact` is None."
        )
    from netwright.artefact import Session

    session = Session(subject.artefact, threads=threads)
    inputs = [
        subject.split.take([(start + i) % len(subject.split) for i in range(batch)])
        for start in range(0, min(len(subject.split), 64 * batch), batch)
    ]
    found = latency(lambda i: session.predict(inputs[i % len(inputs)]))
    return found.p50 if level == "p50" else found.p95


_SETTINGS = (
    Argument("batch", int, "rows in one call", default=1),
    Argument("threads", int, "threads of the runtime", default=1),
)
QUANTITIES = tuple(
    Quantity(
        name=f"latency_{level}",
        summary=f"{words} time of one call, preprocessing included, in ONNX Runtime",
        dimension="seconds",
        better="lower",
        measure=partial(measure, level=level),
        settings=_SETTINGS,
        needs="artefact",
    )
    for level, words in (("p50", "median"), ("p95", "95th percentile of the"))
)
