"""How small a file can be that still reads mnist.

A network of a few thousand weights, taught by a larger one, is rounded to few bits while it learns
to use few of them, and written as one `.nwz` file. What is measured is that file: all its bytes,
names and shapes included, and the test rows that the network decoded from it gets right. How large
the network is, and how long it learns, was chosen on other rows and with other seeds.
"""

import time

import torch
from torch import nn

from netwright import _rng
from netwright.claims._few_bytes import Effort, Stage, folded, lessons, shrink, student
from netwright.claims._lenets import right
from netwright.compress import decode, encode, from_arrays, plain_state
from netwright.data import Split, load
from netwright.finding import Cell, Finding, Judgement, Measurement, Table
from netwright.measure import proportion

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "smallest"
TITLE = "The smallest file at 0.990 on mnist"
_MOST = 5000
_LEAST, _LEAST_QUICK = 0.990, 0.985
BAR = (
    f"one file of at most {_MOST:,} bytes, names and shapes included, holds a network that gets at "
    f"least {_LEAST} of mnist's test rows right (quick, without a teacher: {_LEAST_QUICK})"
)
_QUICK = Effort(widths=(8, 16, 24), copies=2, taught=0, passes=8, rounded=5, bits=4)
_FULL = Effort(widths=(10, 20, 28), copies=4, taught=5, passes=14, rounded=10, bits=4)


def run(*, full: bool, seed: int) -> Finding:
    """Train, round and write a network, and read it back.

    Args:
        full: train longer, and with a teacher.
        seed: of splits, weights and training.

    Returns:
        The bytes of the file; bytes and accuracy stage by stage; what each tensor takes.
    """
    began = time.monotonic()
    effort = _FULL if full else _QUICK
    task = load("mnist", seed=seed)
    test = task.test.open(f"claim {ID}")
    stages = shrink(lessons(task.train, effort, seed=seed), effort, seed=seed)
    file = encode(plain_state(stages[-1].network))
    accuracy = _accuracy(_read(file, effort), test)
    assert accuracy == _accuracy(stages[-1].network, test)  # the file holds the same bits
    least = _LEAST if full else _LEAST_QUICK
    met = accuracy.value >= least and len(file) <= _MOST
    side = "above" if accuracy.low >= least else "below"
    summary = (
        f"A file of {len(file):,} bytes gets {accuracy.value:.2%} [{accuracy.low:.2%}, "
        f"{accuracy.high:.2%}] of {len(test):,} test rows right; the interval's low end is {side} "
        f"{least:.1%}."
    )
    size = float(len(file))
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=Measurement(size, size, size, len(test), unit="bytes"),
        requirement=BAR,
        judgement=Judgement("met" if met else "broken", summary),
        evidence=(_stages(stages, test), _tensors(stages[-1])),
        seconds=time.monotonic() - began,
    )


def _read(file: bytes, effort: Effort) -> nn.Module:
    with _rng.seeded(0):  # these weights are replaced
        network = folded(student(effort.widths).eval())
    network.load_state_dict(from_arrays(decode(file)))
    return network


def _accuracy(network: nn.Module, test: Split) -> Measurement:
    found = right(network, test)
    return proportion(int(found.sum()), len(found))


def _stages(stages: tuple[Stage, ...], test: Split) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for stage in stages:
        state = plain_state(stage.network)
        accuracy = _accuracy(stage.network, test)
        rows.append(
            (
                stage.name,
                sum(t.numel() for t in state.values()),
                sum(int(t.count_nonzero()) for t in state.values()),
                len(encode(state)),
                *(round(100 * v, 2) for v in (accuracy.value, accuracy.low, accuracy.high)),
            )
        )
    columns = ("stage", "numbers", "not zero", "bytes of the file", "right, %", "low", "high")
    return Table("Stage by stage", columns, tuple(rows))


def _tensors(stage: Stage) -> Table:
    empty = len(encode({}))
    rows = tuple(
        (
            name,
            tensor.numel(),
            int(tensor.count_nonzero()),
            len(torch.unique(tensor)),
            (size := len(encode({name: tensor})) - empty),
            round(8 * size / tensor.numel(), 2),
        )
        for name, tensor in plain_state(stage.network).items()
    )
    columns = ("tensor", "elements", "not zero", "different", "bytes", "bits an element")
    return Table(f"Where the bytes are; {empty} more for the file as such", columns, rows)
