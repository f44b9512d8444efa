"""F1-structured: whole channels taken out of a residual network, and what that saves in fact.

Multiply-accumulates are a promise; seconds are what a user has. Both networks are shipped as ONNX
files and run in ONNX Runtime on one thread, in turns, so that both meet the same load. What is
timed is the processor time of the thread, which waiting for other processes does not lengthen.
ONNX Runtime computes convolutions in blocks of 16 channels where the processor has AVX-512 (8 where
not): channels beyond a whole block cost as much as one. A third network, pruned to any number of
channels, shows what becomes of the promise then.
"""

import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.artefact import Session, to_onnx
from netwright.claims._lenets import right, train
from netwright.compress import Thinned, channels, filter_norms, prune_channels, taylor
from netwright.data import Task, load
from netwright.design.families import residual_cnn
from netwright.finding import Cell, Finding, Judgement, Measurement, Table
from netwright.learn import Recipe, loss_for
from netwright.measure import percentile, rate_drop

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
_RECIPE = Recipe(batch_size=64)


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
    steps = 1400 if full else 200
    with _rng.seeded(_rng.child_seed(seed, "weights")):
        network = residual_cnn(task.schema, widths=(32, 64, 128), stem_stride=2)
    train(network, task, _RECIPE, steps=steps, seed=_rng.child_seed(seed, "reference"))
    before = right(network, test)
    found: dict[str, tuple[Thinned, Measurement, Measurement]] = {}
    again = replace(_RECIPE, learning_rate=_RECIPE.learning_rate / 4)
    for name, thinned in _thinned(network, task).items():
        train(thinned.network, task, again, steps=steps // 2, seed=_rng.child_seed(seed, "again"))
        drop = rate_drop(before, right(thinned.network, test))
        times = _times_faster(network, thinned.network, task, pairs=1000 if full else 300)
        found[name] = (thinned, drop, times)
    thinned, drop, times = found["Taylor"]
    share = thinned.macs[1] / thinned.macs[0]
    met = share <= _SHARE and times.low >= _TIMES and drop.low <= 0
    summary = (
        f"With {share:.1%} of its multiply-accumulates the network is {times.value:.2f} times as "
        f"fast [{times.low:.2f}, {times.high:.2f}] and loses {100 * drop.value:+.2f} points of "
        f"accuracy [{100 * drop.low:+.2f}, {100 * drop.high:+.2f}]. Channels that fill no whole "
        f"blocks make it {found['Taylor, any number'][2].value:.2f} times as fast."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=times,
        requirement=BAR,
        judgement=Judgement("met" if met else "broken", summary),
        evidence=(_table(found), _layers(thinned)),
        seconds=time.monotonic() - began,
    )


def _thinned(network: nn.Module, task: Task) -> dict[str, Thinned]:
    x = task.train.take(torch.arange(8))
    found = channels(network, x)
    batches = list(islice(task.train.batches(64), 16))
    effects = taylor(network, found, batches, loss_for(task.schema.target))
    ways = {
        "Taylor": (effects, _BLOCK),
        "filter norms": (filter_norms(network, found), _BLOCK),
        "Taylor, any number": (effects, 1),
    }
    return {
        name: prune_channels(network, x, found, importance, macs=_SHARE, multiple=multiple)
        for name, (importance, multiple) in ways.items()
    }


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
    return percentile(tuple(ratios.tolist()), 0.5)


def _seconds(session: Session, x: Tensor) -> float:
    before = time.thread_time()
    session.predict(x)
    return time.thread_time() - before


def _table(found: dict[str, tuple[Thinned, Measurement, Measurement]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            round(100 * thinned.macs[1] / thinned.macs[0], 1),
            *(round(v, 2) for v in (times.value, times.low, times.high)),
            *(round(100 * v, 2) for v in (drop.value, drop.low, drop.high)),
        )
        for name, (thinned, drop, times) in found.items()
    ]
    columns = (
        "importance",
        "MACs left, %",
        "times as fast",
        "low",
        "high",
        "points lost",
        "low ",
        "high ",
    )
    return Table("One image at a time, one thread", columns, tuple(rows))


def _layers(thinned: Thinned) -> Table:
    rows = tuple((name, before, after) for name, (before, after) in thinned.widths.items())
    return Table("Taylor: filters of each weight", ("weight", "had", "has"), rows)
