"""Memory: what running the shipped file takes."""

from netwright.finding import Measurement
from netwright.measure import Subject, memory
from netwright.quantities._shipped import raw_feeds, shipped, start
from netwright.requirement import Argument, Quantity

__all__ = ["QUANTITIES"]


def measure(subject: Subject, *, batch: int = 1, threads: int = 1) -> Measurement:
    """Measure by how much a fresh process grows when it loads and runs the shipped file.

    Args:
        subject: what to measure; it must have an artefact.
        batch: rows a call.
        threads: intra-op threads of the runtime.

    Raises:
        ValueError: if `subject` has no artefact, or the file takes no batches of this size.
    """
    session = start(subject, "memory", threads)
    feeds = raw_feeds(session, subject, batch=batch, most=1)
    return memory(shipped(subject, "memory"), feeds[0], threads=threads)


QUANTITIES = (
    Quantity(
        name="memory",
        summary="growth of resident memory to load and run the file, the runtime itself excluded",
        dimension="bytes",
        better="lower",
        measure=measure,
        settings=(
            Argument("batch", int, "rows in one call", default=1, least=1),
            Argument("threads", int, "threads of the runtime", default=1, least=1),
        ),
        needs="artefact",
    ),
)
