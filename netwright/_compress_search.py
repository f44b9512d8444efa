"""Which passes make a network small enough: their order, and how strong for each layer.

A chain presses one way, ever stronger, each network trained from the one before: fewer channels, a
lower rank, or zeros. What is demanded decides which chains there are, and which of them go on from
the best network of another. Every network of a chain is finished as far as is asked for: as it is,
in eight bits, with shared values.
"""

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from netwright._compress_candidates import COSTS, Bench, Tried, read_tried
from netwright._compress_chains import Chains, Cutter
from netwright._compress_orders import orders, rank
from netwright._compress_passes import (
    AlreadyThere,
    CannotCut,
    Made,
    eight_bits,
    share_values,
    shipped,
)
from netwright._compress_sensitivity import sensitivity
from netwright._compress_shape import Shaped, fold, read_shaped, write_shaped
from netwright._compress_training import Retraining, Taught
from netwright._files import write_atomically
from netwright._journal import Journal
from netwright.compress import is_quantisable
from netwright.data import Task
from netwright.design._ranking import higher_is_better
from netwright.finding import Measurement, format_value
from netwright.requirement import Requirement

__all__ = ["Search"]

FEWEST_STEPS = 20  # of a part of the budget, unless no cost can be met otherwise
_LOST = 0.05  # score (values: share of the error) beyond which no chain goes, if none is demanded
_FINISH = 1.0  # parts of the budget, for values that are shared
_LONGER = 0.4  # of the budget, for the best in the end
_FAR = 2.0  # times the bytes demanded: what is larger still is passed over
_TOO_SHORT = "left out: the budget is too small for one more chain"


@dataclass(frozen=True, eq=False)
class _Node:
    """A network of a chain: trained, its values not shared yet."""

    words: tuple[str, ...]
    untouched: Mapping[str, str]
    shaped: Callable[[], Shaped]


