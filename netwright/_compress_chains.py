"""What each chain of passes does to a network, ever stronger."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from netwright._compress_passes import (
    AlreadyThere,
    CannotCut,
    TooFew,
    cut_zeros,
    lower_ranks,
    strengths,
    thin,
)
from netwright._compress_sensitivity import CHANNELS, Sensitivity, channels_setting
from netwright._compress_shape import Shaped, fold
from netwright._compress_students import study
from netwright._compress_training import Retraining
from netwright._journal import Journal
from netwright.compress import kept
from netwright.data import Task
from netwright.measure import macs
from netwright.requirement import Requirement

__all__ = ["CUT", "Chains", "Cutter", "Cutting", "Step"]

LEVELS = (0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08)  # score that one layer may cost, untrained
AGAIN = (0.01, 0.03, 0.08)  # the same for zeros in a network that has been cut already
RANK_LEVELS = (0.005, 0.02, 0.08)
SHARES = (0.7, 0.5, 0.35, 0.25)  # of the multiply-accumulates, that stay
CUT, _STUDY = 2.0, 12.0  # parts of the budget; a student begins with nothing
_CLOSE = 0.85  # of the weights that the strength before left: what leaves more is passed over
_SHY = 0.08  # score that a quarter of a layer's channels costs alone: they go last
_MILDEST = channels_setting(CHANNELS[0])

Cutting = tuple[Shaped, Mapping[str, str], str]
"""What is left, what was left alone and why, and what was done, in words."""

Cutter = Callable[[Shaped, str], Cutting]
"""Takes a network and the name of the training."""

_Shares = Mapping[str, float]  # for weights or layers, how much of each stays


@dataclass(frozen=True)
class Step:
    """One strength of a chain.

    Attributes:
        most: score that a layer alone may cost, by which the values of what is left are shared.
        units: of the plan, for its training.
        left: share of the weights that stays, where it is known before.
        cut: makes and trains the network.
    """

    most: float
    units: float
    left: float | None
    cut: Cutter


class Chains:
    """The chains of one compression."""

    def __init__(
        self,
        before: Shaped,
        task: Task,
        requirements: Sequence[Requirement],
        *,
        train: Retraining,
        folder: Path,
        journal: Journal,
        seed: int,
        fast: bool,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            before: the network before.
            task: supplies rows.
            requirements: what is demanded.
            train: trains what was cut, and teaches students.
            folder: keeps what students have learned.
            journal: is told of students.
            seed: of the search for students.
            fast: whether networks must be cheap, and not only small.
        """
        self._task, self._requirements = task, requirements
        self._train, self._folder, self._journal = train, folder, journal
        self._seed, self._fast = seed, fast
        self._first = task.validation.take(range(min(32, len(task.validation))))
        self._whole = max(1.0, macs(before.network, self._first[:1]).macs_per_example)

    @property
    def mild(self) -> float:
        """Score that a layer alone may cost where little is wanted of it."""
        return LEVELS[min(1, len(LEVELS) - 1)]

    def planned(
        self, order: tuple[str, ...], found: Sensitivity
    ) -> list[tuple[float, float | None]]:
        """Say what strengths a chain will have, as far as that is known before it begins.

        Args:
            order: names of chains; the last is planned.
            found: what each layer of the network before bears.

        Returns:
            For each its part of the plan, and the share of the weights that stays.
        """
        if len(order) == 1:
            return [(step.units, step.left) for step in self.steps(order, found)]
        return [(CUT, None)] * len(RANK_LEVELS if order[-1] == "ranks" else AGAIN)

    def steps(self, order: tuple[str, ...], found: Sensitivity) -> Iterator[Step]:
        """List the strengths of a chain.

        Args:
            order: names of chains; the last is meant.
            found: what each layer of the network bears that it begins with.
        """
        if order[-1] == "students":
            yield Step(_middle(), _STUDY, None, self._study)
        elif order[-1] == "channels":
            shy = {n for n, losses in found.channels.items() if losses[_MILDEST] > _SHY}
            shy = {name for names in shy for name in names.split(", ")}
            for share in self._shares():
                yield Step(_middle(), CUT, None, partial(self._thin, share=share, shy=shy))
        else:
            yield from self._by_layer(order, found)

    def longer(self, units: float) -> Cutter:
        """Return what trains a network that was cut already; its zeros stay.

        Args:
            units: of the plan, for the training.
        """

        def train(shaped: Shaped, name: str) -> Cutting:
            counts = kept(shaped.network).layers
            keep = {n: left / total for n, (left, total) in counts.items() if 0 < left < total}
            recipe = shaped.base.recipe
            training = partial(self._train, units=units, recipe=recipe, name=name)
            if keep:
                return cut_zeros(shaped, keep, training), {}, "longer training"
            network = copy.deepcopy(shaped.network)
            training(network)
            return replace(shaped, network=network), {}, "longer training"

        return train

    def _shares(self) -> tuple[float, ...]:
        """Strengths of the channels' chain; a bound on multiply-accumulates is met exactly."""
        bounds = [r.bound for r in self._requirements if r.quantity == "macs"]
        target = 0.99 * min(bounds, default=0) / self._whole
        if not 0 < target < 1:
            return SHARES if self._fast else SHARES[::2]
        return (*(share for share in SHARES if share > 1.1 * target), target)

    def _by_layer(self, order: tuple[str, ...], found: Sensitivity) -> Iterator[Step]:
        ranks, last = order[-1] == "ranks", math.inf
        levels = RANK_LEVELS if ranks else LEVELS if len(order) == 1 else AGAIN
        whole = {n: why for n, why in found.whole.items() if ranks and why.startswith("not fact")}
        for most in levels:
            chosen, untouched = strengths(found, most, settings="ranks" if ranks else "zeros")
            owners = {name: name.removesuffix(".weight") if ranks else name for name in found.sizes}
            left = sum(n * chosen.get(owners[name], 1.0) for name, n in found.sizes.items())
            left /= max(1, sum(found.sizes.values()))
            if left > _CLOSE * last:
                continue  # layers bear hardly more at this level than at the one before
            last = left
            press = self._lower if ranks else self._prune
            cut = partial(press, chosen=chosen, untouched=untouched | whole)
            yield Step(most, CUT, None if ranks else left, cut)

    def _study(self, shaped: Shaped, name: str) -> Cutting:
        student = study(
            shaped,
            self._task,
            self._requirements,
            train=self._train,
            units=_STUDY,
            folder=self._folder / "students",
            journal=self._journal,
            name=name,
            seed=self._seed,
        )
        return student, {}, f"student ({student.base.name}) of the network before"

    def _thin(self, shaped: Shaped, name: str, share: float, shy: set[str]) -> Cutting:
        now = macs(shaped.network, self._first[:1]).macs_per_example
        if not now:
            raise CannotCut("It has no multiply-accumulates that channels could save.")
        if share * self._whole >= now:
            raise AlreadyThere(f"{100 * share:.0f} % of the multiply-accumulates are there.")
        try:
            made, untouched = thin(
                shaped, self._task, share=share * self._whole / now, shy=shy.__contains__
            )
        except TooFew as error:
            raise CannotCut(
                f"Fewer channels do not lead to {100 * share:.0f} % of the multiply-accumulates."
            ) from error
        self._train(made.network, CUT, recipe=shaped.base.recipe, name=name)
        return made, untouched, f"channels to {100 * share:.0f} % of the MACs, trained"

    def _lower(
        self, shaped: Shaped, name: str, chosen: _Shares, untouched: Mapping[str, str]
    ) -> Cutting:
        made = lower_ranks(shaped, chosen)
        counts = [sum(p.numel() for p in s.network.parameters()) for s in (shaped, made)]
        self._train(made.network, CUT, recipe=shaped.base.recipe, name=name)
        share = 100 * counts[1] / counts[0]
        return made, untouched, f"lower ranks to {share:.0f} % of the parameters, trained"

    def _prune(
        self, shaped: Shaped, name: str, chosen: _Shares, untouched: Mapping[str, str]
    ) -> Cutting:
        if not chosen:
            raise CannotCut("No weight bears that a fifth of it is zero.")
        training = partial(self._train, units=CUT, recipe=shaped.base.recipe, name=name)
        made = cut_zeros(fold(shaped, self._first), chosen, training)
        return made, untouched, f"pruned to {100 * kept(made.network).share:.0f} %, trained"


def _middle() -> float:
    return LEVELS[min(2, len(LEVELS) - 1)]
