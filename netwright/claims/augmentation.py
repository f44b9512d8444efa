"""Learned augmentation against TrivialAugment, a choice by hand, and none, where labels are few.

One small convolutional network learns from few images. All ways of a seed share the rows, the first
weights and the order of the batches, so that differences are paired. The learned way finds the
widths of its changes during the same training, from the same rows. Settings were chosen on
validation rows with other seeds; the figures are on test rows, of which each way's network sees
none before.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from netwright import _rng
from netwright.claims._paired import p_value, paired
from netwright.data import Split, Task, TensorSplit, load
from netwright.design import Design, build_network
from netwright.finding import Bars, Cell, Finding, Judgement, Measurement, Series, Table
from netwright.learn import Fitted, Recipe, fit

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "augmentation"
TITLE = "Learned augmentation against TrivialAugment, a choice by hand, and none"
BAR = (
    "with few labels the learned augmentation beats none with the whole 95 % interval of the "
    "paired difference, and TrivialAugment is not better than it with the whole interval"
)
_WAYS = {
    "none": (),
    "by hand": ("shift", "rotate_scale"),
    "TrivialAugment": ("trivial",),
    "learned": ("learned",),
}
_RECIPE = Recipe(learning_rate=1e-2, weight_decay=0.05, batch_size=50)


@dataclass(frozen=True, slots=True)
class _Setting:
    # A data set, how many of its rows teach, how long, how often, and the stride of the stem.
    name: str
    n_train: int
    steps: int
    seeds: int
    stem_stride: int


_QUICK = (_Setting("digits", 200, 300, 8, 1),)
_FULL = (_Setting("digits", 200, 300, 20, 1), _Setting("mnist", 500, 400, 10, 2))


def run(*, full: bool, seed: int) -> Finding:
    """Train with each augmentation on the same few images, and compare them on test rows.

    Args:
        full: 20 seeds of digits and 10 of mnist instead of 8 of digits.
        seed: the first of them.

    Returns:
        The difference of learned and none on the last data set; for each set a table of all ways
        with paired differences, and the widths that were learned.
    """
    began = time.monotonic()
    pieces, sentences, good = [], [], True
    last: Measurement | None = None
    for setting in _FULL if full else _QUICK:
        scores, widths = _train(setting, seed)
        over_none = paired(scores["learned"], scores["none"])
        over_trivial = paired(scores["learned"], scores["TrivialAugment"])
        good = good and over_none.low > 0 and over_trivial.high >= 0
        sentences.append(
            f"On {setting.name} with {setting.n_train} labels the learned augmentation is "
            f"{_points(over_none)} points better than none, {_points(over_trivial)} better than "
            f"TrivialAugment."
        )
        pieces += [_table(setting, scores), _widths(setting, widths)]
        last = over_none
    summary = " ".join(sentences)
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=last,
        requirement=BAR,
        judgement=Judgement("met" if good else "broken", summary),
        evidence=tuple(pieces),
        seconds=time.monotonic() - began,
    )


def _train(
    setting: _Setting, first: int
) -> tuple[dict[str, list[float]], list[Mapping[str, float]]]:
    """Return test accuracies by way, and what was learned, seed by seed."""
    task = load(setting.name, seed=0)
    test = task.test.open(f"claim/{ID}")
    scores: dict[str, list[float]] = {name: [] for name in _WAYS}
    widths: list[Mapping[str, float]] = []
    for seed in range(first, first + setting.seeds):
        rows = _part(task.train, setting.n_train, seed)
        for name, augment in _WAYS.items():
            network = build_network(_design(setting), task.schema, seed=seed)
            fitted = _fit(network, rows, task, setting, augment, seed)
            scores[name].append(_accuracy(network, test))
            if fitted.widths:
                widths.append(fitted.widths)
    return scores, widths


def _design(setting: _Setting) -> Design:
    parameters = {"widths": [8, 16, 32], "blocks": [0, 1, 0], "stem_stride": setting.stem_stride}
    return Design("residual CNN", "residual_cnn", parameters)


def _fit(
    network: nn.Module,
    rows: Split,
    task: Task,
    setting: _Setting,
    augment: Sequence[str],
    seed: int,
) -> Fitted:
    recipe = replace(_RECIPE, augment=tuple(augment))
    # The rows that `fit` watches are the ones it learns from: what is compared sees no others.
    return fit(
        network, rows, rows, target=task.schema.target, recipe=recipe, steps=setting.steps,
        seed=_rng.child_seed(seed, "claims/augmentation"), device="cpu",
    )  # fmt: skip


def _part(split: Split, n: int, seed: int) -> TensorSplit:
    generator = _rng.child(seed, "claims/augmentation/rows")
    places = torch.randperm(len(split), generator=generator)[:n]
    x = split.take(places)
    return TensorSplit(x, split.y[places], split.rows[places])


@torch.no_grad()
def _accuracy(network: nn.Module, split: Split) -> float:
    hits = [(network(x).argmax(dim=1) == y).float() for x, y in split.batches(512)]
    return torch.cat(hits).mean().item()


def _points(gain: Measurement) -> str:
    return f"{100 * gain.value:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"


def _table(setting: _Setting, scores: Mapping[str, Sequence[float]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, values in scores.items():
        cells: list[Cell] = [name, round(100 * statistics.mean(values), 2)]
        for other in ("none", "TrivialAugment"):
            if name == other:
                cells += [None, None]
                continue
            gain = paired(values, scores[other])
            cells += [_points(gain), float(f"{p_value(values, scores[other]):.2g}")]
        rows.append(tuple(cells))
    title = (
        f"{setting.name}: test accuracy in %, {setting.n_train} labels, {setting.steps} steps, "
        f"{setting.seeds} paired seeds"
    )
    columns = ("augmentation", "accuracy", "against none", "p", "against TrivialAugment", "p ")
    return Table(title, columns, tuple(rows))


def _widths(setting: _Setting, widths: Sequence[Mapping[str, float]]) -> Bars:
    names = tuple(widths[0])
    means = tuple(statistics.mean(each[name] for each in widths) for name in names)
    return Bars(
        f"{setting.name}: how far the learned augmentation changes images, mean of all seeds",
        "kind of change",
        "width, in the units of `WIDTHS`",
        (Series("width", names, means),),
    )
