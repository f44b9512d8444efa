"""Make a finished run smaller, as far as requirements allow, and audit what is shipped."""

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netwright import __version__, _rng
from netwright._audit import audit_subject, judge
from netwright._compress_candidates import Bench, Tried, of_file
from netwright._compress_findings import REPLACED, beside, overview, speed
from netwright._compress_orders import rank
from netwright._compress_page import write_compressed_page
from netwright._compress_passes import Made
from netwright._compress_search import Search
from netwright._compress_shape import Shaped
from netwright._compress_training import Retraining
from netwright._files import claim_folder, write_atomically
from netwright._journal import Event, Journal
from netwright._refit import joined
from netwright.artefact import Session, check_agreement, read_onnx
from netwright.artefact._file import load_model
from netwright.compress import unpack
from netwright.data import Task, load
from netwright.finding import Finding
from netwright.learn import Budget
from netwright.measure import Subject
from netwright.nn import Calibrated
from netwright.quantities import CATALOGUE
from netwright.report import findings_to_json
from netwright.requirement import Requirement
from netwright.run import Run

__all__ = ["compress"]

_CARRIED = ("schema.json", "data.json", "task.json", "split.parquet", "quarantine.csv")
_CALIBRATION = 256  # rows
_AGREEMENT_ROWS = 256


def compress(
    run: str | Path,
    *,
    require: Sequence[str],
    data: Any = None,
    budget: str = "2min",
    seed: int = 0,
    out: str | Path | None = None,
    watch: Callable[[Event], None] | None = None,
    **loading: Any,
) -> Run:
    """Compress the network of a run, and put every question to it again.

    Passes are chained, ever stronger: fewer channels, lower ranks, zeros, or a smaller design that
    the search of designs finds and the network teaches; then eight bits, or few values. What is
    demanded decides which chains there are; how strong each is for each layer follows from what the
    layer alone can bear. The best in the end is trained longest. Candidates are measured on this
    machine and judged on validation rows; the one that meets most requirements is shipped as
    `model.nwz`, whose bytes are what `size` counts, and audited as decoded from that file. The same
    call continues one that was killed; a finished one is opened, not repeated.

    Args:
        run: folder of a finished build.
        require: requirements, for example ``["size <= 50 kB", "accuracy_drop <= 0.5 points"]``.
        data: the rows that the run was built from; by default where it says that they were.
        budget: wall clock, or optimiser steps, of the trainings; sensitivities, measurements and
            the audit come on top.
        seed: of the trainings and of the audit.
        out: folder of the result; by default beside the run's, with `-compressed` at its end.
        watch: is shown every event as it happens.
        **loading: passed to `load`, as for the build: target, text, by, ...

    Returns:
        The folder of the compressed network, a run as a build's: `model.nwz`, `model.onnx` decoded
        from it, design and weights of the same network, findings and report.

    Raises:
        ValueError: if the run is not finished, the rows are not those it was built from, a
            requirement cannot be used, or the folder belongs to another job.

    Cost: the budget, and about as long as an audit.
    """
    old = Run.open(run)
    requirements = tuple(Requirement.parse(text) for text in require)
    limit = Budget.parse(budget)
    task = _same_rows(old, data, loading)
    for requirement in requirements:
        _check(requirement, task)
    place = old.folder.resolve()  # the run may be where we are
    beside_it = place.with_name(f"{place.name}-compressed")
    folder = Path(out) if out is not None else beside_it
    _claim(folder, old, requirements, budget, seed)
    journal = Journal(folder / "log.jsonl", watch)
    if journal.take_up():
        return _close(folder)
    search = _search(old, _unseen(old, task), requirements, limit, folder, journal, seed)
    search.run()
    chosen = min(search.tried, key=lambda tried: rank(tried, task, requirements))
    _ship(chosen, old, task, folder, journal)
    journal.record("stage", stage="audit")
    judged, asked = _audit(old, task, folder, requirements, journal, seed)
    made_small = overview(old, chosen, search, requirements, folder)
    compared = (beside(old.findings, asked), speed(old, task, folder))
    findings = (*judged, made_small, *compared, *asked)
    journal.record("stage", stage="report")
    write_atomically(folder / "findings.json", findings_to_json(findings))
    journal.record("done", seconds=round(journal.elapsed, 1))
    return _close(folder)


