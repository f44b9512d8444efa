"""What compression did, as findings, and the page about it."""

import datetime
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwright import __version__
from netwright._compress_search import Candidate
from netwright._page import ERRORS, library_versions
from netwright.data import Task, describe
from netwright.finding import Cell, Finding, Judgement, Measurement, Points, Series, Table
from netwright.finding import format_value as show
from netwright.measure import Subject, speed_up
from netwright.quantities._shipped import raw_feeds, start
from netwright.report import KeyFigure, RequirementRow, RunView, write_report
from netwright.requirement import Requirement
from netwright.run import Run

__all__ = ["REPLACED", "Tried", "beside", "overview", "speed", "write_compressed_page"]

REPLACED = ("size_by_layer", "latency")
"""Audits of a file that others take the place of: the bytes of `model.nwz`, and times by turns."""

_PAIRS = 200  # of calls, by turns


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate, and how it fared on the validation rows.

    Attributes:
        candidate: the smaller network.
        measurements: by requirement; those on attacks and proofs are left to the audit.
        judgements: of the measurements.
        score: the task's metric.
    """

    candidate: Candidate
    measurements: Mapping[str, Measurement]
    judgements: Mapping[str, Judgement]
    score: float


def overview(
    old: Run, chosen: Tried, tried: Sequence[Tried], sensitivity: Sequence[Table], folder: Path
) -> Finding:
    """Say what was tried, what was chosen, and what was left alone.

    Args:
        old: the run before.
        chosen: what is shipped.
        tried: all candidates.
        sensitivity: what each layer alone can bear.
        folder: of the compressed network.
    """
    before, after = old.artefact.stat().st_size, (folder / "model.nwz").stat().st_size
    opened = (folder / "model.onnx").stat().st_size
    left = chosen.candidate.untouched
    summary = (
        f"{chosen.candidate.passes[0].upper()}{chosen.candidate.passes[1:]}: model.nwz has "
        f"{show(after, 'bytes')}, {before / after:.1f} times fewer than model.onnx had "
        f"({show(before, 'bytes')}). It decodes to an ONNX file of {show(opened, 'bytes')}."
    )
    if left:
        summary += f" Left alone: {len(left)} of {len(chosen.candidate.layers)} weights."
    tables: list[Table | Points] = [_candidates(tried, chosen), _front(tried, chosen)]
    if chosen.candidate.layers:
        rows = tuple(
            (name, n, total, round(100 * n / total, 1), values, left.get(name, ""))
            for name, (n, total, values) in chosen.candidate.layers.items()
        )
        columns = ("weight", "not zero", "of", "%", "different values", "left alone, and why")
        tables.append(Table("What is left of each weight", columns, rows))
    tables.extend(sensitivity)
    return Finding("compression", "Compression", summary, evidence=tuple(tables))


def _candidates(tried: Sequence[Tried], chosen: Tried) -> Table:
    texts = list(dict.fromkeys(text for t in tried for text in t.measurements))
    rows: list[tuple[Cell, ...]] = []
    for each in tried:
        cells: list[Cell] = []
        for text in texts:
            measured, verdict = each.measurements[text], each.judgements[text].verdict
            cells.append(f"{show(measured.value, measured.unit)}, {verdict}")
        words = each.candidate.passes + (" (chosen)" if each is chosen else "")
        size = show(len(each.candidate.file), "bytes")
        rows.append((words, size, round(each.score, 4), *cells))
    columns = ("passes", "model.nwz", "score", *texts)
    return Table("Candidates, on validation rows", columns, tuple(rows))


def _front(tried: Sequence[Tried], chosen: Tried) -> Points:
    def series(name: str, members: Sequence[Tried]) -> Series:
        return Series(
            name,
            tuple(len(t.candidate.file) / 1000 for t in members),
            tuple(t.score for t in members),
            tuple(t.candidate.passes for t in members),
        )

    others = [t for t in tried if t is not chosen]
    both = (series("tried", others), series("chosen", [chosen])) if others else ()
    return Points(
        "Size against score, on validation rows",
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
    word = "as fast as before, within the interval"
    if ratio.low > 1:
        word = "faster than before"
    elif ratio.high < 1:
        word = "slower than before"
    summary = (
        f"A single row takes {show(found.second, 's')} after compression and "
        f"{show(found.first, 's')} before, {ratio.value:.2f} times as fast "
        f"[{ratio.low:.2f}, {ratio.high:.2f}]: {word}."
    )
    return Finding("speed", "Speed before and after compression", summary, measurement=ratio)


def write_compressed_page(
    made: Run, old: Run, task: Task, requirements: Sequence[Requirement]
) -> None:
    """Write `report.html` of a compressed network.

    Args:
        made: the folder of the compressed network, with its findings.
        old: the run before.
        task: what it learned.
        requirements: that were put to it.
    """
    by_text = {f.requirement: f for f in made.findings if f.requirement is not None}
    require = "".join(f' --require "{r.text}"' for r in requirements)
    chosen = f"--budget {json.dumps(made.job['budget'])} --seed {made.job['compression_seed']}"
    size = (made.folder / "model.nwz").stat().st_size
    before = old.artefact.stat().st_size
    view = RunView(
        title=f"{task.name}, compressed",
        description=f"The network of {old.folder.name}, made small.",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=__version__,
        command=f"netwright compress {old.folder.name}{require} {chosen}",
        seed=made.job["compression_seed"],
        device=f"cpu on {platform.machine()}",
        job="audit",
        requirements=tuple(RequirementRow.of(r, by_text[r.text]) for r in requirements),
        findings=tuple(f for f in made.findings if f.requirement is None),
        errors=ERRORS,
        figures=(
            KeyFigure("shipped file", size, "bytes", "model.nwz"),
            KeyFigure("before", before, "bytes", "model.onnx"),
        ),
        schema=describe(task.schema),
        splits=(("test", len(task.test)),),
        quarantine=task.quarantine,
        duplicates=task.duplicates,
        notes=task.notes,
        looks=tuple(task.test.looks),
        versions=library_versions(),
    )
    write_report(view, made.report)
