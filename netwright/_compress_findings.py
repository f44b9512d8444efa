"""What compression did, as findings."""

from collections.abc import Sequence
from pathlib import Path

from netwright._compress_candidates import Tried
from netwright._compress_search import Search
from netwright.data import Task
from netwright.finding import Cell, Finding, Measurement, Points, Series, Table
from netwright.finding import format_value as show
from netwright.measure import Subject, speed_up
from netwright.quantities._shipped import raw_feeds, start
from netwright.requirement import Requirement
from netwright.run import Run

__all__ = ["REPLACED", "beside", "overview", "speed"]

REPLACED = ("size_by_layer", "latency")
"""Audits of a file that others take the place of: the bytes of `model.nwz`, and times by turns."""

_CLEAR = 0.02  # by so much two copies of one file can differ
_PAIRS = 200  # of calls, by turns


def overview(
    old: Run,
    chosen: Tried,
    search: Search,
    requirements: Sequence[Requirement],
    folder: Path,
) -> Finding:
    """Say what was tried, what was chosen, and what was left alone.

    Args:
        old: the run before.
        chosen: what is shipped.
        search: what was tried.
        requirements: what was demanded.
        folder: of the compressed network.
    """
    before, after = old.artefact.stat().st_size, (folder / "model.nwz").stat().st_size
    opened = (folder / "model.onnx").stat().st_size
    left, tried = chosen.untouched, search.tried
    times = before / after
    fewer = f"{times:.1f} times fewer" if times >= 1 else f"{1 / times:.2f} times as many"
    summary = (
        f"{chosen.passes[0].upper()}{chosen.passes[1:]}: model.nwz has {show(after, 'bytes')}, "
        f"{fewer} than model.onnx had ({show(before, 'bytes')}). It decodes to an ONNX file of "
        f"{show(opened, 'bytes')}. {len(tried)} candidates were measured."
    )
    if left:
        summary += f" Left alone, at least in part: {len(left)} of the weights."
    if search.judged_on != "validation":
        summary += (
            f" They were judged on the rows of {search.judged_on}: the network had learned from "
            f"those of validation."
        )
    taught = search.taught
    if taught is not None:
        better = "the rows alone" if taught.by == "rows" else "rows and the network before"
        summary += (
            f" Networks learned again from {better}: the first of them came to "
            f"{show(taught.rows, taught.unit)} from the rows alone, "
            f"{show(taught.network, taught.unit)} from rows and the network before."
        )
    tables: list[Table | Points] = [
        _demands(tried, chosen, requirements, search.judged_on),
        _costs(tried, chosen),
        _front(tried, chosen, search.judged_on),
    ]
    if search.ended:
        rows = tuple(search.ended.items())
        title = "Chains of passes that ended before their last strength"
        tables.append(Table(title, ("chain", "why"), rows))
    if chosen.layers:
        rows = tuple(
            (name, n, total, round(100 * n / total, 1), values)
            for name, (n, total, values) in chosen.layers.items()
        )
        columns = ("weight", "not zero", "of", "%", "different values")
        tables.append(Table("What is left of each weight", columns, rows))
    if left:
        tables.append(Table("Left alone, and why", ("weight", "why"), tuple(left.items())))
    tables.extend(search.found.tables)
    return Finding("compression", "Compression", summary, evidence=tuple(tables))


def _demands(
    tried: Sequence[Tried], chosen: Tried, requirements: Sequence[Requirement], judged_on: str
) -> Table:
    texts = list(dict.fromkeys(text for t in tried for text in t.measurements))
    rows: list[tuple[Cell, ...]] = []
    for each in tried:
        judged, cells = each.judge(requirements), list[Cell]()
        for text in texts:
            measured = each.measurements[text]
            cells.append(f"{show(measured.value, measured.unit)}, {judged[text].verdict}")
        rows.append((_named(each, chosen), round(each.score, 4), *cells))
    return Table(f"Candidates, on {judged_on} rows", ("passes", "score", *texts), tuple(rows))