def _close(folder: Path) -> Run:
    """Write the page, unless it is there, and take away what trainings went on from."""
    made = Run.open(folder)
    if not made.report.is_file():
        write_compressed_page(made)
    for name in ("networks", "students"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return made


def _unseen(old: Run, task: Task) -> Task:
    """Return the task with rows for validation that the network did not learn from.

    A build may have trained its choice once more, the rows of validation included.
    """
    if not _learned_validation(old):
        return task
    rows = joined(task.train, task.validation)
    assert rows is not None  # else they had not been learned from
    return dataclasses.replace(task, train=rows, validation=task.calibration)


def _learned_validation(old: Run) -> bool:
    said = Journal(old.folder / "log.jsonl").find("refitted")
    kept = bool(said) and said[-1].facts["kept"]
    return kept or old.job.get("validation_learned", False)


def _search(
    old: Run,
    task: Task,
    requirements: Sequence[Requirement],
    limit: Budget,
    folder: Path,
    journal: Journal,
    seed: int,
) -> Search:
    session, model = Session(old.artefact), load_model(old.artefact)
    network = old.network
    inner = network.network if isinstance(network, Calibrated) else network
    before = Made(Shaped(inner, old.design), network, model, {})
    rows = task.calibration.take(range(min(_CALIBRATION, len(task.calibration))))
    outputs = _outputs(session, task.validation)
    train = Retraining(inner, task, limit, folder=folder, seed=_rng.child_seed(seed, "compress"))
    return Search(
        before,
        task,
        requirements,
        bench=Bench(old.artefact, outputs, task, requirements, seed),
        train=train,
        feed=session.raw_feed(rows),
        folder=folder,
        journal=journal,
        seed=_rng.child_seed(seed, "students"),
        judged_on="calibration" if _learned_validation(old) else "validation",
    )


def _ship(chosen: Tried, old: Run, task: Task, folder: Path, journal: Journal) -> None:
    """Write what was chosen, as a build does, and compare the file with the network."""
    for name in ("model.nwz", "design.json", "model.safetensors"):
        write_atomically(folder / name, (chosen.folder / name).read_bytes())
    decoded = unpack((folder / "model.nwz").read_bytes())
    content = decoded.SerializeToString(deterministic=True)
    write_atomically(folder / "model.onnx", content)
    x = task.validation.take(range(min(_AGREEMENT_ROWS, len(task.validation))))
    network = Run(folder).network
    with torch.no_grad():
        difference = (Session(folder / "model.onnx").predict(x) - network(x)).abs().max().item()
    if not any(node.op_type == "QuantizeLinear" for node in decoded.graph.node):
        check_agreement(network, folder / "model.onnx", x, schema=task.schema)
    journal.record(
        "shipped",
        text=f"model.nwz: {chosen.passes}",
        size=len(content),
        packed=chosen.size,
        before=old.artefact.stat().st_size,
        opset=next(o.version for o in decoded.opset_import if not o.domain),
        max_abs_difference=difference,
        rows=len(x),
        sha256=hashlib.sha256(content).hexdigest(),
        candidate=int(chosen.folder.name),
    )


def _same_rows(old: Run, data: Any, loading: dict[str, Any]) -> Task:
    job = old.job
    wished = {name: value for name, value in loading.items() if value not in (None, ())}
    task = load(job["source"] if data is None else data, seed=job["seed"], **wished)
    if task.fingerprint != job["fingerprint"]:
        raise ValueError(
            f"These rows, or how they are read and split, are not those of {old.folder}; give the "
            f"same `data` and options (target, text, by, group, time, split) as for its build."
        )
    return task


def _check(requirement: Requirement, task: Task) -> None:
    if requirement.quantity != "accuracy_drop":
        requirement.check(task.schema)
    elif task.schema.target.kind not in CATALOGUE["accuracy_drop"].targets:
        raise ValueError(
            f"`accuracy_drop` does not apply to a target of kind `{task.schema.target.kind}`; "
            f"bound the error itself, for example `rmse`."
        )


def _claim(
    folder: Path, old: Run, requirements: Sequence[Requirement], budget: str, seed: int
) -> None:
    about = {
        **old.job,
        "compressed_from": old.folder.resolve().name,
        "requirements": [r.text for r in requirements],
        "budget": budget,
        "compression_seed": seed,
        "version": __version__,
    }
    if _learned_validation(old):
        about["validation_learned"] = True
    claim_folder(folder, about)
    for name in _CARRIED:
        if (old.folder / name).is_file():
            write_atomically(folder / name, (old.folder / name).read_bytes())


def _outputs(session: Session, split: Any) -> Tensor:
    return torch.cat([session.predict(x) for x, _ in split.batches(512)])


def _audit(
    old: Run,
    task: Task,
    folder: Path,
    requirements: Sequence[Requirement],
    journal: Journal,
    seed: int,
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    # What was required, and everything else.
    onnx = folder / "model.onnx"
    journal.record("test split opened", reason="audit of the compressed artefact")
    split = task.test.open("audit of the compressed artefact")
    subject = Subject(
        schema=task.schema,
        split=split,
        network=read_onnx(onnx).eval(),
        seed=_rng.child_seed(seed, "audit"),
        artefact=onnx,
        predict=Session(onnx).predict,
        before=_outputs(Session(old.artefact), split),
    )
    packed = folder / "model.nwz"
    judged = tuple(judge(of_file(subject, packed, r), r) for r in requirements)
    asked = audit_subject(subject, (), task=task, journal=journal)
    return judged, tuple(f for f in asked if f.name not in REPLACED)
