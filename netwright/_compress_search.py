"""Which passes make a network small enough: their order, and how strong for each layer.

A chain presses one way, ever stronger, each network trained from the one before: fewer channels, a
lower rank, or zeros. What is demanded decides which chains there are, and which of them go on from
the best network of another. Every network of a chain is finished as far as is asked for: as it is,
in eight bits, with shared values.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from netwright._compress_candidates import COSTS, Bench, Tried, read_tried
from netwright._compress_passes import (
    CannotCut,
    Made,
    cut_zeros,
    eight_bits,
    lower_ranks,
    share_values,
    shipped,
    strengths,
    thin,
)
from netwright._compress_sensitivity import (
    CHANNELS,
    Sensitivity,
    channels_setting,
    sensitivity,
)
from netwright._compress_shape import Shaped, fold, read_shaped, write_shaped
from netwright._compress_training import Retraining, Taught
from netwright._files import write_atomically
from netwright._journal import Journal
from netwright.compress import is_quantisable, kept
from netwright.data import Task
from netwright.finding import Measurement, format_value
from netwright.measure import macs
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

__all__ = ["Search", "orders", "rank"]

LEVELS = (0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08)  # score that one layer may cost, untrained
AGAIN = (0.01, 0.03, 0.08)  # the same for zeros in a network that has been cut already
RANK_LEVELS = (0.005, 0.02, 0.08)
SHARES = (0.7, 0.5, 0.35, 0.25)  # of the multiply-accumulates, that stay
_LOST = 0.05  # score (values: share of the error) beyond which no chain goes, if none is demanded
_SHY = 0.08  # score that a quarter of a layer's channels costs alone: they go last
_CUT, _FINISH = 2.0, 1.0  # parts of the budget


_MILDEST = channels_setting(CHANNELS[0])
_Cutting = tuple[Shaped, Mapping[str, str], str]  # what is left, what was left alone, in words
_Cutter = Callable[[Shaped, str], _Cutting]


@dataclass(frozen=True, eq=False)
class _Node:
    """A network of a chain: trained, its values not shared yet."""

    words: tuple[str, ...]
    untouched: Mapping[str, str]
    shaped: Callable[[], Shaped]


def orders(requirements: Sequence[Requirement]) -> tuple[tuple[str, ...], ...]:
    """Choose which chains are run, and on what.

    Args:
        requirements: what is demanded.

    Returns:
        Each the names of chains, the later on the best network of the earlier. Zeros make files
        small, fewer channels and lower ranks make networks cheap as well.
    """
    asked = {r.quantity for r in requirements} & set(COSTS)
    if not asked or asked == {"size"}:
        return (("zeros",), ("channels",), ("channels", "zeros"), ("ranks",), ("ranks", "zeros"))
    if "size" not in asked:
        return (("channels",), ("ranks",), ("channels", "ranks"))
    return (("channels",), ("channels", "zeros"), ("ranks",), ("channels", "ranks"), ("zeros",))


def rank(tried: Tried, task: Task, requirements: Sequence[Requirement]) -> tuple[float, ...]:
    """Order candidates: broken requirements, undecided ones, then what was left open.

    Args:
        tried: a candidate.
        task: whose metric is the score.
        requirements: what is demanded.

    Returns:
        Smaller is better: among equals what is nearer to the costs that were missed, then the
        better score if a cost was bounded, else the smaller file.
    """
    judged = tried.judge(requirements)
    verdicts = [judgement.verdict for judgement in judged.values()]
    worse = -tried.score if CATALOGUE[task.schema.target.metric].better == "higher" else tried.score
    costs = [r for r in requirements if r.quantity in COSTS]
    missed = [r for r in costs if judged[r.text].verdict == "broken"]
    # Times by turns with one file say more than two times, taken one after the other.
    excess = sum(
        1 / tried.speed.value
        if r.quantity.startswith("latency")
        else tried.measurements[r.text].value / max(r.bound, 1e-12)
        for r in missed
    )
    last = (worse, float(tried.size)) if costs else (float(tried.size), worse)
    return (verdicts.count("broken"), verdicts.count("undecided"), excess, *last)


class Search:
    """A compression under way.

    Attributes:
        tried: all candidates so far, the network as it was first.
        found: what each layer of the network before can bear.
        ended: for chains that ended before their last strength, why.
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
        """
        self._before, self._task, self._requirements = before, task, requirements
        self._bench, self._train, self._feed = bench, train, feed
        self._folder, self._journal = folder, journal
        self._schema, self._base = task.schema, before.shaped.base
        asked = {r.quantity for r in requirements} & set(COSTS)
        self._sized = not asked or "size" in asked
        self._fast = bool(asked - {"size"})
        self._first = task.validation.take(range(min(32, len(task.validation))))
        self._is_quantisable = is_quantisable(before.model)
        self._whole = max(1.0, macs(before.shaped.network, self._first[:1]).macs_per_example)
        self._numbers = {"candidates": 0, "networks": 0}
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
        root = _Node((), {}, lambda: self._before.shaped)
        chosen = orders(self._requirements)
        planned = {order: self._planned(order) for order in chosen}
        self._train.units = _FINISH * self._sized + sum(planned.values())
        self._try("as it was", {}, lambda: self._before)
        self._finish(root, most=LEVELS[min(1, len(LEVELS) - 1)])
        best: dict[tuple[str, ...], _Node | None] = {(): root}
        for order in chosen:
            planned.pop(order)
            start = best.get(order[:-1])
            best[order] = None if start is None else self._chain(order, start)
            self._train.units = sum(planned.values())  # what a chain has left goes to the others

    @property
    def taught(self) -> Taught | None:
        """From what the cut networks learned; None where there was no choice."""
        return self._train.taught

    def _planned(self, order: tuple[str, ...]) -> float:
        each = _CUT + _FINISH * self._sized
        if order[-1] == "zeros":
            return each * len(LEVELS if len(order) == 1 else AGAIN)
        return each * len(self._shares() if order[-1] == "channels" else RANK_LEVELS)

    def _shares(self) -> tuple[float, ...]:
        """Strengths of the channels' chain; a bound on multiply-accumulates is met exactly."""
        bounds = [r.bound for r in self._requirements if r.quantity == "macs"]
        target = 0.99 * min(bounds, default=0) / self._whole
        if not 0 < target < 1:
            return SHARES if self._fast else SHARES[::2]
        return (*(share for share in SHARES if share > 1.1 * target), target)

    def _chain(self, order: tuple[str, ...], start: _Node) -> _Node | None:
        """Press one way, ever stronger; return the smallest network whose answers still hold."""
        kind, found, name = order[-1], self.found, "/".join(order)
        node, best, broken = start, None, 0
        self.ended[name] = "no layer bears even the mildest strength"
        if start.words:
            folded = fold(start.shaped(), self._first)
            found = sensitivity(folded.network, self._task, shapes=kind == "ranks")
        for number, (most, cut) in enumerate(self._cuts(order, found)):
            # Factors are made of the layers that the chain began with, not of factors.
            parent = start if kind == "ranks" else node
            try:
                node = self._node(parent, f"{name}/{number}", cut)
            except CannotCut as error:
                self.ended[name] = str(error)
                break
            self.ended.pop(name, None)
            first = len(self.tried)
            self._finish(node, most=most)
            made = self.tried[first:]
            if any(self._holds(tried) for tried in made):
                best = node
            broken = 0 if any(not self._is_broken(tried) for tried in made) else broken + 1
            if broken == 2:
                self.ended[name] = "the answers were too bad twice in a row"
                break
            if any(self._is_enough(tried) for tried in made):
                self.ended[name] = "the costs that are demanded were reached"
                break
        return best

    def _cuts(self, order: tuple[str, ...], found: Sensitivity) -> Iterator[tuple[float, _Cutter]]:
        """Strengths of a chain: what one layer may cost by itself, and what cuts."""
        if order[-1] == "channels":
            shy = {n for n, losses in found.channels.items() if losses[_MILDEST] > _SHY}
            shy = {name for names in shy for name in names.split(", ")}
            for share in self._shares():
                yield LEVELS[min(2, len(LEVELS) - 1)], partial(self._thin, share=share, shy=shy)
            return
        ranks, last = order[-1] == "ranks", dict[str, float]()
        levels = RANK_LEVELS if ranks else LEVELS if len(order) == 1 else AGAIN
        whole = {n: why for n, why in found.whole.items() if ranks and why.startswith("not fact")}
        for most in levels:
            chosen, untouched = strengths(found, most, settings="ranks" if ranks else "zeros")
            if chosen == last:
                continue  # no layer bears more at this level than at the one before
            last = chosen
            if ranks:
                yield most, partial(self._lower, shares=chosen, untouched=untouched | whole)
            else:
                yield most, partial(self._prune, keep=chosen, untouched=untouched)

    def _thin(self, shaped: Shaped, name: str, share: float, shy: set[str]) -> _Cutting:
        now = macs(shaped.network, self._first[:1]).macs_per_example
        if share * self._whole >= now:
            raise CannotCut(f"{100 * share:.0f} % of the multiply-accumulates are there already.")
        made, untouched = thin(
            shaped, self._task, share=share * self._whole / now, shy=shy.__contains__
        )
        self._train(made.network, _CUT, name=name)
        return made, untouched, f"channels to {100 * share:.0f} % of the MACs, trained"

    def _lower(
        self,
        shaped: Shaped,
        name: str,
        shares: Mapping[str, float],
        untouched: Mapping[str, str],
    ) -> _Cutting:
        made = lower_ranks(shaped, shares)
        counts = [sum(p.numel() for p in s.network.parameters()) for s in (shaped, made)]
        self._train(made.network, _CUT, name=name)
        share = 100 * counts[1] / counts[0]
        return made, untouched, f"lower ranks to {share:.0f} % of the parameters, trained"

    def _prune(
        self,
        shaped: Shaped,
        name: str,
        keep: Mapping[str, float],
        untouched: Mapping[str, str],
    ) -> _Cutting:
        if not keep:
            raise CannotCut("No weight bears that a fifth of it is zero.")
        made = cut_zeros(
            fold(shaped, self._first), keep, partial(self._train, units=_CUT, name=name)
        )
        return made, untouched, f"pruned to {100 * kept(made.network).share:.0f} %, trained"

    def _node(self, parent: _Node, name: str, cut: _Cutter) -> _Node:
        place = self._place("networks")
        path = place / "network.json"
        if not path.is_file():
            shaped, untouched, words = cut(parent.shaped(), name)
            write_shaped(shaped, self._schema, place, shaped.network)
            about = {"words": words, "untouched": dict(untouched), "spent": self._train.spent}
            write_atomically(path, json.dumps(about, indent=1))
        else:
            self._train.skip(_CUT)
        about = json.loads(path.read_text(encoding="utf-8"))
        self._train.spent = about["spent"]
        kind = about["words"].split()[0]  # a stronger cut of the same kind takes its place
        words = tuple(w for w in parent.words if w.split()[0] != kind)
        return _Node(
            (*words, about["words"]),
            {**parent.untouched, **about["untouched"]},
            lambda: read_shaped(place, self._base, self._schema),
        )

    def _finish(self, node: _Node, *, most: float) -> None:
        words = ", ".join(node.words)

        def named(last: str) -> str:
            return f"{words}, {last}" if words else last

        @functools.cache  # of a candidate that was kept nothing is made again
        def whole() -> Made:
            return shipped(node.shaped(), self._task)

        if words and self._fast:
            self._try(words, node.untouched, whole)
        if (self._fast or not words) and self._is_quantisable:
            self._try(named("int8"), node.untouched, lambda: eight_bits(whole(), self._feed))
        if self._sized:

            def share() -> Made:
                folded = fold(node.shaped(), self._first)
                bears = self.found if not words else sensitivity(folded.network, self._task)
                train = partial(self._train, units=_FINISH, name=f"{words}/shared")
                return shipped(share_values(folded, bears, most, train), self._task)

            self._try(named("shared values"), node.untouched, share, units=_FINISH)

    def _try(
        self,
        passes: str,
        untouched: Mapping[str, str],
        make: Callable[[], Made],
        *,
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
        if CATALOGUE[self._schema.target.metric].better == "lower":
            worse = -worse
        return worse if kind in ("class", "labels") else worse / max(abs(before), 1e-12)
