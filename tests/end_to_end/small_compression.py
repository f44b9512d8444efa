"""A tiny run to compress, made without a search, and a compression of few candidates.

Run: python -m tests.end_to_end.small_compression RUN OUT PLACE

It compresses, and dies by SIGKILL inside the training of that name, as a power cut would have it.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from netwright import (
    _compress,
    _compress_candidates,
    _compress_chains,
    _compress_passes,
    _compress_search,
    _compress_sensitivity,
)
from netwright._audit import audit_subject
from netwright._compress import compress
from netwright._compress_orders import orders, rank
from netwright._compress_training import Retraining
from netwright._evaluate import calibrated
from netwright._page import keep_data_notes
from netwright.artefact import write
from netwright.audits.quality import macs_by_layer, performance
from netwright.data import Task, load, write_split
from netwright.design import Design, build_network, design_to_json
from netwright.finding import Finding
from netwright.learn import Recipe, fit
from netwright.measure import Subject
from netwright.report import findings_to_json
from netwright.run import Run

DESIGN = Design(
    "small CNN",
    "small_cnn",
    {"stem": 8, "widths": [16, 32], "strides": [2, 1]},
    Recipe(learning_rate=0.01, batch_size=64),
)
COST = 0.5  # of the multiply-accumulates


def tiny_run(folder: Path) -> Run:
    """A network of the digits as a build leaves it, without a search.

    Args:
        folder: of the run.
    """
    task = load("digits", seed=0)
    network = build_network(DESIGN, task.schema, seed=0)
    fit(
        network, task.train, task.validation, target=task.schema.target, recipe=DESIGN.recipe,
        steps=150, seed=0, device="cpu",
    )  # fmt: skip
    return finished_run(folder, network, DESIGN, task)


def finished_run(
    folder: Path, network: nn.Module, design: Design, task: Task, *asked: Callable[..., Finding]
) -> Run:
    """Write a trained network as a build does.

    Args:
        folder: of the run.
        network: of the design.
        design: what it was built from.
        task: the digits.
        asked: audits beside accuracy and operations; each takes a subject with test rows.
    """
    network = calibrated(network.eval(), task)
    sample = task.validation.take(range(2))
    write(network, task.schema, design=design_to_json(design), folder=folder, sample=sample)
    write_split(task, folder)
    keep_data_notes(task, folder)
    job = {"source": "digits", "fingerprint": task.fingerprint, "requirements": [], "seed": 0}
    (folder / "job.json").write_text(json.dumps(job | {"budget": "150 steps", "device": "cpu"}))
    subject = Subject(task.schema, task.test.open("tests"), network)
    generator = torch.Generator().manual_seed(0)
    found = [performance(subject, generator=generator), macs_by_layer(subject)]
    found += [ask(subject) for ask in asked]
    (folder / "findings.json").write_text(findings_to_json(tuple(found)))
    return Run.open(folder)


def hurry(patch: pytest.MonkeyPatch, *, students: bool = False) -> None:
    """Leave out most strengths, and what of the audit takes long.

    Args:
        patch: undoes it.
        students: whether smaller designs are searched.
    """
    for module in (_compress_sensitivity, _compress_passes):
        patch.setattr(module, "KEEPS", (0.6, 0.3, 0.1))
        patch.setattr(module, "RANKS", (0.6, 0.4))
    patch.setattr(_compress_chains, "LEVELS", (0.05,))
    patch.setattr(_compress_chains, "AGAIN", (0.05,))
    patch.setattr(_compress_chains, "RANK_LEVELS", (0.3,))
    patch.setattr(_compress_chains, "SHARES", (0.7,))
    if not students:
        patch.setattr(_compress_search, "orders", _without_students)
    patch.setattr(_compress_search, "FEWEST_STEPS", 1)
    patch.setattr(_compress_candidates, "_MOST_PAIRS", 40)
    patch.setattr(_compress, "audit_subject", partial(audit_subject, seconds_left=1.0))
    patch.setattr(_compress, "rank", _floats_first)


def _without_students(requirements) -> tuple[tuple[str, ...], ...]:
    return tuple(order for order in orders(requirements) if "students" not in order)


def _floats_first(tried, task, requirements) -> tuple[float, ...]:
    # What eight bits cost depends on the machine; their networks have a test of their own.
    return ("int8" in tried.passes, *rank(tried, task, requirements))


def cheaper(run: Run, out: Path, **kwargs) -> Run:
    """Compress to fewer multiply-accumulates.

    Args:
        run: of `tiny_run`.
        out: folder of the result.
        kwargs: of `compress`.
    """
    found = next(f for f in run.findings if f.name == "macs_by_layer").measurement
    assert found is not None
    require = [f"macs <= {found.value * COST:.0f}", "accuracy_drop <= 95 points"]
    return compress(run.folder, require=require, budget="60 steps", out=out, **kwargs)


def _die(folder: str, out: str, place: str) -> None:
    train = Retraining.__call__

    def train_and_die(self: Retraining, network, units: float, *, recipe, name: str) -> None:
        train(self, network, units, recipe=recipe, name=name)
        if name == place:
            os.kill(os.getpid(), signal.SIGKILL)

    Retraining.__call__ = train_and_die  # type: ignore[method-assign]
    hurry(pytest.MonkeyPatch())
    cheaper(Run.open(folder), Path(out))


if __name__ == "__main__":
    _die(*sys.argv[1:])
