"""D2: progressive search with a learned surrogate needs a third of the controller's children.

Both search the table of all tiny cells (`benchmarks/tabular.py`), as in D1, with their default
settings.
"""

import statistics
import time
from collections.abc import Sequence

from netwright.claims._paired import paired
from netwright.claims._tiny_cells import Step, best_so_far, incumbents, search, space, trained
from netwright.design.strategies import Progressive, RandomCodes, Reinforce
from netwright.finding import Cell, Finding, Judgement, Measurement, Table, Verdict

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "D2"
TITLE = "Progressive search (PNAS) with a surrogate against the RNN controller"
BAR = (
    "with a third of the children its best is at least as accurate as the controller's, in the "
    "mean over paired seeds; undecided if it is less by no more than the 95 % interval"
)
_CHILDREN = 150  # of the controller
_QUICK, _FULL = 20, 100  # seeds


def run(*, full: bool, seed: int) -> Finding:
    """Search the table with the controller, and with a third of the children progressively.

    Args:
        full: 100 seeds instead of 20.
        seed: the first of them.

    Returns:
        The difference between the best children; a table of all, with random search at a third
        besides; the best child so far by number of children.
    """
    began = time.monotonic()
    seeds = range(seed, seed + (_FULL if full else _QUICK))
    third = _CHILDREN // 3
    searches: dict[str, list[list[Step]]] = {"controller": [], "progressive": [], "random": []}
    for each in seeds:
        for name, strategy in (
            ("controller", Reinforce(space(), n_candidates=_CHILDREN, seed=each)),
            ("progressive", Progressive(space(), n_candidates=third, seed=each)),
            ("random", RandomCodes(space(), n_candidates=third, seed=each)),
        ):
            searches[name].append(search(strategy, seed=each))
    bests = {name: [incumbents(steps)[-1] for steps in each] for name, each in searches.items()}
    gain = paired(bests["progressive"], bests["controller"])
    needed = _needed(searches["progressive"], statistics.mean(bests["controller"]))
    at = f"{needed} children" if needed is not None else "no number of children tried"
    summary = (
        f"Progressive search with {third} children ends "
        f"{100 * gain.value:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}] points from the "
        f"controller with {_CHILDREN}, over {len(seeds)} seeds; in the mean it reaches the "
        f"controller's best with {at}."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=gain,
        requirement=BAR,
        judgement=Judgement(_verdict(gain), summary),
        evidence=(_table(bests), best_so_far(searches)),
        seconds=time.monotonic() - began,
    )


def _verdict(gain: Measurement) -> Verdict:
    if gain.value >= 0:
        return "met"
    return "undecided" if gain.high >= 0 else "broken"


def _needed(searches: Sequence[Sequence[Step]], target: float) -> int | None:
    """Return the first number of children at which the mean of the best reaches a target."""
    curves = zip(*(incumbents(steps) for steps in searches), strict=True)
    means = [statistics.mean(column) for column in curves]
    return next((place + 1 for place, mean in enumerate(means) if mean >= target), None)


def _table(bests: dict[str, list[float]]) -> Table:
    top = max(design.accuracy for design in trained().values())
    rows: list[tuple[Cell, ...]] = []
    for name, found in bests.items():
        gain = paired(found, bests["controller"])
        rows.append(
            (
                name,
                _CHILDREN if name == "controller" else _CHILDREN // 3,
                round(100 * statistics.mean(found), 2),
                round(100 * (top - statistics.mean(found)), 2),
                *(round(100 * v, 2) + 0.0 for v in (gain.value, gain.low, gain.high)),
            )
        )
    columns = ("search", "children", "best, %", "regret, points", "less controller", "low", "high")
    title = f"Accuracy of the best child over {len(bests['random'])} seeds, in % and points"
    return Table(title, columns, tuple(rows))
