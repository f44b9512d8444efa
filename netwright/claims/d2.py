"""D2: progressive search with a learned surrogate needs a third of the controller's children.

Both search the table of all tiny cells (`benchmarks/tabular.py`), as in D1, with their default
settings. What is compared is the network that looks best to a search after one training of each
child. With 150 children the controller has tried the table's best network nearly always; then only
the luck of that one training is left to tell searches apart. So fewer children are printed besides,
and how often each search tried the best network.
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
_CHILDREN = (60, 90, 150)  # of the controller; the last is judged
_QUICK, _FULL = 20, 100  # seeds

Searches = dict[str, list[list[Step]]]


def run(*, full: bool, seed: int) -> Finding:
    """Search the table with the controller, and with a third of the children progressively.

    Args:
        full: 100 seeds instead of 20.
        seed: the first of them.

    Returns:
        The difference between the best children; a table for each number of children, with random
        search at a third besides; the best child so far by number of children.
    """
    began = time.monotonic()
    seeds = range(seed, seed + (_FULL if full else _QUICK))
    found = {children: _searches(children, seeds) for children in _CHILDREN}
    last = _CHILDREN[-1]
    gain = _gain(found[last])
    needed = _needed(found[last]["progressive"], statistics.mean(_bests(found[last], "controller")))
    at = f"{needed} children" if needed is not None else "no number of children tried"
    fewer = "; ".join(
        f"with {children // 3} from {children} {_points(_gain(searches))}"
        for children, searches in found.items()
        if children != last
    )
    summary = (
        f"Progressive search with {last // 3} children ends {_points(gain)} points from the "
        f"controller with {last}, over {len(seeds)} seeds ({fewer}); of the searches "
        f"{100 * _tried(found[last], 'progressive'):.0f} % tried the table's best network, of the "
        f"controller's {100 * _tried(found[last], 'controller'):.0f} %. In the mean it reaches the "
        f"controller's best with {at}."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=gain,
        requirement=BAR,
        judgement=Judgement(_verdict(gain), summary),
        evidence=(_table(found), best_so_far(found[last])),
        seconds=time.monotonic() - began,
    )


def _searches(children: int, seeds: Sequence[int]) -> Searches:
    found: Searches = {"controller": [], "progressive": [], "random": []}
    for each in seeds:
        for name, strategy in (
            ("controller", Reinforce(space(), n_candidates=children, seed=each)),
            ("progressive", Progressive(space(), n_candidates=children // 3, seed=each)),
            ("random", RandomCodes(space(), n_candidates=children // 3, seed=each)),
        ):
            found[name].append(search(strategy, seed=each))
    return found


def _bests(searches: Searches, name: str) -> list[float]:
    return [incumbents(steps)[-1] for steps in searches[name]]


def _gain(searches: Searches, name: str = "progressive") -> Measurement:
    return paired(_bests(searches, name), _bests(searches, "controller"))


def _tried(searches: Searches, name: str) -> float:
    """Return the share of the searches that trained the best network there is."""
    top = _top()
    return statistics.mean(any(step.truth == top for step in each) for each in searches[name])


def _top() -> float:
    return max(design.accuracy for design in trained().values())


def _points(gain: Measurement) -> str:
    return f"{100 * gain.value:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"


def _verdict(gain: Measurement) -> Verdict:
    if gain.value >= 0:
        return "met"
    return "undecided" if gain.high >= 0 else "broken"


def _needed(searches: Sequence[Sequence[Step]], target: float) -> int | None:
    """Return the first number of children at which the mean of the best reaches a target."""
    curves = zip(*(incumbents(steps) for steps in searches), strict=True)
    means = [statistics.mean(column) for column in curves]
    return next((place + 1 for place, mean in enumerate(means) if mean >= target), None)


def _table(found: dict[int, Searches]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for children, searches in found.items():
        for name in searches:
            mean, gain = statistics.mean(_bests(searches, name)), _gain(searches, name)
            rows.append(
                (
                    name,
                    children if name == "controller" else children // 3,
                    round(100 * mean, 2),
                    round(100 * (_top() - mean), 2),
                    round(100 * _tried(searches, name)),
                    *(round(100 * v, 2) + 0.0 for v in (gain.value, gain.low, gain.high)),
                )
            )
    columns = ("search", "children", "best", "regret", "tried best", "less controller's", "low",
               "high")  # fmt: skip
    n_seeds = len(next(iter(found.values()))["random"])
    title = (
        f"Accuracy of the best child over {n_seeds} seeds, in % and points; searches that tried "
        "the best network of the table, in %"
    )
    return Table(title, columns, tuple(rows))