class Search:
    """A compression under way.

    Attributes:
        tried: all candidates so far, the network as it was first.
        found: what each layer of the network before can bear.
        ended: for chains that ended before their last strength, why.
        judged_on: the split on whose rows candidates were judged.
    """

    def __init__(
        self,
        before: Made,
        task: Task,
        requirements: Sequence[Requirement],
        *,
        bench: Bench,
        train: Retraining,
        feed: Mapping[str, np.ndarray],
        folder: Path,
        journal: Journal,
        seed: int,
        judged_on: str = "validation",
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            before: the network of the run, as it was shipped.
            task: supplies rows.
            requirements: what is demanded.
            bench: measures candidates.
            train: trains what was cut.
            feed: raw calibration rows, for eight bits.
            folder: keeps every network and candidate in a folder of its own.
            journal: is told of each.
            seed: of the search for smaller designs.
            judged_on: the split that `task` has for validation.
        """
        self.judged_on = judged_on
        self._before, self._task, self._requirements = before, task, requirements
        self._bench, self._train, self._feed = bench, train, feed
        self._folder, self._journal = folder, journal
        self._schema = task.schema
        asked = {r.quantity for r in requirements} & set(COSTS)
        self._bounded, self._sized = "size" in asked, not asked or "size" in asked
        self._fast = bool(asked - {"size"})
        self._first = task.validation.take(range(min(32, len(task.validation))))
        self._is_quantisable = is_quantisable(before.model)
        self._numbers = {"candidates": 0, "networks": 0}
        self._chains = Chains(
            before.shaped,
            task,
            requirements,
            train=train,
            folder=folder,
            journal=journal,
            seed=seed,
            fast=self._fast,
        )
        self._origins: list[tuple[_Node, float]] = []  # of what was tried
        self.tried: list[Tried] = []
        self.ended: dict[str, str] = {}

    def run(self) -> None:
        """Try everything that is worth it; what an earlier call has finished is only read."""
        kept = (*self._folder.glob("*/*/network.json"), *self._folder.glob("*/*/candidate.json"))
        if not any(json.loads(path.read_text(encoding="utf-8"))["spent"] for path in kept):
            self._train.forget()
        self._journal.record("stage", stage="sensitivity")
        folded = fold(self._before.shaped, self._first)
        self.found = sensitivity(folded.network, self._task, shapes=True)
        self._journal.record("stage", stage="candidates")
        root, untouched = (_Node((), {}, lambda: self._before.shaped) for _ in range(2))
        asked = orders(self._requirements)
        self._share_out(asked, root)
        self._try("as it was", {}, lambda: self._before, origin=(untouched, 0.0))
        self._finish(root, most=self._chains.mild)
        self._press(asked, root)
        self._train.units = 1.0
        self._train_longer(1.0)

    def _press(self, asked: Sequence[tuple[str, ...]], root: _Node) -> None:
        """Run the chains that the budget is enough for, and others if no cost is met otherwise."""
        best: dict[tuple[str, ...], _Node | None] = {(): root}
        left_out = []
        for number, order in enumerate(asked):
            start = best[order[:-1]]
            best[order] = None
            if start is None:
                is_short = order[:-1] in left_out
                why = (
                    _TOO_SHORT if is_short else "the chain before has left no network to begin with"
                )
                self.ended["/".join(order)] = why
            elif self._units(order, root) * self._least > self._left:
                left_out.append(order)
            else:
                self._share_out([o for o in asked[number:] if best.get(o[:-1], root)], root)
                best[order] = self._chain(order, start)
        for order in left_out:  # better a short training than costs that cannot be met
            start = best[order[:-1]]
            if start is not None and self._may_lower(order):
                self._share_out([order], root)
                best[order] = self._chain(order, start)
            else:
                self.ended["/".join(order)] = _TOO_SHORT

    @functools.cached_property
    def _least(self) -> float:
        """What a part of the budget must be to tell anything; the same after a kill."""
        path = self._folder / "least.json"
        if not path.is_file():
            recipe = self._before.shaped.base.recipe
            write_atomically(path, json.dumps(self._train.cost(FEWEST_STEPS, recipe)))
        return float(json.loads(path.read_text(encoding="utf-8")))

    @property
    def _left(self) -> float:
        """What of the budget is left for chains: a part is kept for the best in the end."""
        return max(0.0, self._train.left - _LONGER * self._train.total)

    def _units(self, order: tuple[str, ...], root: _Node) -> float:
        steps = self._chains.planned(order, self.found)
        near = [units for units, left in steps if not self._is_far(root, left)]
        near = near or [units for units, _ in steps[-1:]]
        return sum(near) + _FINISH * self._sized * len(near)

    def _share_out(self, waiting: Sequence[tuple[str, ...]], root: _Node) -> None:
        """Plan the first of these chains, and of the others as many as it leaves enough for."""
        units = 0.0
        for order in waiting:
            more = self._units(order, root)
            if not units or (units + more) * self._least <= self._left:
                units += more
        if not self.tried:
            units += _FINISH * self._sized
        share = self._left / self._train.left if self._train.left else 0.0
        self._train.units = units / share if share and units else 1.0

    def _may_lower(self, order: tuple[str, ...]) -> bool:
        """Whether a chain may bring down a cost that every candidate breaks."""
        broken = [
            r.quantity
            for r in self._requirements
            if r.quantity in COSTS
            and all(r.judge(t.measurements[r.text]).verdict == "broken" for t in self.tried)
        ]
        return bool(broken) and (order[-1] != "zeros" or "size" in broken)

    @property
    def taught(self) -> Taught | None:
        """From what the cut networks learned; None where there was no choice."""
        return self._train.taught

    def _chain(self, order: tuple[str, ...], start: _Node) -> _Node | None:
        """Press one way, ever stronger; return the smallest network whose answers still hold."""
        kind, found, name = order[-1], self.found, "/".join(order)
        node, best, broken = start, None, 0
        self.ended[name] = "no layer bears even the mildest strength"
        if start.words:
            folded = fold(start.shaped(), self._first)
            found = sensitivity(folded.network, self._task, shapes=kind == "ranks")
        steps = list(self._chains.steps(order, found))
        for number, step in enumerate(steps):
            if step is not steps[-1] and self._is_far(start, step.left):
                self._train.skip(step.units + _FINISH * self._sized)
                continue
            # Factors are made of the layers that the chain began with, not of factors.
            parent = start if kind in ("ranks", "students") else node
            try:
                node = self._node(parent, f"{name}/{number}", step.cut, step.units)
            except AlreadyThere as error:
                self.ended[name] = str(error)
                self._train.skip(step.units + _FINISH * self._sized)
                continue
            except CannotCut as error:
                self.ended[name] = str(error)
                break
            self.ended.pop(name, None)
            first = len(self.tried)
            self._finish(node, most=step.most)
            made = self.tried[first:]
            if any(self._holds(tried) for tried in made):
                best = node
            broken = 0 if any(not self._is_broken(tried) for tried in made) else broken + 1
            if broken == 2 and not (kind == "zeros" and self._bounded):
                self.ended[name] = "the answers were too bad twice in a row"
                break
            if any(self._is_enough(tried) for tried in made):
                self.ended[name] = "the costs that are demanded were reached"
                break
        return best

    def _is_far(self, start: _Node, left: float | None) -> bool:
        """Say whether so few zeros leave far too many bytes."""
        bounds = [r.bound for r in self._requirements if r.quantity == "size"]
        made = [
            tried
            for tried, (node, _) in zip(self.tried, self._origins, strict=True)
            if node is start
        ]
        if not bounds or not made or left is None or not 0 < left < 1:
            return False
        smallest = min(made, key=lambda tried: tried.size)
        bits = 8 * smallest.size / max(1, sum(n for _, n, _ in smallest.layers.values()))
        entropy = -left * math.log2(left) - (1 - left) * math.log2(1 - left)
        return smallest.size * (left + entropy / bits) > _FAR * min(bounds)

    def _train_longer(self, units: float) -> None:
        """Train the network of the best candidate for what is left of the budget."""
        ranks = [rank(tried, self._task, self._requirements) for tried in self.tried]
        node, most = self._origins[ranks.index(min(ranks))]
        if node is not self._origins[0][0]:  # else it was good enough as it was
            finish = units / 3 if self._sized else 0.0
            cut = self._chains.longer(units - finish)
            trained = self._node(node, "longer", cut, units - finish)
            self._finish(trained, most=most, units=finish)

    def _node(self, parent: _Node, name: str, cut: Cutter, units: float) -> _Node:
        place = self._place("networks")
        path = place / "network.json"
        if not path.is_file():
            shaped, untouched, words = cut(parent.shaped(), name)
            write_shaped(shaped, self._schema, place, shaped.network)
            about = {"words": words, "untouched": dict(untouched), "spent": self._train.spent}
            write_atomically(path, json.dumps(about, indent=1))
        else:
            self._train.skip(units)
        about = json.loads(path.read_text(encoding="utf-8"))
        self._train.spent = about["spent"]
        kind = about["words"].split()[0]  # a stronger cut of the same kind takes its place
        words = tuple(w for w in parent.words if w.split()[0] != kind)
        return _Node(
            (*words, about["words"]),
            {**parent.untouched, **about["untouched"]},
            lambda: read_shaped(place, self._schema),
        )

    def _finish(self, node: _Node, *, most: float, units: float = _FINISH) -> None:
        words, origin = ", ".join(node.words), (node, most)

        def named(last: str) -> str:
            return f"{words}, {last}" if words else last

        @functools.cache  # of a candidate that was kept nothing is made again
        def whole() -> Made:
            return shipped(node.shaped(), self._task)

        if words and self._fast:
            self._try(words, node.untouched, whole, origin=origin)
        if (self._fast or not words) and self._is_quantisable:
            self._try(
                named("int8"),
                node.untouched,
                lambda: eight_bits(whole(), self._feed),
                origin=origin,
            )
        if self._sized:

            def share() -> Made:
                folded = fold(node.shaped(), self._first)
                bears = self.found if not words else sensitivity(folded.network, self._task)
                train = partial(
                    self._train,
                    units=units,
                    recipe=folded.base.recipe,
                    name=f"{words}/shared",
                )
                return shipped(share_values(folded, bears, most, train), self._task)

            self._try(named("shared values"), node.untouched, share, origin=origin, units=units)

    def _try(
        self,
        passes: str,
        untouched: Mapping[str, str],
        make: Callable[[], Made],
        *,
        origin: tuple[_Node, float],
        units: float = 0.0,
    ) -> None:
        place = self._place("candidates")
        tried = read_tried(place)
        if tried is None:
            made = make()
            tried = self._bench.measure(
                made, place, passes=passes, untouched=untouched, spent=self._train.spent
            )
            size = format_value(tried.size, "bytes")
            text = f"{passes}: {size}, validation score {tried.score:.4f}"
            self._journal.record("compressed", text=text, number=len(self.tried))
        else:
            self._train.skip(units)
        self._train.spent = tried.spent
        self.tried.append(tried)
        self._origins.append(origin)

    def _place(self, kind: str) -> Path:
        number = self._numbers[kind]
        self._numbers[kind] += 1
        return self._folder / kind / f"{number:03d}"

    def _holds(self, tried: Tried) -> bool:
        # What is demanded of the answers, at the measured value; if nothing is, a small loss.
        asked = self._answers(tried)
        if not asked:
            return self._lost(tried) <= _LOST / 2
        return all(r.holds(measured.value) for r, measured in asked)

    def _is_broken(self, tried: Tried) -> bool:
        asked = self._answers(tried)
        if not asked:
            return self._lost(tried) > _LOST
        return any(r.judge(measured).verdict == "broken" for r, measured in asked)

    def _is_enough(self, tried: Tried) -> bool:
        costs = [r for r in self._requirements if r.quantity in COSTS]
        found = [r.judge(tried.measurements[r.text]).verdict for r in costs]
        return bool(found) and set(found) == {"met"}

    def _answers(self, tried: Tried) -> list[tuple[Requirement, Measurement]]:
        return [
            (r, tried.measurements[r.text])
            for r in self._requirements
            if r.quantity not in COSTS and r.text in tried.measurements
        ]

    def _lost(self, tried: Tried) -> float:
        before, kind = self.tried[0].score, self._schema.target.kind
        worse = before - tried.score
        if not higher_is_better(self._schema.target.metric):
            worse = -worse
        return worse if kind in ("class", "labels") else worse / max(abs(before), 1e-12)
