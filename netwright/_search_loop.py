"""Ask a strategy for candidates, have them evaluated, tell it of them - and go on after a kill."""

import math
from collections.abc import Sequence
from pathlib import Path

from netwright._allot import Allotment
from netwright._candidate_facts import cost_text, place_of, pruned_facts, weights_file
from netwright._costs import Costs
from netwright._evaluate import Order, Outcome
from netwright._fidelity import steps_of
from netwright._files import write_atomically
from netwright._journal import Event, Journal
from netwright._moments import note_moments
from netwright._workers import Lost, Workers
from netwright.data import Task
from netwright.design import Candidate, Design, Ledger, Record, Strategy, shortfall
from netwright.design._ranking import COSTS, asks_for_learning
from netwright.finding import format_value
from netwright.learn import Budget, Epoch
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

__all__ = ["SearchLoop"]

_MOST_TRIES = 3  # a candidate that takes so many workers down with it is given up
_TICK = 0.5  # seconds between looks at workers that are busy
_STEEPEST = 0.7  # power of the budget by which errors fall at most (see SuccessiveHalving)
_FIRST_GUESS = 0.5  # of the budget, for the only design that keeps to the bounds on costs


class SearchLoop:
    """A search under way: what was asked for, what came of it, what is still to come."""

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
        """Take a search up where the ledger and the journal left it.

        Args:
            task: what is to be learned.
            requirements: what steers the search.
            strategy: proposes candidates.
            costs: measures what training does not change.
            ledger: of the search.
            journal: of the run.
            limit: of the whole job.
            folder: of the run.
            seed: of the whole job.
            device: what trains.
            affordable: designs within the bounds on costs, or all if none is.
            left_out: designs beyond them.
        """
        self._requirements = tuple(requirements)
        self._metric = task.schema.target.metric
        self._input = task.schema.input
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
        """Have candidates evaluated until there are no more, or the time is up.

        Args:
            crew: who evaluates them.
        """
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
            inherited = weights_file(self._folder, candidate.parent).read_bytes()
        place = place_of(self._folder, number).resolve()
        place.mkdir(parents=True, exist_ok=True)
        order = Order(
            candidate=candidate,
            requirements=tuple(r.text for r in self._requirements),
            metric=self._metric,
            costs=self._costs.of(candidate.design),
            steps=steps_of(budget.steps, candidate, self._input),
            seconds=budget.seconds,
            left=self._allotment.left,
            seed=self._seed,
            device=self._device,
            folder=str(place),
        )
        crew.submit(order, inherited)

    # What came of it.

    def note_epoch(self, order: Order, epoch: Epoch) -> None:
        """Write down an epoch of a training that this process does itself.

        Args:
            order: whose training it is.
            epoch: its figures.
        """
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
            place_of(self._folder, number).mkdir(parents=True, exist_ok=True)
            write_atomically(weights_file(self._folder, number), outcome.weights)
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
                **pruned_facts(candidate.design, broken, found[broken.text]),
            )  # fmt: skip
            return
        score = found.get(self._metric)
        shown = "" if score is None else format_value(score.value, score.unit)
        self._journal.record(
            "candidate trained", number=candidate.number, design=candidate.design.name,
            fidelity=candidate.fidelity,
            status=record.status if record.status in ("diverged", "died") else "trained",
            seconds=round(record.seconds, 2), score=f"{self._metric} {shown}".strip(),
            cost=cost_text(found), metric=self._metric,
            figures={n: m.value for n, m in found.items()},
        )  # fmt: skip

    def _tell(self, record: Record) -> None:
        """Tell the strategy, if the candidate was its own."""
        candidate = self._asked.pop(record.candidate.number, None)
        if candidate is not None and candidate.number not in self._extras:
            self._strategy.tell(candidate, record.measurements)
            note_moments(self._strategy, self._journal)

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
