"""Audit a network that lies in a file, on rows that lie in a file, and write a page about it."""

import datetime
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netwright import __version__, _rng
from netwright._audit import audit_subject
from netwright._files import write_atomically
from netwright._page import ERRORS, library_versions
from netwright.artefact import ArtefactError, Session, read_network
from netwright.data import NAMED, Schema, Task, describe, load
from netwright.finding import Finding
from netwright.measure import Subject
from netwright.report import KeyFigure, RequirementRow, RunView, findings_to_json, write_report
from netwright.requirement import Requirement
from netwright.run import Run

__all__ = ["audit_file"]

_TRIED = 64  # rows on which the fit of network and data is tried


def audit_file(
    model: Path | str,
    data: Any,
    *,
    require: Sequence[str] = (),
    out: Path | str,
    seed: int = 0,
    **loading: Any,
) -> tuple[Finding, ...]:
    """Question a network from a file, and write `report.html` and `findings.json`.

    A named data set is audited on its test split; any other data on all rows. A network that
    Netwright did not build is fed as `data.Input` says: images as floats in [0, 1], table rows as
    floats in the order of the columns, classes in the order of their names. Outputs that are
    probabilities are turned into logits.

    Args:
        model: a run's folder, an `.onnx` file, or torch.export's `.pt2`.
        data: anything that `load` reads.
        require: requirements.
        out: folder for the report; made when missing.
        seed: every random choice derives from it.
        **loading: passed to `load`: target, text, by, schema, ...

    Raises:
        ArtefactError: if the file cannot be read or run.
        ValueError: if the rows do not fit the network, or a requirement cannot be measured.
    """
    place = Path(model)
    path = Run.open(place).artefact if place.is_dir() else place
    requirements = tuple(Requirement.parse(text) for text in require)
    session = Session(path) if path.suffix.lower() == ".onnx" else None
    network = read_network(path)
    known = Run.open(place).schema if place.is_dir() else session.schema if session else None
    task = _load(data, known, seed, loading)
    for requirement in requirements:
        requirement.check(task.schema)
    split = task.test.open(f"audit of {path.name}")
    predict = session.predict if session else network
    x = split.take(range(min(_TRIED, len(split))))
    outputs = _try(predict, x, task.schema, path)
    if task.schema.target.kind == "class" and _are_probabilities(outputs):
        network = _LogProbabilities(network)
        predict = _LogProbabilities(predict)
    subject = Subject(
        schema=task.schema,
        split=split,
        network=network.eval(),
        seed=_rng.child_seed(seed, "audit"),
        artefact=path if session and session.schema else None,
        predict=predict,
    )
    findings = audit_subject(subject, requirements, task=task)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "findings.json", findings_to_json(findings))
    write_report(_view(path, data, task, requirements, findings, seed), folder / "report.html")
    return findings


def _load(data: Any, known: Schema | None, seed: int, loading: dict[str, Any]) -> Task:
    wished = {name: value for name, value in loading.items() if value not in (None, ())}
    if known is not None:
        wished.setdefault("schema", known)
    if isinstance(data, str) and data in NAMED:
        return load(data, seed=seed, **wished)
    if "schema" not in wished:  # inferred from some rows, then applied to all
        wished["schema"] = load(data, seed=seed, **wished).schema
    return load(data, seed=seed, split={"test": 1.0}, **wished)


def _try(predict: Any, x: Tensor, schema: Schema, path: Path) -> Tensor:
    try:
        with torch.no_grad():
            outputs = predict(x)
    except (ArtefactError, RuntimeError) as error:
        raise ValueError(
            f"{path} does not take these rows, tensors of shape {tuple(x.shape)}: {error}"
        ) from error
    if outputs.shape != (len(x), schema.target.width):
        raise ValueError(
            f"{path} returns {tuple(outputs.shape)} for {len(x)} rows; the target has "
            f"{schema.target.width} outputs. Is it the same task?"
        )
    return outputs


def _are_probabilities(outputs: Tensor) -> bool:
    sums = outputs.sum(1)
    return bool((outputs >= 0).all() and (sums - 1).abs().max() < 1e-3)


class _LogProbabilities(nn.Module):
    """Logits of a network that returns probabilities."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).clamp_min(1e-12).log()


def _view(
    path: Path,
    data: Any,
    task: Task,
    requirements: Sequence[Requirement],
    findings: Sequence[Finding],
    seed: int,
) -> RunView:
    by_text = {f.requirement: f for f in findings if f.requirement is not None}
    shown = data if isinstance(data, str) else task.name
    require = "".join(f' --require "{r.text}"' for r in requirements)
    return RunView(
        title=f"{path.name} on {task.name}",
        description=f"A network that was brought, on {len(task.test):,} rows.",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=__version__,
        command=f"netwright audit {path.name} {shown}{require} --seed {seed}",
        seed=seed,
        device=f"cpu on {platform.machine()}",
        job="audit",
        requirements=tuple(RequirementRow.of(r, by_text[r.text]) for r in requirements),
        findings=tuple(f for f in findings if f.requirement is None),
        errors=ERRORS,
        figures=(KeyFigure("file", path.stat().st_size, "bytes", path.name),),
        schema=describe(task.schema),
        splits=(("test", len(task.test)),),
        quarantine=task.quarantine,
        duplicates=task.duplicates,
        notes=task.notes,
        looks=tuple(task.test.looks),
        versions=library_versions(),
    )
