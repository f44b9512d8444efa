"""Gather a run's files into what its report page shows."""

import datetime
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netwright import __version__, _reachable
from netwright._journal import Event, Journal
from netwright._moments import moment_charts
from netwright.data import Task, describe
from netwright.design import Ledger, design_to_json, draw, draw_cells
from netwright.finding import Lines, Series, Table
from netwright.report import (
    ArtefactFile,
    KeyFigure,
    LeaderboardRow,
    RequirementRow,
    RunView,
    write_report,
)
from netwright.requirement import Requirement
from netwright.run import Run

__all__ = [
    "ERRORS",
    "files_of",
    "keep_data_notes",
    "library_versions",
    "read_table",
    "time_used",
    "view_run",
    "write_page",
]

_STAGES = ("load", "search", "ship", "audit", "report")
ERRORS = ("confusion", "worst_errors", "residuals")
_LIBRARIES = ("torch", "onnx", "onnxruntime", "lightning-fabric", "numpy")
_MOST_ROWS = 200
_STATUS = {"diverged": "diverged", "died": "died", "pruned": "not trained"}


def write_page(run: Run) -> None:
    """Write `report.html` from the files of a run.

    Args:
        run: a finished run.
    """
    write_report(view_run(run), run.report)


def keep_data_notes(task: Task, folder: Path) -> None:
    """Keep what the report says about the data, so that the page can be written again.

    Args:
        task: as loaded.
        folder: of the run.
    """
    from pydantic import TypeAdapter

    from netwright._files import write_atomically

    table = TypeAdapter(Table)
    notes = {
        "name": task.name,
        "notes": list(task.notes),
        "splits": {
            "train": len(task.train),
            "validation": len(task.validation),
            "calibration": len(task.calibration),
            "test": len(task.test),
        },
        "quarantine": table.dump_python(_first_rows(task.quarantine), mode="json"),
        "duplicates": table.dump_python(_first_rows(task.duplicates), mode="json"),
    }
    write_atomically(folder / "data.json", json.dumps(notes, indent=1, ensure_ascii=False))


def view_run(run: Run) -> RunView:
    """Read everything that a run's page shows.

    Args:
        run: a finished run.
    """
    job, journal = run.job, Journal(run.folder / "log.jsonl")
    notes = json.loads((run.folder / "data.json").read_text(encoding="utf-8"))
    shipped = journal.find("shipped")[-1].facts
    chosen = journal.find("chosen")[-1].facts
    requirements = [Requirement.parse(text) for text in job["requirements"]]
    by_text = {f.requirement: f for f in run.findings if f.requirement is not None}
    metric = run.schema.target.metric
    instead = next((f.evidence for f in run.findings if f.name == _reachable.NAME), ())
    instead = [piece for piece in instead if isinstance(piece, Table)]
    return RunView(
        title=notes["name"],
        description=_description(run, notes),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=job["version"],
        command=_command(job),
        seed=job["seed"],
        device=f"{job['device']} on {platform.machine()}",
        requirements=tuple(RequirementRow.of(r, by_text[r.text]) for r in requirements),
        findings=tuple(
            f for f in run.findings if f.requirement is None and f.name != _reachable.NAME
        ),
        errors=ERRORS,
        unreachable=chosen["unreachable"],
        front=instead[0] if instead else None,
        prices=instead[1] if len(instead) > 1 else None,
        design_name=run.design.name,
        design_json=design_to_json(run.design),
        drawing=draw(run.design, run.schema),
        cells=draw_cells(run.design, run.schema),
        decided=moment_charts(journal),
        figures=_figures(run, shipped),
        score=metric,
        leaderboard=_leaderboard(run, journal, chosen["candidate"]),
        training=_curves(journal, chosen["candidate"]),
        schema=describe(run.schema),
        splits=tuple(notes["splits"].items()),
        quarantine=read_table(notes["quarantine"]),
        duplicates=read_table(notes["duplicates"]),
        notes=tuple(notes["notes"]),
        looks=tuple(e.facts["reason"] for e in journal.find("test split opened")),
        budget=time_used(journal),
        files=files_of(run.folder),
        agreement=shipped["max_abs_difference"],
        versions=library_versions(),
    )


def _description(run: Run, notes: dict[str, Any]) -> str:
    kinds = {"class": "classification", "labels": "multi-label classification"}
    target = run.schema.target
    kind = kinds.get(target.kind, "regression")
    classes = f" into {len(target.classes)} classes" if target.kind == "class" else ""
    total = sum(notes["splits"].values())
    return f"{run.schema.input.kind} {kind}{classes}, {total:,} rows"


def _command(job: dict[str, Any]) -> str:
    require = "".join(f' --require "{text}"' for text in job["requirements"])
    chosen = "".join(f" --{name} {job[name]}" for name in ("strategy", "space") if name in job)
    return (
        f"netwright build {job['source']}{require} --budget {job['budget']} --seed {job['seed']}"
        f"{chosen}"
    )


