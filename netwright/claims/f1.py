"""F1: what is left of LeNet-300-100 when its smallest weights are pruned, in several ways.

Every way keeps as many weights, and takes as many training steps after the first training, but for
the one that takes none.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from netwright import _rng
from netwright.claims._lenets import lenet_300_100, right, train
from netwright.compress import iterate, kept, prune_by_deviation, prune_global, prune_layers
from netwright.data import Split, Task, load
from netwright.finding import Cell, Finding, Judgement, Lines, Measurement, Series, Table
from netwright.learn import Recipe
from netwright.measure import rate_drop

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "F1"
TITLE = "Pruning: LeNet-300-100 with a twelfth of its weights"
BAR = (
    "LeNet-300-100 on mnist keeps at most one weight in 12 with no loss of accuracy beyond the "
    "paired 95 % interval, by iterative magnitude pruning (Han et al. 2015: 12 times)"
)
_TIMES = 12.0
_QUICK, _FULL = (1600, 700), (8000, 2500)  # steps of the first training, and of each part
_STEPS = ((0.25, 1), (0.08, 2))  # the share that is kept, and parts of the training after it
_RECIPE = Recipe()
_AGAIN = replace(_RECIPE, learning_rate=4e-3, weight_decay=0.0)


def run(*, full: bool, seed: int) -> Finding:
    """Train the network, prune it in every way, and compare on the test rows.

    Args:
        full: train five times as long.
        seed: of splits, weights and training.

    Returns:
        The accuracy that iterative pruning loses; each way's loss; accuracy step by step.
    """
    began = time.monotonic()
    task = load("mnist", seed=seed)
    test = task.test.open(f"claim {ID}")
    reference, each = _FULL if full else _QUICK
    with _rng.seeded(_rng.child_seed(seed, "weights")):
        network = lenet_300_100()
    train(network, task, _RECIPE, steps=reference, seed=_rng.child_seed(seed, "reference"))
    before = right(network, test)
    found: dict[str, tuple[nn.Module, Measurement]] = {}
    curve: list[tuple[float, float]] = [(1.0, before.float().mean().item())]
    for name, way in _ways(task, each, seed, test, curve).items():
        pruned = copy.deepcopy(network)
        way(pruned)
        found[name] = (pruned, rate_drop(before, right(pruned, test)))
    best, drop = found["iterative"]
    times = kept(best).total / kept(best).count
    met = times >= _TIMES and drop.low <= 0
    summary = (
        f"Iterative pruning leaves one weight in {times:.1f} and loses {_points(drop)} points of "
        f"accuracy (from {before.float().mean():.2%}); without training in between, "
        f"{_points(found['at once, no training'][1])}."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=drop,
        requirement=BAR,
        judgement=Judgement("met" if met else "broken", summary),
        evidence=(_table(found), _layers(best), _chart(curve)),
        seconds=time.monotonic() - began,
    )


def _ways(
    task: Task, each: int, seed: int, test: Split, curve: list[tuple[float, float]]
) -> dict[str, Callable[[nn.Module], object]]:
    last = _STEPS[-1][0]

    def learn(network: nn.Module, parts: int) -> None:
        train(network, task, _AGAIN, steps=parts * each, seed=_rng.child_seed(seed, "again"))

    def step_by_step(network: nn.Module) -> None:
        parts = iter([parts for _, parts in _STEPS])

        def retrain(pruned: nn.Module) -> None:
            learn(pruned, next(parts))
            curve.append((kept(pruned).share, right(pruned, test).float().mean().item()))

        iterate(network, [partial(prune_global, keep=keep) for keep, _ in _STEPS], retrain)

    def at_once(prune: Callable[[nn.Module], object], network: nn.Module) -> None:
        prune(network)
        learn(network, sum(parts for _, parts in _STEPS))

    def by_deviation(network: nn.Module) -> None:
        # The strength that keeps the same share, by bisection: pruning goes one way only.
        low, high = 0.0, 10.0
        for _ in range(30):
            middle = (low + high) / 2
            trial = copy.deepcopy(network)
            few = prune_by_deviation(trial, strength=middle).share < last
            low, high = (low, middle) if few else (middle, high)
        prune_by_deviation(network, strength=high)

    shares: dict[str, float] = {"1.weight": last, "3.weight": last, "5.weight": last}
    return {
        "iterative": step_by_step,
        "at once": partial(at_once, partial(prune_global, keep=last)),
        "at once, the same share of each layer": partial(
            at_once, partial(prune_layers, keep=shares)
        ),
        "at once, by each layer's deviation": partial(at_once, by_deviation),
        "at once, no training": partial(prune_global, keep=last),
    }


def _points(drop: Measurement) -> str:
    return f"{100 * drop.value:+.2f} [{100 * drop.low:+.2f}, {100 * drop.high:+.2f}]"


def _table(found: dict[str, tuple[nn.Module, Measurement]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            kept(network).count,
            round(kept(network).total / kept(network).count, 1),
            *(round(100 * v, 2) for v in (drop.value, drop.low, drop.high)),
        )
        for name, (network, drop) in found.items()
    ]
    columns = ("pruned", "weights", "times fewer", "points lost", "low", "high")
    return Table("Accuracy lost on the test rows, paired", columns, tuple(rows))


def _layers(network: nn.Module) -> Table:
    rows = tuple(
        (name, n, total, round(100 * n / total, 1))
        for name, (n, total) in kept(network).layers.items()
    )
    return Table("Iterative: what is left", ("weight", "kept", "of", "%"), rows)


def _chart(curve: list[tuple[float, float]]) -> Lines:
    ordered = sorted(curve)
    x, y = (tuple(values) for values in zip(*ordered, strict=True))
    return Lines(
        "Iterative pruning",
        "share of weights kept",
        "test accuracy",
        (Series("after training", x, y),),
        log_x=True,
    )
