"""Run a search: propose, measure costs, train, tell - by one process or by many workers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from netwright import _rng
from netwright._allot import Allotment
from netwright._costs import Costs
from netwright._evaluate import Order, Outcome
from netwright._files import write_atomically
from netwright._journal import Event, Journal
from netwright._workers import Lost, Workers, hire
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
    harden,
    pareto_front,
    portfolio,
    shortfall,
)
from netwright.design._ranking import COSTS, asks_for_learning
from netwright.finding import Measurement, format_value
from netwright.learn import Budget, Epoch
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

__all__ = ["Found", "search"]

_MOST_TRIES = 3  # a candidate that takes so many workers down with it is given up
# A long search looks at so many seconds' worth of each of at least so many codes, and compares the
# best, both in shares of the last training.
_GLANCE, _FEWEST_CODES, _EXPLORE, _COMPARE = 20.0, 16, 0.4, 0.4
_TICK = 0.5  # seconds between looks at workers that are busy
_STEEPEST = 0.7  # power of the budget by which errors fall at most (see SuccessiveHalving)
_FIRST_GUESS = 0.5  # of the budget, for the only design that keeps to the bounds on costs


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
    for design in harden(portfolio(task.schema, len(task.train)), requirements):
        costs.of(design, until_broken=True)
        journal.show(Event("costed", journal.elapsed, {"design": design.name}))
        designs.append(design)
    affordable, left_out = _sort_out(designs, costs, journal)
    make_strategy = make_strategy or _strategy_for(task, limit, seed)
    strategy = make_strategy(affordable, requirements=requirements, metric=metric)
    job = _Search(
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


def _strategy_for(task: Task, limit: Budget, seed: int) -> Callable[..., Strategy]:
    """Choose the search: among strong defaults, or, where there is time, in a space around them."""
    n_more = int((limit.seconds or 0.0) * _EXPLORE / (1 + _EXPLORE + _COMPARE) / _GLANCE)
    if n_more < _FEWEST_CODES:
        return SuccessiveHalving
    from netwright.design._harden import HardenedSpace
    from netwright.design.spaces import joined, macro_space, recipe_decisions
    from netwright.design.strategies import PortfolioEvolution

    space = joined(macro_space(task.schema), recipe_decisions(task.schema))

    def evolve(
        designs: Sequence[Design], *, requirements: Sequence[Requirement], metric: str
    ) -> Strategy:
        return PortfolioEvolution(
            HardenedSpace(space, requirements), n_candidates=len(designs) + n_more,
            portfolio=designs, explore=_EXPLORE, compare=_COMPARE, requirements=requirements,
            metric=metric, seed=_rng.child_seed(seed, "strategy"),
        )  # fmt: skip

    return evolve


class _Search:
    # A search under way: what was asked for, what came of it, what is still to come.

    def __init__(
        self,
        task: Task,
        requirements: Sequence[Requirement],
        strategy: Strategy,
        costs: Costs,
        ledger: Ledger,
        journal: Journal,
        *,
        limit: Budget,
        folder: Path,
        seed: int,
        device: str,
        affordable: Sequence[Design],
        left_out: Sequence[Design],
    ) -> None:
        self._requirements = tuple(requirements)
        self._metric = task.schema.target.metric
        self._strategy = strategy
        self._costs = costs
        self._ledger = ledger
        self._journal = journal
        self._folder = folder
        self._seed = seed
        self._device = device
        self._designs = tuple(affordable)
        self._left_out = list(left_out)
        self._allotment = Allotment(limit, strategy.remaining, journal)
        self._known = {r.candidate.number: r for r in ledger.records()}
        self._asked: dict[int, Candidate] = {}  # asked for and not told, by number
        self._again: list[Candidate] = []  # of those, the ones that no worker is at
        self._extra: list[Candidate] = []  # beyond the strategy's own, still to be asked for
        self._extras: set[int] = set()  # numbers of all those
        self._losses: dict[int, int] = {}

    # What was done before a kill.

    def replay(self) -> None:
        """Ask and tell again what an earlier try asked and told, in the same order."""
        waiting = {c.number: c for c in self._ledger.unfinished()}
        waiting |= {n: r.candidate for n, r in self._known.items()}
        for event in tuple(self._journal.events):
            number = event.facts.get("number", -1)
            if event.name == "candidate asked":
                if event.facts.get("extra"):
                    self._extras.add(number)
                    self._asked[number] = waiting[number]
                else:
                    self._ask_again(number)
            elif event.name == "candidate pruned" and number >= 0:
                self._ask_again(number)
                self._allotment.leave_out(self._asked[number])
                self._left_out.append(self._asked[number].design)
                self._tell(self._recall(number))
            elif event.name == "candidate trained":
                self._tell(self._recall(number))
        for number, candidate in sorted(self._asked.items()):
            if number in self._known:  # told to the ledger, not yet to the journal
                self._note(self._known[number])
                self._tell(self._known[number])
            else:
                self._again.append(candidate)
                if not self._extras and number == max(self._asked):
                    self._look_beyond(candidate)

    def _recall(self, number: int) -> Record:
        if number not in self._known:
            raise ValueError(
                f"{self._folder} cannot be continued: its journal has a result of candidate "
                f"{number}, its ledger has none. Delete the folder, or choose another."
            )
        return self._known[number]

    def _ask_again(self, number: int) -> None:
        candidate = self._strategy.ask()
        if candidate is None or candidate.number != number:
            proposed = "nothing more" if candidate is None else f"candidate {candidate.number}"
            raise ValueError(
                f"{self._folder} cannot be continued: its journal has candidate {number} where the "
                f"search proposes {proposed}. Continue with the strategy that began it, or choose "
                f"another folder."
            )
        self._compare(candidate)
        self._asked[number] = candidate

    def _compare(self, candidate: Candidate) -> Record | None:
        """Return what the ledger knows of a candidate, if it is the same one."""
        known = self._known.get(candidate.number)
        if known is not None and known.candidate != candidate:
            raise ValueError(
                f"Candidate {candidate.number} is {known.candidate.design.name!r} in the ledger of "
                f"{self._folder}, and {candidate.design.name!r} in this search; choose another "
                f"folder."
            )
        return known

    # What is to be done.

    def has_work(self) -> bool:
        """Say whether any candidate is to be evaluated."""
        if not self._again and (candidate := self._next()) is not None:
            self._again.append(candidate)
        return bool(self._again)

    def run(self, crew: Workers) -> None:
        """Have candidates evaluated until there are no more, or the time is up."""
        while True:
            while crew.free and (candidate := self._next()) is not None:
                self._submit(candidate, crew)
            n_busy = len(self._asked) - len(self._again)
            if not n_busy:
                return
            for order, outcome in crew.wait(_TICK):
                self._settle(order, outcome)
            self._journal.show(Event("tick", self._journal.elapsed))
            if self._allotment.is_used_up and self._trained():
                return

    def _next(self) -> Candidate | None:
        """Return a candidate to evaluate; None if there is none, or not until others are told."""
        if self._again:
            return self._again.pop(0)
        while True:
            candidate = self._propose()
            if candidate is None:
                return None
            if (known := self._compare(candidate)) is not None:
                self._note(known)
                self._tell(known)
            elif not self._pass_over(candidate):
                return candidate

    def _propose(self) -> Candidate | None:
        if self._extra:
            candidate = self._extra.pop(0)
        elif self._extras:
            return None  # the strategy has nothing more
        else:
            try:
                candidate = self._strategy.ask()
            except RuntimeError:
                if not self._asked:
                    raise
                return None  # it waits to be told
            if candidate is None:
                if self._asked or not self._go_beyond():
                    return None
                return self._propose()
            self._look_beyond(candidate)
        self._asked[candidate.number] = candidate
        return candidate

    def _pass_over(self, candidate: Candidate) -> bool:
        """Tell of a design that breaks a bound on costs that it is not worth training."""
        design = candidate.design
        if candidate.number in self._extras or design in self._designs:
            return False
        broken = self._costs.broken(design, until_broken=True)
        if broken is None:
            return False
        self._allotment.leave_out(candidate)
        self._left_out.append(design)
        found = self._costs.of(design, until_broken=True)
        record = Record(candidate, found, 0.0, "pruned")
        self._ledger.ask(candidate)
        self._ledger.tell(record)
        self._known[candidate.number] = record
        self._note(record)
        self._tell(record)
        return True

    def _submit(self, candidate: Candidate, crew: Workers) -> None:
        number = candidate.number
        is_extra = number in self._extras
        if is_extra:
            budget = self._allotment.give_rest(candidate, 1 + len(self._extra))
        else:
            # What comes beyond the strategy's own has the same share as its last candidate.
            share = 1 / (1 + len(self._extra))
            if self._is_only_guess(candidate):
                share = _FIRST_GUESS
            budget = self._allotment.give(
                candidate, self._strategy.remaining, at_once=crew.size, share=share
            )
        self._ledger.ask(candidate)
        if not any(e.facts["number"] == number for e in self._journal.find("candidate asked")):
            facts = {"extra": True} if is_extra else {}
            self._journal.record(
                "candidate asked", number=number, design=candidate.design.name,
                fidelity=candidate.fidelity, steps=budget.steps, seconds=budget.seconds, **facts,
            )  # fmt: skip
        inherited = None
        if candidate.parent is not None:
            inherited = _weights_file(self._folder, candidate.parent).read_bytes()
        place = _place(self._folder, number).resolve()
        place.mkdir(parents=True, exist_ok=True)
        order = Order(
            candidate=candidate,
            requirements=tuple(r.text for r in self._requirements),
            metric=self._metric,
            costs=self._costs.of(candidate.design),
            steps=budget.steps,
            seconds=budget.seconds,
            left=self._allotment.left,
            seed=self._seed,
            device=self._device,
            folder=str(place),
        )
        crew.submit(order, inherited)

    # What came of it.

    def note_epoch(self, order: Order, epoch: Epoch) -> None:
        """Write down an epoch of a training that this process does itself."""
        self._journal.record(
            "epoch", number=order.candidate.number, epoch=epoch.number, step=epoch.step,
            seconds=round(epoch.seconds, 2), learning_rate=epoch.learning_rate,
            train_loss=epoch.train_loss, validation_loss=epoch.validation_loss,
            validation_score=epoch.validation_score,
        )  # fmt: skip

    def _settle(self, order: Order, outcome: Outcome | Lost) -> None:
        candidate = order.candidate
        number = candidate.number
        if isinstance(outcome, Lost):
            self._losses[number] = self._losses.get(number, 0) + 1
            text = f"The worker of candidate {number} was lost ({outcome.reason}); "
            if self._losses[number] < _MOST_TRIES:
                self._journal.record("worker lost", number=number, text=text + "it is tried again.")
                self._again.append(candidate)
                return
            text += f"it is given up after {_MOST_TRIES} tries."
            self._journal.record("worker lost", number=number, text=text)
            record = Record(candidate, order.costs, 0.0, "died")
        else:
            _place(self._folder, number).mkdir(parents=True, exist_ok=True)
            write_atomically(_weights_file(self._folder, number), outcome.weights)
            written = {e.facts["epoch"] for e in self._epochs(number)}
            for epoch in outcome.epochs:
                if epoch.number not in written:
                    self.note_epoch(order, epoch)
            self._allotment.note_measuring(outcome.measuring)
            record = Record(candidate, outcome.measurements, outcome.seconds, outcome.status)
        self._ledger.tell(record)
        self._known[number] = record
        self._note(record)
        self._tell(record)

    def _epochs(self, number: int) -> list[Event]:
        return [e for e in self._journal.find("epoch") if e.facts["number"] == number]

    def _note(self, record: Record) -> None:
        """Write into the journal what became of a candidate."""
        candidate = record.candidate
        found = record.measurements
        if record.status == "pruned":
            broken = self._costs.broken(candidate.design, until_broken=True)
            assert broken is not None
            self._journal.record(
                "candidate pruned", number=candidate.number,
                **_pruned_facts(candidate.design, broken, found[broken.text]),
            )  # fmt: skip
            return
        score = found.get(self._metric)
        shown = "" if score is None else format_value(score.value, score.unit)
        self._journal.record(
            "candidate trained", number=candidate.number, design=candidate.design.name,
            fidelity=candidate.fidelity,
            status=record.status if record.status in ("diverged", "died") else "trained",
            seconds=round(record.seconds, 2), score=f"{self._metric} {shown}".strip(),
            cost=_cost_text(found), metric=self._metric,
            figures={n: m.value for n, m in found.items()},
        )  # fmt: skip

    def _tell(self, record: Record) -> None:
        """Tell the strategy, if the candidate was its own."""
        candidate = self._asked.pop(record.candidate.number, None)
        if candidate is not None and candidate.number not in self._extras:
            self._strategy.tell(candidate, record.measurements)

    # Beyond the bounds: what would it take?

    def _look_beyond(self, last: Candidate) -> None:
        """Before the last training: if nothing within the bounds can do, train some beyond them."""
        trained = self._trained()
        if self._is_last(last) and trained and all(map(self._is_far, trained)):
            self._plan_extra(self._scouts(2, beyond=last.design), last.number + 1)

    def _go_beyond(self) -> bool:
        """After the strategy's last candidate: use what is left of the budget."""
        trained = self._trained()
        designs: list[Design] = []
        if not trained:
            designs = self._scouts(1)  # all were passed over: something must be shipped
        elif self._allotment.unused > 1 - _FIRST_GUESS - 0.15:
            if all(self._missed(r, self._requirements) for r in trained):
                designs = self._scouts(2)
        self._plan_extra(designs, 1 + max(self._known, default=-1))
        return bool(designs)

    def _plan_extra(self, designs: Sequence[Design], number: int) -> None:
        self._extra = [Candidate(number + k, design) for k, design in enumerate(designs)]
        self._extras |= {c.number for c in self._extra}

    def _is_last(self, candidate: Candidate) -> bool:
        return self._strategy.remaining <= candidate.fidelity * (1 + 1e-9)

    def _is_only_guess(self, candidate: Candidate) -> bool:
        return self._is_last(candidate) and not self._trained() and bool(self._scouts(1))

    def _trained(self) -> list[Record]:
        return [r for r in self._known.values() if self._metric in r.measurements]

    def _is_far(self, record: Record) -> bool:
        """Whether even the steepest fall of errors would not take a candidate to the bounds."""
        learned = [r for r in self._requirements if CATALOGUE[r.quantity].needs not in COSTS]
        reach = _STEEPEST * math.log(1 / record.candidate.fidelity)
        return self._beyond(record.candidate.design) > 0 or (
            self._missed(record, learned) > max(reach, 0.05)
        )

    def _missed(self, record: Record, requirements: Sequence[Requirement]) -> float:
        found = record.measurements
        return sum(shortfall(r, found[r.text].value) for r in requirements)

    def _beyond(self, design: Design) -> float:
        """By how much a design misses the bounds on costs."""
        found = self._costs.of(design, until_broken=True)
        return sum(shortfall(r, found[r.text].value) for r in self._requirements if r.text in found)

    def _scouts(self, n: int, beyond: Design | None = None) -> list[Design]:
        """Choose designs beyond the bounds on costs: the nearest, and one further away."""
        if not asks_for_learning(self._requirements):
            return []
        least = 0.0 if beyond is None else self._beyond(beyond)
        known = {d.name: d for d in (*self._left_out, *self._designs)}
        missed = {name: self._beyond(design) for name, design in known.items()}
        ordered = sorted((m, name) for name, m in missed.items() if m > least)
        places = dict.fromkeys((0, len(ordered) // 2))
        return [known[ordered[k][1]] for k in places if k < len(ordered)][:n]


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
            journal.record("candidate pruned", **_pruned_facts(design, requirement, measured))
    affordable = tuple(d for d in designs if d.name not in broken)
    return affordable, tuple(d for d in designs if d.name in broken)


def _pruned_facts(design: Design, broken: Requirement, measured: Measurement) -> dict[str, Any]:
    value = format_value(measured.value, measured.unit)
    value = {"lower bound": "at least ", "table": "about "}.get(measured.method, "") + value
    return {
        "design": design.name,
        "fidelity": 0.0,
        "status": "not trained",
        "score": "",
        "cost": f"{broken.quantity} {value} breaks {broken.text}",
    }


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


def _place(folder: Path, number: int) -> Path:
    return folder / "candidates" / f"{number:03d}"


def _weights_file(folder: Path, number: int) -> Path:
    return _place(folder, number) / "model.safetensors"


def _load_weights(network: nn.Module, folder: Path, number: int) -> None:
    from safetensors.torch import load_file

    network.load_state_dict(load_file(_weights_file(folder, number)))
