"""Build a network for a task: search, train, ship, audit, report - in a folder, within a budget."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from netwright import __version__
from netwright._audit import audit_subject
from netwright._files import claim_folder, write_atomically
from netwright._journal import Event, Journal
from netwright._page import keep_data_notes, write_page
from netwright._reachable import reachable
from netwright._refit import refit
from netwright._search import search
from netwright._ship import ship
from netwright._strategies import strategy_for
from netwright.data import (
    DataError,
    Task,
    describe,
    load,
    schema_to_json,
    write_quarantine,
    write_split,
)
from netwright.design import Strategy
from netwright.learn import Budget
from netwright.report import findings_to_json
from netwright.requirement import Requirement
from netwright.run import Run

__all__ = ["build"]


def build(
    source: Any,
    *,
    require: Sequence[str] = (),
    budget: str = "5min",
    seed: int = 0,
    out: str | Path | None = None,
    device: str = "auto",
    strategy: str | Callable[..., Strategy] = "portfolio",
    space: str | None = None,
    ledger: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    watch: Callable[[Event], None] | None = None,
    began: float | None = None,
    **loading: Any,
) -> Run:
    """Find, train and ship a network that meets the requirements, and audit what is shipped.

    Every stage writes into the run's folder as it goes. The same call continues a run that was
    killed; a finished run is opened, not repeated.

    Args:
        source: a `Task`, or anything that `load` reads.
        require: requirements, for example ``["accuracy >= 0.95", "size <= 200 kB"]``.
        budget: hard limit for the whole call: `60s`, `5min`, `1h` of wall clock, or `2000 steps` of
            optimisation, which makes the result reproducible.
        seed: fixes the split, the search and the training.
        out: folder of the run; by default one under `runs/` whose name derives from the job.
        device: "cpu", "cuda", "mps" or "auto".
        strategy: how designs are searched: "portfolio" (successive halving of strong defaults, with
            half an hour or more evolution of the best), "random", "evolution", "controller", "ppo",
            "progressive", "bayesian", "darts" or "enas"; or a function that is called with the
            designs' portfolio, `requirements=` and `metric=`, and returns a search.
        space: what a named strategy searches: "macro", whole networks, or "cells", for images,
            small graphs that are stacked; by default "macro", but for "darts" and "enas".
        ledger: address of a database that keeps what was tried, for example
            "postgresql://user@server/searches"; by default a file in the run's folder.
        workers: candidates that are trained at once, each in a process of its own.
        cluster: address of a Ray cluster whose machines train them; `workers` then limits how many.
        watch: is shown every event as it happens.
        began: `time.monotonic()` at which the budget began; now if None.
        **loading: passed to `load`: target, text, group, time, by, split, schema, ...

    Returns:
        The run; its findings hold the verdict on each requirement.

    Raises:
        ValueError: if a requirement, the budget, the strategy or the data cannot be used, or the
            folder belongs to another job.

    Cost: the budget. A budget too small for one training is overrun by that training's first epoch.
    """
    began = time.monotonic() if began is None else began
    limit = Budget.parse(budget)
    requirements = tuple(Requirement.parse(text) for text in require)
    if isinstance(source, Task) and any(v is not None and v != () for v in loading.values()):
        raise ValueError(f"A `Task` is already loaded; got {', '.join(loading)} besides.")
    task = source if isinstance(source, Task) else _load(source, seed, out, loading)
    for requirement in requirements:
        requirement.check(task.schema)
    job = _describe_job(source, task, requirements, budget, seed, device)
    if isinstance(strategy, str):
        make_strategy = strategy_for(task, limit, seed, name=strategy, space=space)
        # Jobs of before these could be chosen have neither.
        job |= {"strategy": strategy} if strategy != "portfolio" else {}
        job |= {"space": space} if space is not None else {}
    else:
        make_strategy = strategy
    folder = _claim_folder(job, Path(out) if out is not None else None, task)
    journal = Journal(folder / "log.jsonl", watch, began=began)
    if journal.take_up():
        run = Run.open(folder)
        if not run.report.is_file():  # it was killed before the page
            write_page(run)
        return run
    _keep_data(task, folder, journal)

    journal.record("stage", stage="search")
    found = search(
        task, requirements, limit, folder=folder, journal=journal, seed=seed, device=device,
        make_strategy=make_strategy, ledger=ledger, workers=workers, cluster=cluster,
    )  # fmt: skip
    found = refit(found, task, limit, folder=folder, journal=journal, seed=seed, device=device)
    journal.record("stage", stage="ship")
    subject = ship(found, task, folder=folder, journal=journal, seed=seed)
    journal.record("stage", stage="audit")
    findings = audit_subject(
        subject, requirements, task=task, journal=journal, seconds_left=_left(limit, journal)
    )
    if (instead := reachable(found.choice, found.records, task.schema.target.metric)) is not None:
        findings = (*findings, instead)
    journal.record("stage", stage="report")
    write_atomically(folder / "findings.json", findings_to_json(findings))
    run = Run.open(folder)
    journal.record("done", seconds=round(journal.elapsed, 1))
    write_page(run)
    return run


def _load(source: Any, seed: int, out: str | Path | None, loading: dict[str, Any]) -> Task:
    """Load, and leave the list of bad rows behind where they are too many."""
    try:
        return load(source, seed=seed, **loading)
    except DataError as error:
        if error.quarantine is None:
            raise
        folder = Path(out) if out is not None else Path("runs") / "refused"
        folder.mkdir(parents=True, exist_ok=True)
        path = write_quarantine(error.quarantine, folder)
        raise DataError(f"{error} They are listed in {path}.", error.quarantine) from error


def _left(limit: Budget, journal: Journal) -> float | None:
    return None if limit.seconds is None else limit.seconds - journal.elapsed


def _describe_job(
    source: Any,
    task: Task,
    requirements: Sequence[Requirement],
    budget: str,
    seed: int,
    device: str,
) -> dict[str, Any]:
    return {
        "source": source if isinstance(source, str) else task.name,
        "fingerprint": task.fingerprint,
        "requirements": [r.text for r in requirements],
        "budget": budget,
        "seed": seed,
        "device": device,
        "version": __version__,
    }


def _claim_folder(job: dict[str, Any], out: Path | None, task: Task) -> Path:
    text = json.dumps(job, indent=2, ensure_ascii=False)
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in task.name)[:40]
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    folder = out if out is not None else Path("runs") / f"{name}-{digest}"
    claim_folder(folder, job)
    return folder


def _keep_data(task: Task, folder: Path, journal: Journal) -> None:
    write_split(task, folder)
    write_quarantine(task.quarantine, folder)
    keep_data_notes(task, folder)
    write_atomically(folder / "schema.json", schema_to_json(task.schema))
    counts = {
        "train": len(task.train),
        "validation": len(task.validation),
        "calibration": len(task.calibration),
        "test": len(task.test),
    }
    journal.record(
        "data",
        text=describe(task.schema),
        counts=counts,
        quarantined=len(task.quarantine.rows),
        duplicates=len(task.duplicates.rows),
    )
