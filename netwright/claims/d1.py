"""D1: an RNN controller with REINFORCE against random search, at equal numbers of trained children.

Both search the table of all tiny cells (`benchmarks/tabular.py`), so that the truth about every
child is known: its mean accuracy over all trainings in the table. A search sees one training of a
child. The strategies have their default settings; none was tuned on this table.
"""

import statistics
import time
from collections.abc import Sequence

from netwright.claims._paired import p_value, paired
from netwright.claims._tiny_cells import Step, best_so_far, incumbents, search, space, trained
from netwright.design.strategies import Moment, RandomCodes, Reinforce
from netwright.finding import Cell, Evidence, Finding, Judgement, Lines, Measurement, Series, Table

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "D1"
TITLE = "Macro search: an RNN controller with REINFORCE against random search"
BAR = (
    "at equal numbers of trained children the controller's best and the mean of its last quarter "
    "beat random search's, with the whole 95 % interval of the paired difference"
)
_CHILDREN = 120  # a tenth of all designs
_QUICK, _FULL = 20, 100  # seeds


def run(*, full: bool, seed: int) -> Finding:
    """Search the table with the controller and at random, with many seeds.

    Args:
        full: 100 seeds instead of 20.
        seed: the first of them.

    Returns:
        The difference between the means of the last quarters; both differences with intervals and
        p-values; both searches child by child; the controller's probabilities over time.
    """
    began = time.monotonic()
    seeds = range(seed, seed + (_FULL if full else _QUICK))
    controlled, by_chance, moments = [], [], ()
    for each in seeds:
        controller = Reinforce(space(), n_candidates=_CHILDREN, seed=each)
        controlled.append(search(controller, seed=each))
        moments = moments or controller.history
        chance = RandomCodes(space(), n_candidates=_CHILDREN, seed=each)
        by_chance.append(search(chance, seed=each))
    figures = {
        "best child": (_bests(controlled), _bests(by_chance)),
        "mean of the last quarter": (_late(controlled), _late(by_chance)),
    }
    gains = {name: paired(ours, theirs) for name, (ours, theirs) in figures.items()}
    good = all(gain.low > 0 for gain in gains.values())
    best, late = gains.values()
    summary = (
        f"With {_CHILDREN} children each, over {len(seeds)} seeds, the controller's best is "
        f"{_points(best)} points more accurate than random search's, and its last quarter "
        f"{_points(late)} points in the mean."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=late,
        requirement=BAR,
        judgement=Judgement("met" if good else "broken", summary),
        evidence=(_table(figures, gains), *_charts(controlled, by_chance), *_pictures(moments)),
        seconds=time.monotonic() - began,
    )


def _bests(searches: Sequence[Sequence[Step]]) -> list[float]:
    return [incumbents(steps)[-1] for steps in searches]


def _late(searches: Sequence[Sequence[Step]]) -> list[float]:
    return [
        statistics.mean(step.truth for step in steps[-(len(steps) // 4) :]) for steps in searches
    ]


def _points(gain: Measurement) -> str:
    return f"{100 * gain.value:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"


def _table(figures, gains) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, (ours, theirs) in figures.items():
        gain = gains[name]
        rows.append(
            (
                name,
                round(100 * statistics.mean(ours), 2),
                round(100 * statistics.mean(theirs), 2),
                *(round(100 * v, 2) for v in (gain.value, gain.low, gain.high)),
                sum(a > b for a, b in zip(ours, theirs, strict=True)),
                float(f"{p_value(ours, theirs):.2g}"),
            )
        )
    best = max(design.accuracy for design in trained().values())
    title = (
        f"Accuracy in % over {gains['best child'].n} paired seeds, {_CHILDREN} children each; the "
        f"best of all {len(trained())} designs has {100 * best:.2f}"
    )
    columns = ("of", "controller", "random", "difference", "low", "high", "seeds won", "p")
    return Table(title, columns, tuple(rows))


def _charts(controlled, by_chance) -> tuple[Lines, Lines]:
    numbers = tuple(float(k + 1) for k in range(_CHILDREN))
    searches = {"controller": controlled, "random": by_chance}
    series = []
    for name, each in searches.items():
        columns = zip(*([step.truth for step in steps] for steps in each), strict=True)
        means = tuple(100 * statistics.mean(column) for column in columns)
        series.append(Series(name, numbers, means))
    children = Lines("Each child", "trained children", "accuracy, %", tuple(series))
    return best_so_far(searches), children


def _pictures(moments: Sequence[Moment]) -> tuple[Evidence, ...]:
    told = tuple(float(m.n_told) for m in moments)
    entropy = Lines(
        "The controller's entropy in the first search",
        "trained children",
        "nats",
        (Series("entropy of a code", told, tuple(m.entropy for m in moments)),),
    )
    charts: list[Evidence] = [entropy]
    for place, decision in enumerate(space().decisions):
        chances = tuple(
            Series(str(option), told, tuple(m.probabilities[place][k] for m in moments))
            for k, option in enumerate(decision.options)
        )
        title = f"What the controller decides in the first search: {decision.name}"
        charts.append(Lines(title, "trained children", "probability", chances))
    return tuple(charts)
