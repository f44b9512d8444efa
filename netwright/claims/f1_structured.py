"""F1-structured: whole channels taken out of a residual network, and what that saves in fact.

Multiply-accumulates are a promise; seconds are what a user has. Both networks are shipped as ONNX
files and run in ONNX Runtime on one thread, in turns, so that both meet the same load. What is
timed is the processor time of the thread, which waiting for other processes does not lengthen.
ONNX Runtime computes convolutions in blocks of 16 channels where the processor has AVX-512 (8 where
not): channels beyond a whole block cost as much as one. A network with as much gone, but any number
of channels left, shows what becomes of the promise then.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.artefact import Session, to_onnx
from netwright.claims._lenets import right, train
from netwright.compress import (
    Channels,
    channel_macs,
    channels,
    filter_norms,
    prune_channels,
    taylor,
)
from netwright.data import Task, load
from netwright.design.families import residual_cnn
from netwright.finding import Cell, Finding, Judgement, Measurement, Table
from netwright.learn import Recipe, loss_for
from netwright.measure import macs, percentile, rate_drop

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "F1-structured"
TITLE = "Structured pruning: half the multiply-accumulates of a residual network"
BAR = (
    "half the multiply-accumulates of a residual network on mnist run at least 1.5 times as fast "
    "in ONNX Runtime (median of pairs, low end of its 95 % interval), with no loss of accuracy "
    "beyond the paired 95 % interval"
)
_TIMES = 1.5
_SHARE = 0.5
_BLOCK = 16
_SHARES = (0.85, 0.7, 0.6, _SHARE)  # a first-order effect says little of half a network at once
_RECIPE = Recipe(batch_size=64)


@dataclass(frozen=True, slots=True)
class _Pruned:
    network: nn.Module
    share: float  # of the multiply-accumulates that are left
    drop: Measurement
    times: Measurement


def run(*, full: bool, seed: int) -> Finding:
    """Train a network, prune it by two importances, train again, and time the files.

    Args:
        full: train seven times as long, and take more timings.
        seed: of splits, weights and training.

    Returns:
        How many times as fast the network is that Taylor importance left; accuracy lost, for both.
    """
    began = time.monotonic()
    task = load("mnist", seed=seed)
    test = task.test.open(f"claim {ID}")
    steps = 2800 if full else 400
    with _rng.seeded(_rng.child_seed(seed, "weights")):
        network = residual_cnn(task.schema, widths=(32, 64, 128), stem_stride=2)
    train(network, task, _RECIPE, steps=steps, seed=_rng.child_seed(seed, "reference"))
    before = right(network, test)
    pairs = 1000 if full else 300
    found: dict[str, _Pruned] = {}
    for name, importance in _IMPORTANCES.items():
        pruned, share = _prune(network, task, importance, steps=steps // 10, seed=seed)
        train(pruned, task, _RECIPE, steps=steps // 2, seed=_rng.child_seed(seed, "last"))
        drop = rate_drop(before, right(pruned, test))
        times = _times_faster(network, pruned, task, pairs=pairs)
        found[name] = _Pruned(pruned, share, drop, times)
    best = found["Taylor"]
    drop, times = best.drop, best.times
    ragged = _times_faster(network, _ragged(network, task), task, pairs=pairs)
    met = best.share <= _SHARE and times.low >= _TIMES and drop.low <= 0
    summary = (
        f"With {best.share:.1%} of its multiply-accumulates the network is {times.value:.2f} times "
        f"as fast [{times.low:.2f}, {times.high:.2f}] and loses {100 * drop.value:+.2f} points of "
        f"accuracy [{100 * drop.low:+.2f}, {100 * drop.high:+.2f}]. With as much gone, but "
        f"no whole blocks left, it is {ragged.value:.2f} times as fast."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=times,
        requirement=BAR,
        judgement=Judgement("met" if met else "broken", summary),
        evidence=(_table(found), _layers(network, best.network)),
        seconds=time.monotonic() - began,
    )


def _effects(network: nn.Module, task: Task, x: Tensor, found: Channels) -> Tensor:
    batches = islice(task.train.batches(64), 8)
    effects = taylor(network, found, batches, loss_for(task.schema.target))
    return effects / channel_macs(network, x, found)


def _norms(network: nn.Module, task: Task, x: Tensor, found: Channels) -> Tensor:
    return filter_norms(network, found)


_IMPORTANCES = {"Taylor": _effects, "filter norms": _norms}


def _prune(
    network: nn.Module,
    task: Task,
    importance: Callable[[nn.Module, Task, Tensor, Channels], Tensor],
    *,
    steps: int,
    seed: int,
) -> tuple[nn.Module, float]:
    # Round after round, with some training in between; the last round is not trained yet.
    x = task.train.take(torch.arange(8))
    whole = macs(network, x).macs_per_example
    again = replace(_RECIPE, learning_rate=_RECIPE.learning_rate / 2)
    for number, share in enumerate(_SHARES):
        if number:
            train(network, task, again, steps=steps, seed=_rng.child_seed(seed, f"round/{number}"))
        left = share * whole / macs(network, x).macs_per_example
        if left < 1:
            found = channels(network, x)
            weighed = importance(network, task, x, found)
            pruned = prune_channels(network, x, found, weighed, macs=left, multiple=_BLOCK)
            network = pruned.network
    return network, macs(network, x).macs_per_example / whole


def _ragged(network: nn.Module, task: Task) -> nn.Module:
    # As much work gone, at once, without regard to blocks: only to be timed.
    x = task.train.take(torch.arange(8))
    found = channels(network, x)
    return prune_channels(network, x, found, filter_norms(network, found), macs=_SHARE).network


def _times_faster(large: nn.Module, small: nn.Module, task: Task, *, pairs: int) -> Measurement:
    # The median of ratios of pairs, each of one call after the other.
    x = task.train.take(torch.arange(64))
    with tempfile.TemporaryDirectory() as folder:
        sessions = []
        for name, network in (("large", large), ("small", small)):
            path = Path(folder) / f"{name}.onnx"
            path.write_bytes(to_onnx(network, task.schema, sample=x[:1]))
            sessions.append(Session(path, threads=1))
        seconds = np.empty((pairs + 20, 2))
        for pair, place in np.ndindex(seconds.shape):
            row = x[pair % len(x)][None]
            seconds[pair, place] = _seconds(sessions[place], row)
    ratios = seconds[20:, 0] / seconds[20:, 1]  # after the warm-up
    return replace(percentile(tuple(ratios.tolist()), 0.5), unit="", note="pairs of calls")


def _seconds(session: Session, x: Tensor) -> float:
    before = time.thread_time()
    session.predict(x)
    return time.thread_time() - before


def _table(found: dict[str, _Pruned]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            round(100 * pruned.share, 1),
            *(round(v, 2) for v in _parts(pruned.times)),
            *(round(100 * v, 2) for v in _parts(pruned.drop)),
        )
        for name, pruned in found.items()
    ]
    columns = (
        "importance",
        "MACs left, %",
        "times as fast",
        "from",
        "to",
        "points lost",
        "low",
        "high",
    )
    return Table("One image at a time, one thread", columns, tuple(rows))


def _parts(found: Measurement) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _layers(before: nn.Module, after: nn.Module) -> Table:
    now = dict(after.named_parameters())
    rows = tuple(
        (name, len(weight), len(now[name]))
        for name, weight in before.named_parameters()
        if weight.ndim > 1 and len(weight) != len(now[name])
    )
    return Table("Taylor: filters of each weight", ("weight", "had", "has"), rows)
