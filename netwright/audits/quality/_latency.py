"""How the time of one prediction is distributed."""

import platform
from functools import partial

import numpy as np
import torch

from netwright.audits._finding import not_applicable, span, timed
from netwright.finding import Bars, Finding, Series, Table
from netwright.measure import Latency, Subject
from netwright.measure import latency as time_calls

__all__ = ["latency"]

_NAME, _TITLE = "latency", "Time of one prediction"
_N_BARS = 24
_N_INPUTS = 64


@timed
def latency(subject: Subject, *, batch_size: int = 1, seconds: float = 1.0) -> Finding:
    """Time predictions of the shipped file in ONNX Runtime, on one thread.

    A file that Netwright wrote is given raw rows, so that its preprocessing is timed too. Without a
    file the network itself is timed, in torch, and the finding says so. The timings hold for this
    machine and its present load.

    Args:
        subject: what to time, and rows to time it on.
        batch_size: rows in one call.
        seconds: time to spend, after a warm-up; at least 200 calls are timed.

    Returns:
        The 95th percentile with its interval, a histogram and a table of percentiles.

    Raises:
        ValueError: if `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1; got {batch_size}.")
    n = len(subject.split)
    if not n:
        return not_applicable(_NAME, _TITLE, "the split has no row to time")
    starts = range(0, min(n, _N_INPUTS * batch_size), batch_size)
    inputs = [subject.split.take([(s + i) % n for i in range(batch_size)]) for s in starts]
    if subject.artefact is None:
        calls = [partial(subject.network, x) for x in inputs]
        how = f"torch, threads: {torch.get_num_threads()}"
    else:
        from netwright.artefact import Session

        session = Session(subject.artefact, threads=1)
        how = "ONNX Runtime, threads: 1"
        calls = [partial(session.predict, x) for x in inputs]
        if session.schema is not None:  # one of ours: from raw rows, as it will be used
            calls = [partial(session.predict_raw, session.raw_feed(x)) for x in inputs]
            how += ", preprocessing included"
    with torch.no_grad():
        found = time_calls(lambda i: calls[i % len(calls)](), seconds=seconds)
    machine = f"{platform.system()} {platform.machine()}"
    rows = f"{batch_size} row" + ("s" if batch_size > 1 else "")
    summary = (
        f"Half of the calls take up to {span(found.p50)}, 95 % up to {span(found.p95)} "
        f"({rows} a call, {how}, {machine})."
    )
    evidence = (_histogram(found), _table(found))
    return Finding(_NAME, _TITLE, summary, found.p95, evidence=evidence)


def _histogram(found: Latency) -> Bars:
    times = np.asarray(found.seconds) * 1e3
    # One call that the system interrupted must not squeeze the others into one bar.
    low, high = times.min(), max(np.quantile(times, 0.99), times.min() * 1.001)
    edges = np.linspace(low, high, _N_BARS + 1)
    counts = np.histogram(np.minimum(times, high), edges)[0]
    labels = [f"{a:.4g} to {b:.4g} ms" for a, b in zip(edges[:-1], edges[1:], strict=True)]
    labels[-1] = f"{edges[-2]:.4g} ms and more"
    hover = tuple(f"{t}: {c} calls" for t, c in zip(labels, counts, strict=True))
    names = tuple(f"{edge:.4g}" for edge in edges[:-1])
    return Bars(
        title="Time of a call",
        x_label="milliseconds (lower end of the bin; the last holds all beyond)",
        y_label="calls",
        series=(Series("calls", names, tuple(map(float, counts.tolist())), hover),),
    )


def _table(found: Latency) -> Table:
    times = np.asarray(found.seconds) * 1e3
    rows = [
        (name, m.value * 1e3, m.low * 1e3, m.high * 1e3)
        for name, m in (("50 %", found.p50), ("95 %", found.p95))
    ]
    rows += [("shortest", times.min(), None, None), ("longest", times.max(), None, None)]
    tidy = tuple((r[0], *(None if v is None else float(f"{v:.4g}") for v in r[1:])) for r in rows)
    title = f"Time of a call, in milliseconds, over {len(times):,} calls"
    return Table(title, ("share of calls that take at most", "ms", "low", "high"), tidy)
