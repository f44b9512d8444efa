"""Latency: time to answer one call, preprocessing included."""

from functools import partial

from netwright.finding import Measurement
from netwright.measure import Subject, latency
from netwright.quantities._shipped import raw_feeds, start
from netwright.requirement import Argument, Quantity

__all__ = ["QUANTITIES"]

_INPUTS = 64  # different calls, which are cycled


def measure(subject: Subject, *, level: str, batch: int = 1, threads: int = 1) -> Measurement:
    """Time the shipped file in ONNX Runtime on real rows, in raw form.

    Args:
        subject: what to measure; it must have an artefact.
        level: "p50" or "p95".
        batch: rows a call.
        threads: intra-op threads of the runtime.

    Raises:
        ValueError: if `subject` has no artefact, or the file takes no batches of this size.
    """
    session = start(subject, f"latency_{level}", threads)
    feeds = raw_feeds(session, subject, batch=batch, most=_INPUTS)
    found = latency(lambda i: session.run(None, feeds[i % len(feeds)]))
    return found.p50 if level == "p50" else found.p95


QUANTITIES = tuple(
    Quantity(
        name=f"latency_{level}",
        summary=f"{words} time of one call in ONNX Runtime, preprocessing included",
        dimension="seconds",
        better="lower",
        measure=partial(measure, level=level),
        settings=(
            Argument("batch", int, "rows in one call", default=1, least=1),
            Argument("threads", int, "threads of the runtime", default=1, least=1),
        ),
        needs="artefact",
    )
    for level, words in (("p50", "median"), ("p95", "95th percentile of the"))
)
