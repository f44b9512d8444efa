"""From a trained network to the shipped bytes, calibrated and proved equal in another runtime."""

import hashlib
from pathlib import Path

from netwright import _rng
from netwright._evaluate import calibrated
from netwright._journal import Journal
from netwright._search import Found
from netwright.artefact import Session, check_agreement, read_onnx, write
from netwright.data import Split, Task
from netwright.design import design_to_json
from netwright.finding import format_value
from netwright.measure import Subject

__all__ = ["decode", "ship"]

_AGREEMENT_ROWS = 256


def ship(found: Found, task: Task, *, folder: Path, journal: Journal, seed: int) -> Subject:
    """Calibrate a network, write it, and check the file against it on real rows.

    Args:
        found: what the search chose.
        task: supplies the calibration rows and the rows to check on.
        folder: of the run.
        journal: of the run.
        seed: every random choice of the audit derives from it.

    Returns:
        The shipped artefact, decoded from its bytes, with the test split opened: ready for audit.

    Raises:
        ArtefactError: if ONNX Runtime and torch disagree; it names the first differing node.
    """
    if not journal.find("shipped"):
        network = calibrated(found.network.eval().cpu(), task)
        artefact = write(
            network,
            task.schema,
            design=design_to_json(found.design),
            folder=folder,
            sample=task.validation.take(range(min(2, len(task.validation)))),
        )
        rows = range(min(_AGREEMENT_ROWS, len(task.validation)))
        agreement = check_agreement(
            network, artefact.onnx, task.validation.take(rows), schema=task.schema
        )
        journal.record(
            "shipped",
            text=(
                f"model.onnx: {format_value(artefact.size, 'bytes')}; ONNX Runtime and torch agree "
                f"to {agreement.max_abs_difference:.1g} on {agreement.n} rows."
            ),
            size=artefact.size,
            opset=artefact.opset,
            max_abs_difference=agreement.max_abs_difference,
            rows=agreement.n,
            sha256=hashlib.sha256(artefact.onnx.read_bytes()).hexdigest(),
            candidate=found.candidate,
        )
    return decode(folder / "model.onnx", task, journal=journal, seed=seed)


def decode(onnx: Path, task: Task, *, journal: Journal, seed: int) -> Subject:
    """Open the shipped file and the test split, and count the look.

    Args:
        onnx: the shipped file.
        task: whose test split is opened.
        journal: in which the look is written down.
        seed: every random choice of the audit derives from it.
    """
    journal.record("test split opened", reason="audit of the shipped artefact")
    split: Split = task.test.open("audit of the shipped artefact")
    session = Session(onnx)
    return Subject(
        schema=task.schema,
        split=split,
        network=read_onnx(onnx).eval(),
        seed=_rng.child_seed(seed, "audit"),
        artefact=onnx,
        predict=session.predict,
    )
