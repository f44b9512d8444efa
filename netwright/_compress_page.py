"""The report page of a run, whether it was built or compressed, from the files of its folder."""

import datetime
import json
import platform

from netwright._journal import Journal
from netwright._page import (
    ERRORS,
    files_of,
    library_versions,
    read_table,
    time_used,
    write_page,
)
from netwright.data import describe
from netwright.design import design_to_json, draw, draw_cells
from netwright.report import KeyFigure, RequirementRow, RunView, write_report
from netwright.requirement import Requirement
from netwright.run import Run

__all__ = ["write_any_page", "write_compressed_page"]

_STAGES = ("load", "sensitivity", "candidates", "audit", "report")


def write_any_page(run: Run) -> None:
    """Write `report.html` of a finished run.

    Args:
        run: as `build` or `compress` left it.
    """
    if "compressed_from" in run.job:
        write_compressed_page(run)
    else:
        write_page(run)


def write_compressed_page(run: Run) -> None:
    """Write `report.html` of a compressed network.

    Args:
        run: the folder of the compressed network, with its findings.
    """
    write_report(_view(run), run.report)


def _view(run: Run) -> RunView:
    job, journal = run.job, Journal(run.folder / "log.jsonl")
    notes = json.loads((run.folder / "data.json").read_text(encoding="utf-8"))
    shipped = journal.find("shipped")[-1].facts
    requirements = [Requirement.parse(text) for text in job["requirements"]]
    by_text = {f.requirement: f for f in run.findings if f.requirement is not None}
    require = "".join(f' --require "{r.text}"' for r in requirements)
    chosen = f"--budget {json.dumps(job['budget'])} --seed {job['compression_seed']}"
    figures = [
        KeyFigure("shipped file", shipped["packed"], "bytes", "model.nwz"),
        KeyFigure("before", shipped["before"], "bytes", "model.onnx"),
    ]
    found = next((f.measurement for f in run.findings if f.name == "macs_by_layer"), None)
    if found is not None:
        figures.append(KeyFigure("operations", found.value, found.unit, found.note))
    return RunView(
        title=f"{notes['name']}, compressed",
        description=f"The network of {job['compressed_from']}, made small.",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=job["version"],
        command=f"netwright compress {job['compressed_from']}{require} {chosen}",
        seed=job["compression_seed"],
        device=f"cpu on {platform.machine()}",
        job="compress",
        requirements=tuple(RequirementRow.of(r, by_text[r.text]) for r in requirements),
        findings=tuple(f for f in run.findings if f.requirement is None),
        errors=ERRORS,
        design_name=run.design.name,
        design_json=design_to_json(run.design),
        drawing=draw(run.design, run.schema),
        cells=draw_cells(run.design, run.schema),
        figures=tuple(figures),
        schema=describe(run.schema),
        splits=tuple(notes["splits"].items()),
        quarantine=read_table(notes["quarantine"]),
        duplicates=read_table(notes["duplicates"]),
        notes=tuple(notes["notes"]),
        looks=tuple(e.facts["reason"] for e in journal.find("test split opened")),
        budget=time_used(journal, _STAGES),
        files=files_of(run.folder),
        agreement=shipped["max_abs_difference"],
        versions=library_versions(),
    )
