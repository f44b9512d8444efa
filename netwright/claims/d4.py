"""D4: every strategy on one space and one budget, measured by regret against the true optimum.

All search the table of all tiny cells (`benchmarks/tabular.py`). The budget is counted in full
trainings: a candidate of fidelity 1/3 costs a third, scores of untrained networks nothing. Where
fidelities are not concerned, strategies have their default settings.
"""

import statistics
import time
from collections.abc import Callable, Sequence

from netwright.claims._paired import mean_of, paired
from netwright.claims._tiny_cells import EPOCHS, Step, incumbents, proxy, search, space, trained
from netwright.design import Strategy
from netwright.design.strategies import (
    Asha,
    Bayesian,
    PortfolioEvolution,
    Prefiltered,
    Progressive,
    RandomCodes,
    RegularizedEvolution,
    Reinforce,
)
from netwright.finding import Bars, Cell, Finding, Judgement, Lines, Measurement, Series, Table

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "D4"
TITLE = "One interface: every strategy on one space and one budget"
BAR = (
    "every strategy runs through one interface within one budget; every one that learns ends with "
    "less regret than random search, and at least three with the whole interval of the difference"
)
_BUDGET = 60  # full trainings
_QUICK, _FULL = 20, 100  # seeds


def _asha(seed: int, sampler: Callable[..., Strategy] = RandomCodes) -> Strategy:
    # A third of the budget goes to each of three rungs.
    return Asha(space(), n_candidates=3 * _BUDGET, seed=seed, make_sampler=sampler)


def _portfolio_evolution(seed: int) -> Strategy:
    n_finalists = _BUDGET // 3 - 1
    return PortfolioEvolution(
        space(),
        n_candidates=2 * _BUDGET,  # a third of a training each
        seed=seed,
        explore=2 * _BUDGET / 3,
        compare=n_finalists,
        n_finalists=n_finalists,
    )


def _prefiltered(name: str) -> Callable[[int], Strategy]:
    def make(seed: int) -> Strategy:
        return Prefiltered(space(), n_candidates=_BUDGET, score=proxy(name), seed=seed, n_scored=4)

    return make


_IN_FULL: dict[str, Callable[[int], Strategy]] = {  # every candidate
    "random": lambda seed: RandomCodes(space(), n_candidates=_BUDGET, seed=seed),
    "evolution": lambda seed: RegularizedEvolution(space(), n_candidates=_BUDGET, seed=seed),
    "REINFORCE": lambda seed: Reinforce(space(), n_candidates=_BUDGET, seed=seed),
    "PPO": lambda seed: Reinforce(space(), n_candidates=_BUDGET, seed=seed, clip=0.2),
    "progressive": lambda seed: Progressive(space(), n_candidates=_BUDGET, seed=seed),
    "TPE": lambda seed: Bayesian(space(), n_candidates=_BUDGET, seed=seed),
}
_CHEAPER: dict[str, Callable[[int], Strategy]] = {  # by short trainings or scores
    "ASHA + random": _asha,
    "ASHA + evolution": lambda seed: _asha(seed, RegularizedEvolution),
    "synflow + random": _prefiltered("synflow"),
    "naswot + random": _prefiltered("naswot"),
    "Jacobian + random": _prefiltered("jacobian_covariance"),
    "portfolio evolution": _portfolio_evolution,
}
_STRATEGIES = _IN_FULL | _CHEAPER


