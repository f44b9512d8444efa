"""C3: what each regulariser does, on against off, on one data set small enough to overfit.

Digits with few training examples, some of them labelled wrongly, are learnt by one small
convolutional network, plain and with each regulariser in turn. All variants of a repeat share
training rows, wrong labels, first weights and order of the batches, so that their differences are
paired; repeats differ in all four. Early stopping and the validation rows it needs apart, a variant
sees the training rows only.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from netwright import _rng
from netwright.data import Target, TensorSplit, load
from netwright.finding import Bars, Cell, Finding, Judgement, Measurement, Series, Table
from netwright.learn import Recipe, fit

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "C3"
TITLE = "Regularisation: what each of nine methods does to a network that could overfit"
BAR = (
    "each of the nine, on against off over paired repeats, has its effect on test accuracy and log "
    "loss with a 95 % interval; at least four raise accuracy with their whole interval"
)
_BAR = 4
_QUICK, _FULL = (5, 400), (20, 600)  # repeats, steps
_N_TRAIN = 300
_N_VALIDATION = 100
_P_WRONG = 0.2  # share of training labels that are redrawn
_MEMBERS = 3  # networks in the ensemble
_Figures = tuple[float, float]  # accuracy, log loss
_PLAIN = Recipe(
    learning_rate=3e-3, weight_decay=0.0, schedule="cosine", batch_size=30, clip_norm=0.0
)


@dataclass(frozen=True, slots=True)
class _Variant:
    # What is switched on: in the network, in the recipe, or by the number of networks.
    name: str
    setting: str
    layers: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = _PLAIN
    members: int = 1


@dataclass(frozen=True, slots=True)
class _Effect:
    # Changes against the plain network: of accuracy (a share of one) and of log loss (nats).
    variant: _Variant
    accuracy: Measurement
    log_loss: Measurement


def _with(**changes: Any) -> Recipe:
    return dataclasses.replace(_PLAIN, **changes)


_VARIANTS = (
    _Variant("dropout of elements", "p = 0.5 before the last layer", {"p_element": 0.5}),
    _Variant("dropout of channels", "p = 0.2 after each convolution", {"p_channel": 0.2}),
    _Variant("batch norm", "after each convolution", {"norm": True}),
    _Variant(
        "augmentation",
        "shift by a pixel, rotate, zoom",
        recipe=_with(augment=("shift", "rotate_scale")),
    ),
    _Variant("early stopping", "patience of 2 epochs", recipe=_with(patience=2)),
    _Variant("ensemble", f"{_MEMBERS} networks, mean probability", members=_MEMBERS),
    _Variant("weight decay", "decoupled, 1.0", recipe=_with(weight_decay=1.0)),
    _Variant("label smoothing", "0.2", recipe=_with(label_smoothing=0.2)),
    _Variant("mixup", "alpha = 1", recipe=_with(mixup=1.0)),
)


def run(*, full: bool, seed: int) -> Finding:
    """Train plain and regularised networks on the same few examples, and compare them.

    Args:
        full: 20 repeats of 600 steps instead of 5 of 400.
        seed: of rows, wrong labels, weights and training.

    Returns:
        The number of regularisers whose effect on accuracy is positive with its whole interval; the
        table and chart of all effects.
    """
    began = time.monotonic()
    n_repeats, steps = _FULL if full else _QUICK
    target, x, y = _rows(seed)
    plain: list[_Figures] = []
    found: dict[str, list[_Figures]] = {variant.name: [] for variant in _VARIANTS}
    for repeat in range(n_repeats):
        here = _rng.child_seed(seed, f"claims/c3/{repeat}")
        splits = _split(x, y, here)
        plain.append(_measure(_Variant("", ""), splits, target, steps, here))
        for variant in _VARIANTS:
            found[variant.name].append(_measure(variant, splits, target, steps, here))
    effects = [_effect(variant, plain, found[variant.name]) for variant in _VARIANTS]
    n_good = sum(effect.accuracy.low > 0 for effect in effects)
    best = max(effects, key=lambda effect: effect.accuracy.value)
    summary = (
        f"{n_good} of {len(effects)} regularisers raise accuracy with their whole interval, from "
        f"{_mean(plain, 0):.1%} plain; most of all {best.variant.name}, by "
        f"{100 * best.accuracy.value:.1f} points."
    )
    note = "regularisers whose whole interval lies above zero"
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=Measurement(n_good, n_good, n_good, n_repeats, note=note),
        requirement=BAR,
        judgement=Judgement("met" if n_good >= _BAR else "broken", summary),
        evidence=(_chart(effects, n_repeats), _table(effects, plain)),
        seconds=time.monotonic() - began,
    )


def _rows(seed: int) -> tuple[Target, Tensor, Tensor]:
    # All rows of digits: the claim makes its own splits, many of them.
    task = load("digits", seed=seed)
    splits = (task.train, task.validation, task.calibration, task.test.open(f"claim {ID}"))
    x = torch.cat([s.take(torch.arange(len(s))) for s in splits])
    return task.schema.target, x, torch.cat([s.y for s in splits])


def _split(x: Tensor, y: Tensor, seed: int) -> tuple[TensorSplit, TensorSplit, TensorSplit]:
    generator = _rng.child(seed, "rows")
    order = torch.randperm(len(y), generator=generator)
    wrong = torch.rand(len(y), generator=generator) < _P_WRONG
    redrawn = torch.randint(0, 10, (len(y),), generator=generator)
    sizes = [_N_TRAIN, _N_VALIDATION, len(y) - _N_TRAIN - _N_VALIDATION]
    train, validation, test = order.split(sizes)
    noisy = torch.where(wrong, redrawn, y)
    return (
        TensorSplit(x[train], noisy[train], train),
        TensorSplit(x[validation], noisy[validation], validation),
        TensorSplit(x[test], y[test], test),
    )


def _network(
    seed: int, *, p_element: float = 0.0, p_channel: float = 0.0, norm: bool = False
) -> nn.Module:
    with _rng.seeded(seed):
        layers: list[nn.Module] = []
        for n_in, n_out in ((1, 16), (16, 32)):
            layers.append(nn.Conv2d(n_in, n_out, 3, padding=1))
            layers += [nn.BatchNorm2d(n_out)] if norm else []
            layers += [nn.ReLU(), nn.Dropout2d(p_channel)]
        layers += [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU()]
        return nn.Sequential(*layers, nn.Dropout(p_element), nn.Linear(64, 10))


def _measure(
    variant: _Variant,
    splits: tuple[TensorSplit, TensorSplit, TensorSplit],
    target: Target,
    steps: int,
    seed: int,
) -> _Figures:
    train, validation, test = splits
    probabilities = torch.zeros(len(test), 10)
    for member in range(variant.members):
        network = _network(_rng.child_seed(seed, f"weights/{member}"), **variant.layers)
        fit(
            network,
            train,
            # `fit` may keep an earlier epoch's weights by its validation rows, which is a kind of
            # early stopping: only the variant of that name gets rows that were held out.
            validation if variant.recipe.patience else train,
            target=target,
            recipe=variant.recipe,
            steps=steps,
            seed=_rng.child_seed(seed, f"fit/{member}"),
            device="cpu",
        )
        with torch.no_grad():
            probabilities += network(test.x).softmax(dim=1) / variant.members
    accuracy = (probabilities.argmax(dim=1) == test.y).double().mean().item()
    return accuracy, functional.nll_loss(probabilities.clamp_min(1e-12).log(), test.y).item()


def _effect(variant: _Variant, plain: list[_Figures], found: list[_Figures]) -> _Effect:
    def change(which: int) -> Measurement:
        from scipy.stats import t

        differences = [a[which] - b[which] for a, b in zip(found, plain, strict=True)]
        n, mean = len(differences), statistics.mean(differences)
        reach = float(t.ppf(0.975, n - 1)) * statistics.stdev(differences) / math.sqrt(n)
        unit = ("", "nats")[which]
        return Measurement(mean, mean - reach, mean + reach, n, unit, "t, paired")

    return _Effect(variant, change(0), change(1))


def _mean(figures: list[_Figures], which: int) -> float:
    return statistics.mean(figure[which] for figure in figures)


def _chart(effects: list[_Effect], n_repeats: int) -> Bars:
    ranked = sorted(effects, key=lambda effect: -effect.accuracy.value)
    labels = (
        f"{100 * e.accuracy.value:+.1f} points [{100 * e.accuracy.low:+.1f}, "
        f"{100 * e.accuracy.high:+.1f}]"
        for e in ranked
    )
    series = Series(
        "change of test accuracy",
        tuple(effect.variant.name for effect in ranked),
        tuple(100 * effect.accuracy.value for effect in ranked),
        tuple(labels),
    )
    title = f"What each regulariser does to accuracy (mean of {n_repeats} paired repeats)"
    return Bars(title, "regulariser", "change of test accuracy, in points", (series,))


def _table(effects: list[_Effect], plain: list[_Figures]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            effect.variant.name,
            effect.variant.setting,
            *(round(100 * v, 2) + 0.0 for v in _ends(effect.accuracy)),  # no -0.0
            *(round(v, 3) + 0.0 for v in _ends(effect.log_loss)),
        )
        for effect in effects
    ]
    title = (
        f"Effect of each regulariser on digits: {_N_TRAIN} training examples, {_P_WRONG:.0%} of "
        f"their labels redrawn; plain: accuracy {_mean(plain, 0):.2%}, log loss "
        f"{_mean(plain, 1):.3f} nats; 95 % intervals over {len(plain)} paired repeats"
    )
    columns = ("regulariser", "setting", "accuracy, points", "low", "high")
    return Table(title, (*columns, "log loss, nats", "low", "high"), tuple(rows))


def _ends(change: Measurement) -> tuple[float, float, float]:
    return change.value, change.low, change.high
