"""D3: cells found by gradient descent, and the ranking that shared weights give.

Digits are learned from 600 of their rows; the others measure. DARTS searches a space of cells, and
what it finds is trained again from nothing, as are random cells of the same space. Each of five
seeds has its own search, rows, weights and random cells. The random cells of all seeds are also
ranked by weights that all networks of the space share (ENAS).
"""

import math
import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from netwright import _rng
from netwright.data import Schema, TensorSplit, load
from netwright.design import build_network
from netwright.design.spaces import CellSpace, Code, cell_space
from netwright.design.strategies import Searched, darts, share_weights
from netwright.finding import Finding, Judgement, Lines, Measurement, Points, Series, Table
from netwright.learn import fit
from netwright.measure import parameters

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "D3"
TITLE = "Differentiable search (DARTS) and weight sharing (ENAS) over cells"
BAR = (
    "over 5 seeds the mean gain of the genotype of DARTS, trained again, over the median random "
    "genotype is above the gain's standard deviation; Kendall's tau between the ranking by shared "
    "weights and by stand-alone training is above 0, p < 0.05"
)
_OPERATIONS = ("identity", "avgpool3x3", "conv1x1", "conv3x3")
_SEEDS = 5
_N_TRAIN = 600


@dataclass(frozen=True, slots=True)
class _Effort:
    # How long everything is trained, and how many random cells a seed has.
    n_nodes: int
    order: int
    search: int
    sharing: int
    alone: int
    n_random: int


_QUICK = _Effort(n_nodes=2, order=1, search=80, sharing=1000, alone=100, n_random=4)
_FULL = _Effort(n_nodes=4, order=2, search=600, sharing=10_000, alone=600, n_random=10)


@dataclass(frozen=True, slots=True)
class _Outcome:
    # Of one seed: accuracies, shares of one.
    found: Searched
    accuracy: float
    random: tuple[tuple[Code, float], ...]
    n_parameters: int
    random_parameters: int  # median

    @property
    def gain(self) -> float:
        return self.accuracy - statistics.median(a for _, a in self.random)


def run(*, full: bool, seed: int) -> Finding:
    """Search, train again, and compare with random cells; rank these by shared weights too.

    Args:
        full: cells of four nodes, second order and longer training instead of two nodes and first.
        seed: of everything.

    Returns:
        The mean gain of the genotype over the median random one; the accuracies of each seed; both
        rankings of the random cells with Kendall's tau.
    """
    from scipy.stats import kendalltau

    began = time.monotonic()
    effort = _FULL if full else _QUICK
    schema, x, y = _rows(seed)
    space = cell_space(schema, n_nodes=effort.n_nodes, operations=_OPERATIONS)
    outcomes = [_outcome(space, schema, x, y, effort, _seed(seed, i)) for i in range(_SEEDS)]
    train, _ = _split(x, y, _seed(seed, 0))
    shared = share_weights(
        space, train, schema=schema, steps=effort.sharing, seed=_seed(seed, 0), rate=0.2,
        batch_size=32, controller_rate=0.0,
    )  # fmt: skip
    ranked = [(code, accuracy) for o in outcomes for code, accuracy in o.random]
    losses = [shared.loss(code) for code, _ in ranked]
    tau, p = map(float, kendalltau([-loss for loss in losses], [a for _, a in ranked]))
    gains = [o.gain for o in outcomes]
    mean, deviation = statistics.mean(gains), statistics.stdev(gains)
    beats = mean > deviation
    agrees = tau > 0 and p < 0.05
    summary = (
        f"The genotype of DARTS, trained again, beats the median random genotype by "
        f"{100 * mean:.1f} points, standard deviation {100 * deviation:.1f}, over {_SEEDS} seeds "
        f"({'more' if beats else 'not more'} than it). Kendall's tau of the shared-weights ranking "
        f"of {len(ranked)} cells with the stand-alone one: {tau:.2f} (p = {p:.2g})."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=_gain(gains),
        requirement=BAR,
        judgement=Judgement("met" if beats and agrees else "broken", summary),
        evidence=(
            _table(outcomes),
            _rankings(losses, [accuracy for _, accuracy in ranked], tau),
            _weights(outcomes[0].found),
            _genotypes(space, outcomes),
        ),
        seconds=time.monotonic() - began,
    )


def _seed(seed: int, place: int) -> int:
    return _rng.child_seed(seed, f"claims/d3/{place}")