def run(*, full: bool, seed: int) -> Finding:
    """Let every strategy search the table within one budget, with many seeds.

    Args:
        full: 100 seeds instead of 20.
        seed: the first of them.

    Returns:
        How many strategies have less regret than random search; the table of all; regret curves;
        what strategies themselves cost.
    """
    began = time.monotonic()
    seeds = range(seed, seed + (_FULL if full else _QUICK))
    best = max(design.accuracy for design in trained().values())
    regrets: dict[str, list[float]] = {}
    curves: dict[str, list[float]] = {}
    children: dict[str, int] = {}
    overhead: dict[str, float] = {}
    for name, make in _STRATEGIES.items():
        start = time.process_time()
        runs = [search(make(each), seed=each) for each in seeds]
        overhead[name] = (time.process_time() - start) / sum(map(len, runs))
        regrets[name] = [best - incumbents(steps)[-1] for steps in runs]
        curves[name] = _curve(runs, best)
        children[name] = len(runs[0])
        assert all(steps[-1].spent <= 1.05 * _BUDGET for steps in runs), name
    gains = {name: paired(regrets["random"], each) for name, each in regrets.items()}
    ahead = [name for name, gain in gains.items() if gain.low > 0]
    learners = [name for name in _STRATEGIES if not name.endswith("random")]  # else from nothing
    behind = [name for name in learners if gains[name].value <= 0]
    leader = min(regrets, key=lambda name: statistics.mean(regrets[name]))
    summary = (
        f"With {_BUDGET} full trainings each, over {len(seeds)} seeds, {len(ahead)} of "
        f"{len(_STRATEGIES) - 1} strategies have less regret than random search with their whole "
        f"interval; the least has {leader}: {100 * statistics.mean(regrets[leader]):.2f} points, "
        f"against {100 * statistics.mean(regrets['random']):.2f}."
    )
    if behind:
        summary += f" No better than random: {', '.join(behind)}."
    good = not behind and len(ahead) >= 3
    n = len(ahead)
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=Measurement(n, n, n, len(seeds), note="strategies surely better than random"),
        requirement=BAR,
        judgement=Judgement("met" if good else "broken", summary),
        evidence=(
            _table(regrets, gains, children, overhead),
            _chart("all candidates trained in full", curves, ("random", *_IN_FULL)),
            _chart("short trainings or scores first", curves, ("random", *_CHEAPER)),
            _bars(regrets),
            _proxies(),
        ),
        seconds=time.monotonic() - began,
    )


def _curve(runs: Sequence[Sequence[Step]], best: float) -> list[float]:
    """Return the mean regret, in points, once each whole training's worth has been spent."""
    at = []
    for budget in range(1, _BUDGET + 1):
        regrets = []
        for steps in runs:
            done = sum(step.spent <= budget + 0.01 for step in steps)
            regrets.append(best - incumbents(steps[: max(1, done)])[-1])
        at.append(100 * statistics.mean(regrets))
    return at


def _table(regrets, gains, children, overhead) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in sorted(regrets, key=lambda name: statistics.mean(regrets[name])):
        regret, gain = mean_of(regrets[name]), gains[name]
        rows.append(
            (
                name,
                children[name],
                round(100 * regret.value, 2),
                _interval(regret),
                round(100 * gain.value, 2) + 0.0,
                _interval(gain),
                sum(r < 1e-9 for r in regrets[name]),
                float(f"{1000 * overhead[name]:.2g}"),
            )
        )
    columns = ("strategy", "tried", "regret", "interval", "less than random's by", "interval",
               "found best", "ms each")  # fmt: skip
    title = (
        f"Regret, in points of accuracy, after {_BUDGET} full trainings, with 95 % intervals over "
        f"{len(regrets['random'])} seeds; in how many of them the best of all {len(trained())} "
        f"designs was found; what the strategy itself costs"
    )
    return Table(title, columns, tuple(rows))


def _interval(measured: Measurement) -> str:
    return f"{100 * measured.low:.2f} to {100 * measured.high:.2f}"


def _chart(which: str, curves: dict[str, list[float]], names: Sequence[str]) -> Lines:
    spent = tuple(float(k) for k in range(1, _BUDGET + 1))
    shown = [name for name in dict.fromkeys(names) if name in curves]
    return Lines(
        f"Regret of the design that looked best so far: {which}",
        "budget spent, in full trainings",
        "regret, points",
        tuple(Series(name, spent, tuple(curves[name])) for name in shown),
        log_y=True,
    )


def _bars(regrets: dict[str, list[float]]) -> Bars:
    names = tuple(sorted(regrets, key=lambda name: statistics.mean(regrets[name])))
    found = [mean_of(regrets[name]) for name in names]
    series = Series(
        "regret",
        names,
        tuple(100 * m.value for m in found),
        tuple(f"{100 * m.value:.2f} ({_interval(m)})" for m in found),
    )
    return Bars("Regret at the end", "strategy", "regret, points", (series,))


def _proxies() -> Table:
    """Say how well cheap scores order the designs."""
    from scipy.stats import kendalltau

    designs = list(trained().values())
    truth = [design.accuracy for design in designs]
    rows: list[tuple[Cell, ...]] = []
    scores = {name: [d.proxies[name] for d in designs] for name in designs[0].proxies}
    scores["parameters"] = [float(d.params) for d in designs]
    for place, epochs in enumerate(EPOCHS[:-1]):
        scores[f"accuracy after {epochs} of {EPOCHS[-1]} epochs"] = [
            statistics.mean(curve[place] for curve in d.curves) for d in designs
        ]
    for name, values in scores.items():
        tau, _ = map(float, kendalltau(values, truth))
        rows.append((name, round(tau, 3)))
    return Table("How cheap scores order all designs", ("score", "Kendall's tau"), tuple(rows))
