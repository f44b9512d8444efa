"""Run a search: propose, measure costs, train, tell - by one process or by many workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from netwright._candidate_facts import cost_text, pruned_facts, weights_file
from netwright._costs import Costs
from netwright._journal import Event, Journal
from netwright._search_loop import SearchLoop
from netwright._strategies import strategy_for
from netwright._workers import hire
from netwright.data import Task
from netwright.design import (
    Choice,
    Design,
    Ledger,
    Record,
    Strategy,
    asks_for_proof,
    build_network,
    choose,
    harden,
    pareto_front,
    portfolio,
    provable_portfolio,
)
from netwright.finding import format_value
from netwright.learn import Budget
from netwright.requirement import Requirement

__all__ = ["Found", "search"]


@dataclass(frozen=True, eq=False)
class Found:
    """What a search ended with.

    Attributes:
        network: the chosen candidate's trained network.
        design: what it was built from.
        candidate: its number in the ledger.
        records: everything that was asked for, what was not worth training included.
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
    ledger: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
) -> Found:
    """Try designs until the strategy has no more, and choose one.

    Requirements that need no training (parameters, MACs, bytes, latency) are measured first, and
    designs that break one are not trained, unless all do, or their price is wanted: where no design
    within the bounds can meet the rest, a few beyond them are trained to say what that would take.

    Args:
        task: what is to be learned; its test split stays sealed.
        requirements: what steers the search.
        limit: of the whole job.
        folder: of the run; candidates leave their weights in `candidates/`.
        journal: of the run.
        seed: every random choice derives from it.
        device: what trains.
        make_strategy: takes designs and requirements, returns a search; by default successive
            halving of strong defaults, with half an hour or more evolution that begins with them.
        ledger: address of a database that keeps the ledger; None keeps it in `folder`.
        workers: how many candidates are evaluated at once.
        cluster: address of a Ray cluster that evaluates them.

    Raises:
        ValueError: if the ledger or the workers cannot be had, or the run's ledger is another
            search's.
    """
    metric = task.schema.target.metric
    book = Ledger(folder, ledger)
    costs = Costs(task, requirements, folder)
    designs = []
    propose = provable_portfolio if asks_for_proof(requirements) else portfolio
    for design in harden(propose(task.schema, len(task.train)), requirements):
        costs.of(design, until_broken=True)
        journal.show(Event("costed", journal.elapsed, {"design": design.name}))
        designs.append(design)
    affordable, left_out = _sort_out(designs, costs, journal)
    make_strategy = make_strategy or strategy_for(task, limit, seed)
    strategy = make_strategy(affordable, requirements=requirements, metric=metric)
    job = SearchLoop(
        task, requirements, strategy, costs, book, journal,
        limit=limit, folder=folder, seed=seed, device=device,
        affordable=affordable, left_out=left_out,
    )  # fmt: skip
    job.replay()
    if job.has_work():  # else no workers need be started
        with hire(task, workers, cluster, device=device, on_epoch=job.note_epoch) as crew:
            job.run(crew)
    records = book.records()
    book.keep(folder)
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


def _sort_out(
    designs: Sequence[Design], costs: Costs, journal: Journal
) -> tuple[tuple[Design, ...], tuple[Design, ...]]:
    """Part the designs that surely break a requirement on cost; if all do, part none."""
    found = ((design.name, costs.broken(design, until_broken=True)) for design in designs)
    broken = {name: requirement for name, requirement in found if requirement is not None}
    if len(broken) == len(designs):
        return tuple(designs), ()
    known = {e.facts["design"] for e in journal.find("candidate pruned")}
    for design in designs:
        if design.name in broken and design.name not in known:
            requirement = broken[design.name]
            measured = costs.of(design, until_broken=True)[requirement.text]
            journal.record("candidate pruned", **pruned_facts(design, requirement, measured))
    affordable = tuple(d for d in designs if d.name not in broken)
    return affordable, tuple(d for d in designs if d.name in broken)


def _front_text(choice: Choice, records: Sequence[Record], metric: str) -> str:
    lines = [choice.unreachable, "The reachable front, on the validation split:"]
    for record in pareto_front(records, metric=metric):
        found = record.measurements[metric]
        value = format_value(found.value, found.unit)
        cost = cost_text(record.measurements)
        lines.append(f"  {metric} {value}  {cost}  ({record.candidate.design.name})")
    return "\n".join(lines)


def _load_weights(network: nn.Module, folder: Path, number: int) -> None:
    from safetensors.torch import load_file

    network.load_state_dict(load_file(weights_file(folder, number)))