def _rows(seed: int) -> tuple[Schema, Tensor, Tensor]:
    # All rows of digits: the claim makes its own splits.
    task = load("digits", seed=seed)
    splits = (task.train, task.validation, task.calibration, task.test.open(f"claim {ID}"))
    x = torch.cat([s.take(torch.arange(len(s))) for s in splits])
    return task.schema, x, torch.cat([s.y for s in splits])


def _split(x: Tensor, y: Tensor, seed: int) -> tuple[TensorSplit, TensorSplit]:
    order = torch.randperm(len(y), generator=_rng.child(seed, "rows"))
    train, rest = order[:_N_TRAIN], order[_N_TRAIN:]
    return TensorSplit(x[train], y[train], train), TensorSplit(x[rest], y[rest], rest)


def _outcome(
    space: CellSpace, schema: Schema, x: Tensor, y: Tensor, effort: _Effort, seed: int
) -> _Outcome:
    splits = _split(x, y, seed)
    found = darts(
        space, splits[0], schema=schema, steps=effort.search, seed=seed, order=effort.order,
        batch_size=32,
    )  # fmt: skip
    draws = _rng.child(seed, "random cells")
    codes = [
        tuple(int(torch.randint(len(d.options), (), generator=draws)) for d in space.decisions)
        for _ in range(effort.n_random)
    ]
    alone = [_alone(space, schema, splits, code, effort.alone, seed) for code in codes]
    accuracy = _alone(space, schema, splits, found.code, effort.alone, seed)
    sizes = [_size(space, schema, code) for code in (found.code, *codes)]
    return _Outcome(
        found,
        accuracy,
        tuple(zip(codes, alone, strict=True)),
        sizes[0],
        round(statistics.median(sizes[1:])),
    )


def _size(space: CellSpace, schema: Schema, code: Code) -> int:
    return parameters(build_network(space.design(code), schema, seed=0))


def _alone(
    space: CellSpace,
    schema: Schema,
    splits: tuple[TensorSplit, TensorSplit],
    code: Code,
    steps: int,
    seed: int,
) -> float:
    train, rest = splits
    design = space.design(code)
    network = build_network(design, schema, seed=_rng.child_seed(seed, "weights"))
    # Weights are chosen by the training rows: those that measure are not looked at.
    fit(
        network, train, train, target=schema.target, recipe=design.recipe, steps=steps, seed=seed,
        device="cpu",
    )  # fmt: skip
    with torch.no_grad():
        return (network(rest.x).argmax(dim=1) == rest.y).double().mean().item()


def _gain(gains: list[float]) -> Measurement:
    from scipy.stats import t

    n, mean = len(gains), statistics.mean(gains)
    reach = float(t.ppf(0.975, n - 1)) * statistics.stdev(gains) / math.sqrt(n)
    return Measurement(
        mean, mean - reach, mean + reach, n, method="t, paired", note="gain in accuracy"
    )


def _table(outcomes: list[_Outcome]) -> Table:
    rows = []
    for number, o in enumerate(outcomes):
        others = sorted(a for _, a in o.random)
        rows.append(
            (
                number,
                round(100 * o.accuracy, 1),
                round(100 * statistics.median(others), 1),
                round(100 * others[0], 1),
                round(100 * others[-1], 1),
                round(100 * o.gain, 1),
                o.n_parameters,
                o.random_parameters,
            )
        )
    columns = ("seed", "DARTS, %", "random, median", "least", "most", "gain", "parameters")
    columns += ("random, parameters",)
    return Table(f"Accuracy on rows held out, {_N_TRAIN} rows to learn from", columns, tuple(rows))


def _genotypes(space: CellSpace, outcomes: list[_Outcome]) -> Table:
    rows = tuple((i, space.design(o.found.code).name) for i, o in enumerate(outcomes))
    return Table("What DARTS found", ("seed", "genotype"), rows)


def _rankings(losses: list[float], accuracies: list[float], tau: float) -> Points:
    points = Series("random cells", tuple(losses), tuple(100 * a for a in accuracies))
    return Points(
        f"Shared weights against stand-alone training (Kendall's tau {tau:.2f})",
        "loss with shared weights, nats",
        "accuracy, trained alone, %",
        (points,),
    )


def _weights(found: Searched) -> Lines:
    """How the weights of the operations on one edge moved, in the first seed's search."""
    steps = tuple(float(step) for step, _ in found.moments)
    kind = next(iter(found.moments[0][1]))
    names = (*_OPERATIONS, "none")
    series = tuple(
        Series(name, steps, tuple(shares[kind][0][place] for _, shares in found.moments))
        for place, name in enumerate(names)
    )
    return Lines(
        f"Weights of the operations, first edge of the {kind} cell", "step", "weight", series
    )
