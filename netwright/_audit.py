"""Put questions to a network: its requirements first, then everything a reader should know."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import nn

from netwright import _rng
from netwright._journal import Journal
from netwright._threads import threads_worth
from netwright.audits import attack, fairness, quality, uncertainty
from netwright.data import Task
from netwright.finding import Finding, format_value
from netwright.measure import Subject, macs
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

__all__ = ["audit", "audit_subject", "judge"]

_BATCH = 64  # rows that audits send through the network together


def audit(
    network: nn.Module,
    task: Task,
    *,
    require: Sequence[str] = (),
    seed: int = 0,
) -> tuple[Finding, ...]:
    """Question any network on a task's test split.

    Args:
        network: takes inputs as `task.schema.input` describes them, returns logits (or values).
        task: whose test split is opened; the look is counted.
        require: requirements, for example ``["robust(linf=4/255) >= 0.5"]``.
        seed: every random choice derives from it.

    Returns:
        One finding for each requirement, then the findings of every audit.

    Raises:
        ValueError: if a requirement cannot be read, or cannot be measured on this network.
    """
    requirements = tuple(Requirement.parse(text) for text in require)
    for requirement in requirements:
        requirement.check(task.schema)
    subject = Subject(
        schema=task.schema,
        split=task.test.open("audit"),
        network=network.eval(),
        seed=_rng.child_seed(seed, "audit"),
    )
    return audit_subject(subject, requirements, task=task)


def audit_subject(
    subject: Subject,
    requirements: Sequence[Requirement],
    *,
    task: Task | None = None,
    journal: Journal | None = None,
    seconds_left: float | None = None,
) -> tuple[Finding, ...]:
    """Judge every requirement, then run every audit that the time allows.

    Args:
        subject: the network, or the shipped artefact, with its test rows.
        requirements: what was demanded; they are always measured.
        task: adds what is to be said about the data.
        journal: is told what was left out.
        seconds_left: wall-clock limit for all of it; None sets none.
    """
    one = macs(subject.network, subject.split.take([0])).macs
    with threads_worth(_BATCH * one):
        return _ask(subject, requirements, task, journal, seconds_left)


def _ask(
    subject: Subject,
    requirements: Sequence[Requirement],
    task: Task | None,
    journal: Journal | None,
    seconds_left: float | None,
) -> tuple[Finding, ...]:
    began = time.monotonic()
    findings = [judge(subject, requirement) for requirement in requirements]
    most = math.inf if seconds_left is None else max(1.0, 0.4 * seconds_left)
    for name, question in _questions(subject, task, most):
        used = time.monotonic() - began
        if seconds_left is not None and used > 0.8 * seconds_left:
            reason = "the budget was used up before this audit."
            findings.append(Finding(name, name.replace("_", " "), f"Not run: {reason}"))
            if journal is not None:
                journal.record("skipped", text=f"{name}: not run, {reason}")
            continue
        findings.append(question())
    return tuple(findings)


def judge(subject: Subject, requirement: Requirement) -> Finding:
    """Measure one requirement and give the verdict.

    Args:
        subject: what to measure.
        requirement: what was demanded of it.
    """
    began = time.perf_counter()
    quantity = CATALOGUE[requirement.quantity]
    measured = quantity.measure(subject, **requirement.keywords)
    judgement = requirement.judge(measured)
    value = format_value(measured.value, measured.unit)
    span = ""
    if measured.low < measured.high:
        low, high = (format_value(v, measured.unit) for v in (measured.low, measured.high))
        span = f" ({low} to {high}, n = {measured.n:,})"
    return Finding(
        name=f"requirement/{requirement.text}",
        title=quantity.summary[0].upper() + quantity.summary[1:],
        summary=f"{value}{span}: {judgement.verdict}. {judgement.reason}",
        measurement=measured,
        requirement=requirement.text,
        judgement=judgement,
        seconds=time.perf_counter() - began,
    )


def _questions(
    subject: Subject, task: Task | None, seconds: float
) -> Iterator[tuple[str, Callable[[], Finding]]]:
    """List the audits that apply, the most telling and the cheapest first."""
    schema = subject.schema
    kind = schema.target.kind

    def stream(name: str) -> torch.Generator:
        return _rng.child(subject.seed, name)

    yield "performance", partial(quality.performance, subject, generator=stream("performance"))
    if kind in ("class", "labels"):
        yield "confusion", partial(quality.confusion, subject)
        calibrate = partial(uncertainty.calibration, subject, generator=stream("calibration"))
        yield "calibration", calibrate
    else:
        yield "residuals", partial(quality.residuals, subject, generator=stream("residuals"))
    yield "worst_errors", partial(quality.worst_errors, subject)
    if subject.split.groups:
        yield "group_gaps", partial(fairness.group_gaps, subject, generator=stream("group_gaps"))
    yield "size_by_layer", partial(quality.size_by_layer, subject)
    yield "macs_by_layer", partial(quality.macs_by_layer, subject)
    if subject.artefact is not None:
        yield "latency", partial(quality.latency, subject)
    if task is not None:
        yield "data_summary", partial(quality.data_summary, task, generator=stream("data"))
    if schema.input.kind == "image" and kind == "class":
        yield (
            "robustness",
            partial(attack.robustness, subject, seconds=seconds, generator=stream("robustness")),
        )