def _figures(run: Run, shipped: Any) -> tuple[KeyFigure, ...]:
    records = {r.candidate.number: r for r in Ledger(run.folder).records()}
    params = records[shipped["candidate"]].measurements["params"]
    figures = [
        KeyFigure("shipped file", shipped["size"], "bytes", "model.onnx"),
        KeyFigure("parameters", params.value, "parameters"),
    ]
    for name, label in (("macs_by_layer", "operations"), ("latency", "latency")):
        found = next((f.measurement for f in run.findings if f.name == name), None)
        if found is not None:
            figures.append(KeyFigure(label, found.value, found.unit, found.note))
    return tuple(figures)


def _leaderboard(run: Run, journal: Journal, chosen: int) -> tuple[LeaderboardRow, ...]:
    requirements = [Requirement.parse(text) for text in run.job["requirements"]]
    metric = run.schema.target.metric
    # Size and parameters have columns of their own, the metric its name.
    apart = {metric, "size", "params", "macs"}
    shown = {metric} | {r.text for r in requirements if r.quantity not in apart}
    records = Ledger(run.folder).records()
    pruned = journal.find("candidate pruned")
    notes = {e.facts["number"]: e.facts["cost"] for e in pruned if "number" in e.facts}
    rows = [
        LeaderboardRow(
            number=record.candidate.number,
            name=record.candidate.design.name,
            status=_STATUS.get(record.status, "trained"),
            metrics={k: m for k, m in record.measurements.items() if k in shown},
            size=record.measurements["size"].value if "size" in record.measurements else None,
            params=round(record.measurements["params"].value),
            fidelity=0.0 if record.status == "pruned" else record.candidate.fidelity,
            costs={k: m for k, m in record.measurements.items() if k == "macs"},
            axis=record.candidate.axis,
            note=notes.get(record.candidate.number, ""),
            seconds=record.seconds,
            parent=record.candidate.parent,
            chosen=record.candidate.number == chosen,
        )
        for record in records
    ]
    known = {r.candidate.design.name for r in records}  # as scouts beyond the bounds
    unknown = [e for e in pruned if "number" not in e.facts and e.facts["design"] not in known]
    first = 1 + max((r.candidate.number for r in records), default=-1)
    for number, event in enumerate({e.facts["design"]: e for e in unknown}.values(), start=first):
        rows.append(
            LeaderboardRow(
                number=number,
                name=event.facts["design"],
                status="not trained",
                note=event.facts["cost"],
                fidelity=0.0,
            )
        )
    return tuple(rows)


def _curves(journal: Journal, chosen: int) -> tuple[Lines, ...]:
    latest: dict[int, Event] = {}
    for event in journal.find("epoch"):  # a resumed epoch replaces the one before
        if event.facts["number"] == chosen:
            latest[event.facts["epoch"]] = event
    points = [latest[k].facts for k in sorted(latest)]
    steps = tuple(float(p["step"]) for p in points)
    if len(points) < 2:
        return ()

    def series(name: str, key: str) -> Series:
        return Series(name, steps, tuple(float(p[key]) for p in points))

    return (
        Lines("Loss of the shipped network", "optimiser steps", "loss", (
            series("training, as minimised", "train_loss"),
            series("validation", "validation_loss"),
        )),
        Lines("Validation score of the shipped network", "optimiser steps", "score", (
            series("validation", "validation_score"),
        )),
        Lines("Learning rate", "optimiser steps", "learning rate", (
            series("learning rate", "learning_rate"),
        )),
    )  # fmt: skip


def time_used(journal: Journal, stages: Sequence[str] = _STAGES) -> Table:
    """Say what each stage took.

    Args:
        journal: of the run.
        stages: those to show, in order.
    """
    starts = [(e.facts["stage"], e.elapsed) for e in journal.find("stage")]
    ends = [elapsed for _, elapsed in starts[1:]] + [journal.events[-1].elapsed]
    spent = {"load": starts[0][1] if starts else 0.0}
    for (stage, begin), end in zip(starts, ends, strict=True):
        spent[stage] = spent.get(stage, 0.0) + end - begin
    rows = tuple((stage, round(spent[stage], 1)) for stage in stages if stage in spent)
    return Table("Time used", ("stage", "seconds"), rows)


def files_of(folder: Path) -> tuple[ArtefactFile, ...]:
    """List the files of a run that others need.

    Args:
        folder: of the run.
    """
    names = (
        "model.nwz",
        "model.onnx",
        "model.safetensors",
        "design.json",
        "schema.json",
        "findings.json",
    )
    files = [(n, (folder / n).read_bytes()) for n in names if (folder / n).is_file()]
    return tuple(ArtefactFile(n, len(b), hashlib.sha256(b).hexdigest()) for n, b in files)


def library_versions() -> tuple[tuple[str, str], ...]:
    """List the versions of what took part."""
    found = [("netwright", __version__), ("python", platform.python_version())]
    return (*found, *((name, importlib.metadata.version(name)) for name in _LIBRARIES))


def _first_rows(table: Table) -> Table:
    if len(table.rows) <= _MOST_ROWS:
        return table
    title = f"{table.title} (first {_MOST_ROWS} of {len(table.rows):,})"
    return Table(title, table.columns, table.rows[:_MOST_ROWS])


def read_table(plain: dict[str, Any]) -> Table:
    """Read a table that was kept as JSON.

    Args:
        plain: as `keep_data_notes` wrote it.
    """
    from pydantic import TypeAdapter

    return TypeAdapter(Table).validate_python(plain)
