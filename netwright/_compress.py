"""Make a finished run smaller, as far as requirements allow, and audit what is shipped."""

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netwright import __version__, _rng
from netwright._audit import audit_subject, judge
from netwright._compress_findings import (
    REPLACED,
    Tried,
    beside,
    overview,
    speed,
    write_compressed_page,
)
from netwright._compress_search import Candidate, candidates, sensitivity
from netwright._files import write_atomically
from netwright._journal import Event, Journal
from netwright.artefact import Session, read_onnx
from netwright.artefact._file import load_model
from netwright.compress import pack, unpack
from netwright.data import Task, load
from netwright.finding import Finding, format_value
from netwright.learn import Budget
from netwright.measure import Subject
from netwright.quantities import CATALOGUE
from netwright.report import findings_to_json
from netwright.requirement import Requirement
from netwright.run import Run

__all__ = ["compress"]

_CARRIED = ("schema.json", "data.json", "split.parquet", "quarantine.csv")


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

    Passes are tried in turn, ever stronger: eight bits; values shared; pruned, trained and values
    shared; how strong for each layer follows from what the layer alone can bear. Candidates are
    judged on validation rows; the one that meets most requirements is shipped as `model.nwz`, whose
    bytes are what `size` counts, and audited as decoded from that file.

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
        The folder of the compressed network: `model.nwz`, `model.onnx` decoded from it, findings
        and report. It has no weights for another training.

    Raises:
        ValueError: if the run is not finished, the rows are not those it was built from, a
            requirement cannot be used, or the folder holds something else.

    Cost: the budget, and about as long as an audit.
    """
    old = Run.open(run)
    requirements = tuple(Requirement.parse(text) for text in require)
    limit = Budget.parse(budget)
    task = _same_rows(old, data, loading)
    for requirement in requirements:
        _check(requirement, task)
    beside_it = old.folder.with_name(f"{old.folder.resolve().name}-compressed")
    folder = Path(out) if out is not None else beside_it
    _claim(folder, old, requirements, budget, seed)
    journal = Journal(folder / "log.jsonl", watch)
    model = load_model(old.artefact)
    session = Session(old.artefact)
    journal.record("stage", stage="sensitivity")
    found = sensitivity(read_onnx(model), task)
    journal.record("stage", stage="candidates")
    before = _outputs(session, task.validation)
    tried: list[Tried] = []
    smaller = candidates(
        model,
        task,
        found,
        recipe=old.design.recipe,
        budget=limit,
        feed=session.raw_feed,
        seed=_rng.child_seed(seed, "compress"),
    )
    first = Candidate("as it was", model, pack(model), {}, {})
    for candidate in itertools.chain([first], smaller):
        tried.append(_measure(candidate, task, before, requirements, folder, seed))
        size = format_value(len(candidate.file), "bytes")
        text = f"{candidate.passes}: {size}, validation score {tried[-1].score:.4f}"
        journal.record("compressed", text=text)
    chosen = min(tried, key=lambda t: _rank(t, task, requirements))
    write_atomically(folder / "model.nwz", chosen.candidate.file)
    decoded = unpack((folder / "model.nwz").read_bytes())
    write_atomically(folder / "model.onnx", decoded.SerializeToString(deterministic=True))
    journal.record("shipped", text=f"model.nwz: {chosen.candidate.passes}")
    journal.record("stage", stage="audit")
    judged, asked = _audit(old, task, folder, requirements, journal, seed)
    made_small = overview(old, chosen, tried, found.tables, folder)
    compared = (beside(old.findings, asked), speed(old, task, folder))
    findings = (*judged, made_small, *compared, *asked)
    write_atomically(folder / "findings.json", findings_to_json(findings))
    journal.record("done", seconds=round(journal.elapsed, 1))
    made = Run.open(folder)
    write_compressed_page(made, old, task, requirements)
    return made


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
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; choose another folder with `out`, or delete it.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _CARRIED:
        if (old.folder / name).is_file():
            shutil.copyfile(old.folder / name, folder / name)
    about = {
        **old.job,
        "compressed_from": old.folder.name,
        "requirements": [r.text for r in requirements],
        "budget": budget,
        "compression_seed": seed,
        "version": __version__,
    }
    write_atomically(folder / "job.json", json.dumps(about, indent=2, ensure_ascii=False))


def _outputs(session: Session, split: Any) -> Tensor:
    return torch.cat([session.predict(x) for x, _ in split.batches(512)])


def _measure(
    candidate: Candidate,
    task: Task,
    before: Tensor,
    requirements: Sequence[Requirement],
    folder: Path,
    seed: int,
) -> Tried:
    # On validation rows. Attacks and proofs wait for the audit: they take longer than a candidate.
    path, packed = folder / ".candidate.onnx", folder / ".candidate.nwz"
    write_atomically(path, candidate.model.SerializeToString())
    write_atomically(packed, candidate.file)
    subject = Subject(
        schema=task.schema,
        split=task.validation,
        network=read_onnx(candidate.model).eval(),
        seed=_rng.child_seed(seed, "validation"),
        artefact=path,
        predict=Session(path).predict,
        before=before,
    )
    measurements = {}
    for requirement in requirements:
        quantity = CATALOGUE[requirement.quantity]
        if quantity.needs != "attack":
            asked = _of_file(subject, packed, requirement)
            measurements[requirement.text] = quantity.measure(asked, **requirement.keywords)
    score = CATALOGUE[task.schema.target.metric].measure(subject)
    path.unlink()
    packed.unlink()
    judged = {r.text: r.judge(measurements[r.text]) for r in requirements if r.text in measurements}
    return Tried(candidate, measurements, judged, score.value)


def _of_file(subject: Subject, packed: Path, requirement: Requirement) -> Subject:
    # What is shipped is the `.nwz` file; all but its size is measured on what it decodes to.
    if requirement.quantity != "size":
        return subject
    return dataclasses.replace(subject, artefact=packed)


def _rank(tried: Tried, task: Task, requirements: Sequence[Requirement]) -> tuple[float, ...]:
    """Order candidates: broken requirements, undecided ones, then what was left open."""
    verdicts = [judgement.verdict for judgement in tried.judgements.values()]
    is_higher_better = CATALOGUE[task.schema.target.metric].better == "higher"
    worse = -tried.score if is_higher_better else tried.score
    size = float(len(tried.candidate.file))
    sized = any(r.quantity == "size" for r in requirements)
    last = (worse, size) if sized else (size, worse)
    return (verdicts.count("broken"), verdicts.count("undecided"), *last)


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
    judged = tuple(judge(_of_file(subject, packed, r), r) for r in requirements)
    asked = audit_subject(subject, (), task=task, journal=journal)
    return judged, tuple(f for f in asked if f.name not in REPLACED)