def _costs(tried: Sequence[Tried], chosen: Tried) -> Table:
    rows = tuple(
        (
            _named(each, chosen),
            round(each.size / 1000, 1),
            float(f"{1000 * each.p50:.3g}"),
            float(f"{1000 * each.p95:.3g}"),
            round(each.memory / 1e6, 1),
            f"{each.speed.value:.2f} times: {_word(each.speed)}",
        )
        for each in tried
    )
    title = "What candidates cost on this machine: a single row, by turns with the file before"
    columns = ("passes", "kB", "median, ms", "p95, ms", "memory, MB", "as fast as before")
    return Table(title, columns, rows)


def _named(each: Tried, chosen: Tried) -> str:
    return each.passes + (" (chosen)" if each is chosen else "")


def _word(ratio: Measurement) -> str:
    if ratio.low > 1 + _CLEAR:
        return "faster"
    return "slower than before" if ratio.high < 1 - _CLEAR else "no clear difference"


def _front(tried: Sequence[Tried], chosen: Tried, judged_on: str) -> Points:
    def series(name: str, members: Sequence[Tried]) -> Series:
        return Series(
            name,
            tuple(t.size / 1000 for t in members),
            tuple(t.score for t in members),
            tuple(t.passes for t in members),
        )

    others = [t for t in tried if t is not chosen]
    both = (series("tried", others), series("chosen", [chosen])) if others else ()
    return Points(
        f"Size against score, on {judged_on} rows",
        "model.nwz, kB",
        "score",
        both or (series("chosen", [chosen]),),
        log_x=True,
    )


def beside(before: Sequence[Finding], after: Sequence[Finding]) -> Finding:
    """Put every number that was measured before compression beside the one after it.

    Args:
        before: findings of the run.
        after: of the compressed network.
    """
    earlier = {f.name: f.measurement for f in before if f.measurement is not None}
    rows: list[tuple[Cell, ...]] = []
    moved = []
    for finding in after:
        now, was = finding.measurement, earlier.get(finding.name)
        if now is None or was is None:
            continue
        rows.append((finding.title, _span(was), _span(now)))
        if now.high < was.low or now.low > was.high:
            moved.append(finding.title)
    changed = f"{len(moved)} of {len(rows)} numbers moved beyond both intervals"
    summary = f"{changed}: {', '.join(moved)}." if moved else f"{changed}."
    table = Table(
        "Each finding before and after compression", ("finding", "before", "after"), tuple(rows)
    )
    title = "Findings before and after compression"
    return Finding("before_and_after", title, summary, evidence=(table,))


def _span(measured: Measurement) -> str:
    value = show(measured.value, measured.unit)
    if measured.low == measured.high:
        return value
    return f"{value} ({show(measured.low, measured.unit)} to {show(measured.high, measured.unit)})"


def speed(old: Run, task: Task, folder: Path) -> Finding:
    """Time the file before and the file after, by turns, on single rows.

    Args:
        old: the run before.
        task: supplies rows.
        folder: of the compressed network.
    """
    runs = []
    for artefact in (old.artefact, folder / "model.onnx"):
        subject = Subject(task.schema, task.validation, old.network, artefact=artefact)
        session = start(subject, "latency", 1)
        feeds = raw_feeds(session, subject, batch=1, most=100)
        runs.append(lambda k, s=session, f=feeds: s.run(None, f[k % len(f)]))
    found = speed_up(*runs, n_pairs=_PAIRS)
    ratio = found.ratio
    word = {"faster": "faster than before"}.get(_word(ratio), _word(ratio))
    summary = (
        f"A single row takes {show(found.second, 's')} after compression and "
        f"{show(found.first, 's')} before, {ratio.value:.2f} times as fast "
        f"[{ratio.low:.2f}, {ratio.high:.2f}]: {word}."
    )
    return Finding("speed", "Speed before and after compression", summary, measurement=ratio)
