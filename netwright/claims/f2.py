"""F2: a convolutional network in eight bits, against itself in floating point, on this processor.

Both are files that ONNX Runtime runs, with raw images going in. They are timed by turns, call by
call, so that what else the machine does falls on both; a ratio is the median over pairs. The second
table rounds the weights alone, to ever fewer bits, by steps and by code books.
"""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.artefact import to_onnx
from netwright.artefact._session import start_session
from netwright.claims._lenets import train
from netwright.compress import round_weights, settle, share_weights, to_int8
from netwright.data import Split, Task, load
from netwright.finding import Cell, Finding, Judgement, Table
from netwright.learn import Recipe
from netwright.measure import SpeedUp, rate_drop, speed_up

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "F2"
TITLE = "Quantisation: a convolutional network in eight bits on ONNX Runtime"
BAR = (
    "int8 runs faster than float32 on ONNX Runtime on this processor, by the whole 95 % interval "
    "of the median ratio at batches of 1 and of 16, at most 0.3 points of accuracy lost"
)
_MOST_LOST = 0.003
_QUICK, _FULL = 300, 2000  # steps of training
_BATCHES = (1, 16)
_PAIRS = 300
_CALIBRATION = 256  # rows
_SWEEP = 2000  # test rows on which weights of few bits are tried
_BITS = (8, 6, 5, 4, 3, 2)


def run(*, full: bool, seed: int) -> Finding:
    """Train a network, quantise its file, and compare answers and times.

    Args:
        full: train longer.
        seed: of splits, weights and training.

    Returns:
        How many times faster a single image is answered; bytes, accuracy and times of both files;
        accuracy with weights of few bits.
    """
    import onnx

    began = time.monotonic()
    task = load("mnist", seed=seed)
    test = task.test.open(f"claim {ID}")
    network = _trained(task, steps=_FULL if full else _QUICK, seed=seed)
    plain = onnx.ModelProto.FromString(to_onnx(network, task.schema, sample=task.train.take([0])))
    rows = _pixels(task.calibration, min(_CALIBRATION, len(task.calibration)))
    int8 = to_int8(plain, [{"image": rows}])
    pixels = _pixels(test, len(test))
    before, after = (_right(model, pixels, test.y) for model in (plain, int8))
    drop = rate_drop(before, after)
    speeds = {batch: _compare(plain, int8, pixels, batch) for batch in _BATCHES}
    met = drop.value <= _MOST_LOST and all(speed.ratio.low > 1 for speed in speeds.values())
    first = speeds[_BATCHES[0]].ratio
    summary = (
        f"In eight bits a single image is answered {first.value:.2f} times as fast "
        f"[{first.low:.2f}, {first.high:.2f}], a batch of {_BATCHES[1]} "
        f"{speeds[_BATCHES[1]].ratio.value:.2f} times; {100 * drop.value:+.2f} points of accuracy "
        f"lost [{100 * drop.low:+.2f}, {100 * drop.high:+.2f}]."
    )
    files = (plain.ByteSize(), int8.ByteSize())
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=first,
        requirement=BAR,
        judgement=Judgement("met" if met else "broken", summary),
        evidence=(_both(files, before, after, speeds), _few_bits(network, test)),
        seconds=time.monotonic() - began,
    )


def _trained(task: Task, *, steps: int, seed: int) -> nn.Module:
    with _rng.seeded(_rng.child_seed(seed, "weights")):
        network = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
            nn.MaxPool2d(2),
            *(nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
            nn.MaxPool2d(2),
            *(nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 9, 10),
        )
    train(network, task, Recipe(), steps=steps, seed=_rng.child_seed(seed, "fit"))
    return network.eval()


def _pixels(split: Split, n: int) -> np.ndarray:
    return (split.take(torch.arange(n)) * 255).round().to(torch.uint8).numpy()


def _right(model, pixels: np.ndarray, y: Tensor) -> Tensor:
    session = start_session(model)
    logits = [session.run(["logits"], {"image": p})[0] for p in np.array_split(pixels, 40)]
    return torch.from_numpy(np.concatenate(logits)).argmax(1) == y


def _compare(plain, int8, pixels: np.ndarray, batch: int) -> SpeedUp:
    def runner(model) -> Callable[[int], object]:
        session = start_session(model)
        parts = [pixels[k : k + batch] for k in range(0, len(pixels) - batch, batch)]
        return lambda k: session.run(["logits"], {"image": parts[k % len(parts)]})

    return speed_up(runner(plain), runner(int8), n_pairs=_PAIRS)


def _both(files, before: Tensor, after: Tensor, speeds: dict[int, SpeedUp]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for which, (name, correct) in enumerate((("float32", before), ("int8", after))):
        times = (round(1e3 * (s.first, s.second)[which], 3) for s in speeds.values())
        accuracy = round(100 * correct.float().mean().item(), 2)
        rows.append((name, round(files[which] / 1000, 1), accuracy, *times))
    first = ("kB", "accuracy, %")
    columns = ("file", *first, *(f"ms, batch {batch}" for batch in speeds))
    return Table("The same network, as two files; medians of calls by turns", columns, tuple(rows))


def _few_bits(network: nn.Module, test: Split) -> Table:
    places = torch.arange(min(_SWEEP, len(test)))
    x, y = test.take(places), test.y[places]
    rows: list[tuple[Cell, ...]] = []
    for bits in _BITS:
        ways = [copy.deepcopy(network) for _ in range(3)]
        round_weights(ways[0], bits, per_channel=False)
        round_weights(ways[1], bits)
        share_weights(ways[2], 2**bits)
        settle(ways[2])
        with torch.no_grad():
            found = [(way(x).argmax(1) == y).float().mean().item() for way in ways]
        rows.append((bits, *(round(100 * value, 2) for value in found)))
    columns = ("bits", "a step for each layer", "a step for each channel", "a book for each layer")
    title = f"Accuracy in % with weights of few bits, no training after; {len(y)} test rows"
    return Table(title, columns, tuple(rows))
