"""How good a candidate is to a search: requirements first, then the metric."""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netwright.design._ranking import higher_is_better, shortfall
from netwright.finding import Measurement
from netwright.requirement import Requirement

__all__ = ["Fitness", "fitness", "standings"]


@dataclass(frozen=True, slots=True, order=True)
class Fitness:
    """What a candidate is compared by; less is better, `missed` before `loss`.

    Attributes:
        missed: sum of what it falls short of each requirement, as `shortfall` counts it; 0 if all
            hold, infinite for a training that failed.
        loss: the metric, negated where more is better; infinite if it was not measured.
    """

    missed: float
    loss: float

    @property
    def is_usable(self) -> bool:
        """Whether the candidate was trained and measured."""
        return math.isfinite(self.missed) and math.isfinite(self.loss)


def fitness(
    measurements: Mapping[str, Measurement], requirements: Sequence[Requirement], metric: str
) -> Fitness:
    """Judge a candidate by its measured values; their intervals are left aside.

    A candidate that was not trained, because a requirement on cost rules it out, is judged by what
    it misses. One that misses nothing and has no metric (it diverged) is worse than all others.

    Args:
        measurements: by requirement text or quantity name; a requirement that is not among them is
            passed over.
        requirements: what the network must meet.
        metric: the quantity that ranks networks.
    """
    missed = sum(
        shortfall(q, measurements[q.text].value) for q in requirements if q.text in measurements
    )
    value = measurements[metric].value if metric in measurements else math.nan
    if not math.isfinite(value):
        return Fitness(missed if missed > 0 else math.inf, math.inf)
    return Fitness(missed, -value if higher_is_better(metric) else value)


def standings(found: Sequence[Fitness], among: Sequence[Fitness]) -> list[float]:
    """Turn fitness into numbers of one scale, whatever the metric and the requirements.

    Args:
        found: whose standing is asked for.
        among: whom they are compared with.

    Returns:
        For each the share of `among` that it beats, equals counted by half; in [0, 1].
    """
    ordered = sorted(among)
    n = max(len(ordered), 1)
    return [
        1 - (bisect.bisect_left(ordered, f) + bisect.bisect_right(ordered, f)) / (2 * n)
        for f in found
    ]
