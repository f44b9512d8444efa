"""Run a search: build, measure, train and tell, candidate by candidate, within the budget."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from netwright import _rng
from netwright._files import write_atomically
from netwright._journal import Event, Journal
from netwright._threads import threads_worth
from netwright.artefact import to_onnx
from netwright.data import Task
from netwright.design import (
    Candidate,
    Choice,
    Design,
    Ledger,
    Record,
    Strategy,
    SuccessiveHalving,
    build_network,
    choose,
    initialise,
    pareto_front,
    portfolio,
)
from netwright.finding import Measurement, format_value
from netwright.learn import Budget, Epoch, fit
from netwright.measure import Subject, macs
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

__all__ = ["Found", "search"]

# Seconds of a wall-clock budget that are kept for writing the artefact, the audit and the report.
_RESERVE, _RESERVE_SHARE = 9.0, 0.05


@dataclass(frozen=True, eq=False)
class Found:
    """What a search ended with.

    Attributes:
        network: the chosen candidate's trained network.
        design: what it was built from.
        candidate: its number in the ledger.
        records: everything that was trained.
        choice: why this one, and what binds if no candidate qualifies.
    """

    network: nn.Module
    design: Design
    candidate: int
    records: tuple[Record, ...]
    choice: Choice


def search(
    task: Task,
    requirements: Sequence[Requirement],
    limit: Budget,
    *,
    folder: Path,
    journal: Journal,
    seed: int,
    device: str,
    make_strategy: Callable[..., Strategy] | None = None,
) -> Found:
    """Try designs until the strategy has no more, and choose one.

    Requirements that need no training (parameters, MACs, bytes, latency) are measured first, and
    designs that break one are not trained, unless all do.

    Args:
        task: what is to be learned; its test split stays sealed.
        requirements: what steers the search.
        limit: of the whole job.
        folder: of the run; candidates leave their weights in `candidates/`.
        journal: of the run.
        seed: every random choice derives from it.
        device: what trains.
        make_strategy: takes designs and requirements, returns a search.
    """
    metric = task.schema.target.metric
    designs = portfolio(task.schema, len(task.train))
    costs = _measure_costs(designs, requirements, task, folder, journal)
    designs = _affordable(designs, costs, requirements, journal)
    strategy = (make_strategy or SuccessiveHalving)(
        designs, requirements=requirements, metric=metric
    )
    ledger = Ledger(folder)
    planned = strategy.remaining
    while (candidate := strategy.ask()) is not None:
        record = ledger.completed(candidate.number)
        if record is None:
            amount = _allot(candidate, strategy, limit, planned, journal)
            ledger.ask(candidate)
            record = _try(
                candidate, task, requirements, metric, costs[candidate.design.name], amount,
                folder=folder, journal=journal, seed=seed, device=device,
            )  # fmt: skip
            ledger.tell(record)
        strategy.tell(candidate, record.measurements)
    records = ledger.records()
    choice = choose(records, requirements, metric=metric)
    chosen = choice.record
    journal.record(
        "chosen", candidate=chosen.candidate.number, text=choice.reason,
        unreachable=choice.unreachable,
    )  # fmt: skip
    if choice.unreachable:
        journal.record("none qualifies", text=_front_text(choice, records, metric))
    network = build_network(chosen.candidate.design, task.schema, seed=0)
    _load_weights(network, folder, chosen.candidate.number)
    return Found(network, chosen.candidate.design, chosen.candidate.number, records, choice)


def _allot(
    candidate: Candidate, strategy: Strategy, limit: Budget, planned: float, journal: Journal
) -> Budget:
    """Give a candidate its share of what is left: steps, or seconds."""
    number = candidate.number
    for event in journal.find("candidate asked"):
        if event.facts["number"] == number:  # a killed try had begun it: it keeps its share
            return Budget(event.facts["seconds"], event.facts["steps"])
    if limit.steps is not None:
        return Budget(steps=max(1, round(limit.steps * candidate.fidelity / planned)))
    assert limit.seconds is not None
    reserve = _RESERVE + _RESERVE_SHARE * limit.seconds
    left = max(1.0, limit.seconds - reserve - journal.elapsed)
    return Budget(seconds=left * candidate.fidelity / max(strategy.remaining, candidate.fidelity))


def _try(
    candidate: Candidate,
    task: Task,
    requirements: Sequence[Requirement],
    metric: str,
    costs: Mapping[str, Measurement],
    amount: Budget,
    *,
    folder: Path,
    journal: Journal,
    seed: int,
    device: str,
) -> Record:
    number, design = candidate.number, candidate.design
    began = time.monotonic()
    if not any(e.facts["number"] == number for e in journal.find("candidate asked")):
        journal.record(
            "candidate asked", number=number, design=design.name, fidelity=candidate.fidelity,
            steps=amount.steps, seconds=amount.seconds,
        )  # fmt: skip
    name = f"fit/{number}"
    network = build_network(
        design, task.schema, seed=_rng.child_seed(seed, f"design/{design.name}")
    )
    if candidate.parent is None:
        initialise(network, task.train)
    else:
        _load_weights(network, folder, candidate.parent)
    place = folder / "candidates" / f"{number:03d}"
    place.mkdir(parents=True, exist_ok=True)

    def tell(epoch: Epoch) -> None:
        journal.record(
            "epoch", number=number, epoch=epoch.number, step=epoch.step,
            seconds=round(epoch.seconds, 2), learning_rate=epoch.learning_rate,
            train_loss=epoch.train_loss, validation_loss=epoch.validation_loss,
            validation_score=epoch.validation_score,
        )  # fmt: skip

    one = macs(network, task.train.take([0])).macs
    with threads_worth(3 * one * design.recipe.batch_size):
        fitted = fit(
            network, task.train, task.validation, target=task.schema.target, recipe=design.recipe,
            seed=_rng.child_seed(seed, name), folder=place, device=device, on_epoch=tell,
            steps=amount.steps, seconds=amount.seconds,
        )  # fmt: skip
        _save_weights(network, folder, number)
        subject = Subject(
            schema=task.schema,
            split=task.validation,
            network=network,
            seed=_rng.child_seed(seed, "validation"),
        )
        found = {metric: CATALOGUE[metric].measure(subject), **costs}
        for requirement in requirements:
            if CATALOGUE[requirement.quantity].needs in ("predictions", "attack"):
                quantity = CATALOGUE[requirement.quantity]
                found[requirement.text] = quantity.measure(subject, **requirement.keywords)
    seconds = time.monotonic() - began
    score = found[metric]
    journal.record(
        "candidate trained", number=number, design=design.name, fidelity=candidate.fidelity,
        status="trained" if fitted.stopped != "diverged" else "diverged", steps=fitted.steps,
        seconds=round(seconds, 2), score=f"{metric} {format_value(score.value, score.unit)}",
        cost=_cost_text(costs),
    )  # fmt: skip
    return Record(candidate, found, seconds, fitted.stopped)


def _measure_costs(
    designs: Sequence[Design],
    requirements: Sequence[Requirement],
    task: Task,
    folder: Path,
    journal: Journal,
) -> dict[str, dict[str, Measurement]]:
    """Measure on untrained networks what training does not change."""
    wanted = [r for r in requirements if CATALOGUE[r.quantity].needs in ("network", "artefact")]
    exports = any(CATALOGUE[r.quantity].needs == "artefact" for r in wanted)
    scratch = folder / "candidates" / "untrained.onnx"
    scratch.parent.mkdir(exist_ok=True)
    costs = {}
    for design in designs:
        network = build_network(design, task.schema, seed=0).eval()
        if exports:
            sample = task.validation.take(range(min(2, len(task.validation))))
            write_atomically(scratch, to_onnx(network, task.schema, sample=sample))
        subject = Subject(
            schema=task.schema,
            split=task.validation,
            network=network,
            artefact=scratch if exports else None,
        )
        found = {"params": CATALOGUE["params"].measure(subject)}
        if exports:
            found["size"] = CATALOGUE["size"].measure(subject)
        for requirement in wanted:
            quantity = CATALOGUE[requirement.quantity]
            found[requirement.text] = quantity.measure(subject, **requirement.keywords)
        costs[design.name] = found
        journal.show(Event("costed", journal.elapsed, {"design": design.name}))
    scratch.unlink(missing_ok=True)
    return costs


def _affordable(
    designs: Sequence[Design],
    costs: Mapping[str, Mapping[str, Measurement]],
    requirements: Sequence[Requirement],
    journal: Journal,
) -> tuple[Design, ...]:
    """Leave out designs that break a requirement on cost; if all do, leave out none."""
    broken: dict[str, Requirement] = {}
    for design in designs:
        for requirement in requirements:
            measured = costs[design.name].get(requirement.text)
            if measured is not None and requirement.judge(measured).verdict == "broken":
                broken.setdefault(design.name, requirement)
    if len(broken) == len(designs):
        return tuple(designs)
    for name, requirement in broken.items():
        value = costs[name][requirement.text]
        journal.record(
            "candidate pruned", design=name, fidelity=0.0,
            status="not trained", score="",
            cost=f"{requirement.quantity} {format_value(value.value, value.unit)} breaks "
            f"{requirement.text}",
        )  # fmt: skip
    return tuple(d for d in designs if d.name not in broken)


def _front_text(choice: Choice, records: Sequence[Record], metric: str) -> str:
    lines = [choice.unreachable, "The reachable front, on the validation split:"]
    for record in pareto_front(records, metric=metric):
        found = record.measurements[metric]
        value = format_value(found.value, found.unit)
        cost = _cost_text(record.measurements)
        lines.append(f"  {metric} {value}  {cost}  ({record.candidate.design.name})")
    return "\n".join(lines)


def _cost_text(costs: Mapping[str, Measurement]) -> str:
    return ", ".join(
        format_value(costs[name].value, costs[name].unit)
        for name in ("size", "params")
        if name in costs
    )


def _weights_file(folder: Path, number: int) -> Path:
    return folder / "candidates" / f"{number:03d}" / "model.safetensors"


def _save_weights(network: nn.Module, folder: Path, number: int) -> None:
    from safetensors.torch import save

    weights = {n: t.detach().cpu().contiguous().clone() for n, t in network.state_dict().items()}
    write_atomically(_weights_file(folder, number), save(weights))


def _load_weights(network: nn.Module, folder: Path, number: int) -> None:
    from safetensors.torch import load_file

    network.load_state_dict(load_file(_weights_file(folder, number)))
