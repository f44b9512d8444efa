"""The model that is served: a run's shipped file, its schema, and what is known about both."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from netwright._journal import Journal
from netwright.artefact import ArtefactError, Session
from netwright.artefact._feed import prepare_rows
from netwright.artefact._file import load_model
from netwright.artefact._graph import CONSTANT, SEAM
from netwright.artefact._session import cut_before_seam, run_session, start_session
from netwright.data import Schema
from netwright.finding import Finding
from netwright.run import Run

__all__ = ["ServedModel", "open_model"]

_SHOWN = 200  # letters of a finding's summary


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A shipped file, ready to answer.

    Attributes:
        name: the run's folder, or the file without its ending; letters, digits, `-`, `_` and `.`.
        version: the first 12 hex digits of the file's SHA-256.
        path: the file.
        schema: of the data.
        session: runs it.
        temperature: what the logits are divided by, inside the file; None if it was not fitted.
        findings: of the run; empty for a single file.
        run: the run, if it is one.
    """

    name: str
    version: str
    path: Path
    schema: Schema
    session: Session
    temperature: float | None
    findings: tuple[Finding, ...]
    run: Run | None
    _before: Any
    _whole: Any

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs: classes or labels; for numbers, the targets."""
        target = self.schema.target
        return target.classes if target.kind in ("class", "labels") else target.names

    @property
    def outputs(self) -> str:
        """What comes out: "probabilities" or "values"."""
        kinds = {"class": "probabilities", "labels": "probabilities"}
        return kinds.get(self.schema.target.kind, "values")

    def answer(self, feed: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run the file on raw rows.

        Args:
            feed: an array for each input.

        Returns:
            Probabilities, or values in the target's units; float32 (rows, outputs).

        Raises:
            ArtefactError: if the graph refuses the rows.
        """
        name = "probabilities" if self.outputs == "probabilities" else self.session.output
        rows = prepare_rows(feed, self.schema)
        (found,) = run_session(self._whole, [name], rows, name=str(self.path))
        return found

    def features(self, feed: Mapping[str, np.ndarray]) -> Num[Tensor, "rows *features"]:
        """Return what the network inside the file receives.

        Args:
            feed: an array for each input.
        """
        rows = prepare_rows(feed, self.schema)
        (made,) = run_session(self._before, [SEAM], rows, name=str(self.path))
        return torch.from_numpy(made)

    def calibration(self) -> dict[str, Any]:
        """Say how the probabilities were calibrated, and how well they came true in the audit."""
        if self.outputs != "probabilities":
            return {"method": "none", "reason": "values come without a probability"}
        fitted = self.temperature is not None
        found = next((f for f in self.findings if f.name == "calibration"), None)
        error = None
        if found is not None and found.measurement is not None:
            m = found.measurement
            error = {"value": m.value, "low": m.low, "high": m.high, "n": m.n, "name": "ece"}
        return {
            "method": "temperature scaling" if fitted else "none",
            "temperature": self.temperature,
            "fitted_on": "the calibration split" if fitted else None,
            "measured_on_test": error,
        }

    def about(self) -> dict[str, Any]:
        """Describe the model: what to send, what comes back, what was found about it."""
        inputs, target = self.schema.input, self.schema.target
        columns = [
            {
                "name": c.name,
                "kind": c.kind,
                "categories": c.categories,
                "may_be_missing": c.has_missing,
                "minimum": c.minimum,
                "maximum": c.maximum,
                "mean": c.mean,
            }
            for c in inputs.columns
        ]
        return {
            "name": self.name,
            "version": self.version,
            "bytes": self.path.stat().st_size,
            "opset": self.session.opset,
            "input": {
                "kind": inputs.kind,
                "shape": inputs.shape,
                "columns": columns,
                "tokens": inputs.tokens if inputs.kind == "text" else None,
                "channels": inputs.channels,
                "rate": inputs.rate,
            },
            "target": {"kind": target.kind, "names": target.names, "classes": target.classes},
            "calibration": self.calibration(),
            "findings": [_finding(f) for f in self.findings if f.measurement or f.judgement],
        }


def open_model(place: Path | str) -> ServedModel:
    """Open a run's folder, or an ONNX file that Netwright wrote.

    Args:
        place: the folder or the file.

    Raises:
        ArtefactError: if the file is damaged, or was not written by Netwright.
        FileNotFoundError: if there is none.
        ValueError: if the folder holds no finished run.
    """
    folder = Path(place)
    if not folder.exists():
        raise FileNotFoundError(f"{folder} is neither a run's folder nor an ONNX file: not there.")
    run = Run.open(folder) if folder.is_dir() else None
    path = run.artefact if run else folder
    model = load_model(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if run is not None:
        _check_shipped(run, digest)
    session = Session(path)
    schema = session.schema or (run.schema if run else None)
    if schema is None:
        raise ArtefactError(
            f"{path} was not written by Netwright: it has no schema to check requests against. "
            f"Serve a run's folder, or its model.onnx."
        )
    temperature = session.temperature if session.temperature != 1 else None
    for tensor in model.graph.initializer:
        if tensor.name.removeprefix(CONSTANT) == "temperature" and temperature is None:
            from onnx import numpy_helper

            temperature = float(numpy_helper.to_array(tensor))
    stem = folder.resolve().name if run else path.stem
    return ServedModel(
        name="".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in stem),
        version=digest[:12],
        path=path,
        schema=schema,
        session=session,
        temperature=temperature,
        findings=_findings(run) if run else (),
        run=run,
        _before=start_session(cut_before_seam(model), name=str(path)),
        _whole=session._raw,
    )


def _check_shipped(run: Run, digest: str) -> None:
    """Refuse a file that is not the one that was audited."""
    shipped = Journal(run.folder / "log.jsonl").find("shipped")
    known = shipped[-1].facts.get("sha256", digest) if shipped else digest
    if known != digest:
        raise ArtefactError(
            f"{run.artefact} is not the file that was audited: it was changed or damaged since "
            f"(SHA-256 {digest[:12]}..., in the log {str(known)[:12]}...). Build or compress "
            f"again; or name the file itself instead of the run, and the findings stay behind."
        )


def _findings(run: Run) -> tuple[Finding, ...]:
    try:
        return run.findings
    except (ValueError, TypeError, KeyError, RecursionError, OSError) as error:
        raise ArtefactError(
            f"{run.folder / 'findings.json'} cannot be read: {str(error)[:200]}. It is damaged, "
            f"or of another version."
        ) from error


def _finding(found: Finding) -> dict[str, Any]:
    from netwright.report import findings_to_json

    whole = json.loads(findings_to_json([found]))["findings"][0]
    kept = ("name", "title", "requirement", "measurement", "judgement")
    return {key: whole[key] for key in kept} | {"summary": found.summary[:_SHOWN]}
