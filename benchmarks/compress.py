"""Compression against others at equal accuracy: bytes of the same weights, speed in eight bits.

The same network, trained once, is pruned and shares values; every rival stores the same bits.
ONNX Runtime's own quantiser gets the same calibration rows, and is timed by turns with ours; so do
torchao, Intel Neural Compressor and NNI where they install, whose networks run in torch.
`python -m benchmarks.compress --quick` times fewer pairs. torchao's network is made to be compiled;
with torch 2.13 and torchao 0.18 that fails (`onednn.qconv_prepack` has no fake kernel), so that it
runs as it comes, with its rounding simulated.
"""

import copy
import gzip
import io
import lzma
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from benchmarks._quantisers import QUANTISERS, installed, quantised
from netwright import _rng
from netwright.artefact import to_onnx
from netwright.artefact._session import start_session
from netwright.compress import (
    adaround,
    encode,
    plain_state,
    prune_global,
    round_by_error,
    round_weights,
    settle,
    share_weights,
    to_int8,
)
from netwright.data import Task, load
from netwright.learn import Recipe, fit
from netwright.measure import speed_up

SIZES = ((0.3, 32), (0.1, 16), (0.03, 8))  # share kept, different values


def train(network: nn.Module, task: Task, steps: int) -> None:
    fit(
        network,
        task.train,
        task.validation,
        target=task.schema.target,
        recipe=Recipe(learning_rate=5e-3),
        steps=steps,
        seed=0,
        device="cpu",
    )


def trained(task: Task) -> nn.Module:
    with _rng.seeded(0):
        network = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(64 * 16, 64), nn.ReLU(), nn.Linear(64, 10)),
        )
    train(network, task, 200)
    return network.eval()


def npz(state: dict[str, torch.Tensor]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: tensor.numpy() for name, tensor in state.items()})
    return file.getvalue()


def sizes(task: Task, network: nn.Module) -> None:
    print(f"{'weights':>22} {'ours':>9} {'npz + xz':>9} {'npz + gzip':>10}   xz / ours")
    for keep, n_shared in SIZES:
        prune_global(network, keep=keep)
        share_weights(network, n_shared, least_axes=1)
        settle(network)
        state = plain_state(network)
        ours, plain = len(encode(state)), npz(state)
        xz, gz = len(lzma.compress(plain, preset=9)), len(gzip.compress(plain, 9))
        words = f"{100 * keep:.0f} % kept, {n_shared} values"
        print(f"{words:>22} {ours:9,} {xz:9,} {gz:10,}   {xz / ours:.2f}")


class Rows(CalibrationDataReader):
    """Calibration rows as ONNX Runtime's quantiser asks for them."""

    def __init__(self, pixels: np.ndarray) -> None:  # noqa: D107
        self.left = iter([{"image": pixels}])

    def get_next(self) -> dict[str, np.ndarray] | None:  # noqa: D102
        return next(self.left, None)


def speeds(task: Task, network: nn.Module, *, n_pairs: int) -> None:
    def pixels(split, n):
        return (split.take(torch.arange(n)) * 255).round().to(torch.uint8).numpy()

    plain = onnx.ModelProto.FromString(to_onnx(network, task.schema, sample=task.train.take([0])))
    rows, test = pixels(task.calibration, 128), task.test.open("benchmark")
    ours = to_int8(plain, [{"image": rows}])
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in ("float.onnx", "ready.onnx", "int8.onnx")]
        onnx.save(plain, places[0])
        quant_pre_process(places[0], places[1], skip_symbolic_shape=True)
        quantize_static(places[1], places[2], Rows(rows), per_channel=True)
        theirs = onnx.load(places[2])
    images = pixels(test, len(test))
    sessions = {
        name: start_session(model)
        for name, model in (("float32", plain), ("ours", ours), ("ONNX Runtime's", theirs))
    }
    for name, session in sessions.items():
        right = session.run(["logits"], {"image": images})[0].argmax(1) == test.y.numpy()
        print(f"{name:>15}: accuracy {right.mean():.4f} on {len(right)} rows")
    for batch in (1, 16):
        calls = {
            name: lambda k, s=session, b=batch: s.run(["logits"], {"image": images[:b]})
            for name, session in sessions.items()
        }
        for a, b in (
            ("float32", "ours"),
            ("float32", "ONNX Runtime's"),
            ("ONNX Runtime's", "ours"),
        ):
            ratio = speed_up(calls[a], calls[b], n_pairs=n_pairs).ratio
            span = f"[{ratio.low:.2f}, {ratio.high:.2f}]"
            print(f"batch {batch:2}: {b} {ratio.value:.2f} times as fast as {a} {span}")


def in_torch(task: Task, network: nn.Module, *, n_pairs: int) -> None:
    """Others that quantise torch modules, at what accuracy, in how many bytes, and how fast."""
    rows, test = task.calibration.take(range(128)), task.test.open("benchmark")
    x, y = test.take(slice(None)), test.y
    images = (x * 255).round().to(torch.uint8).numpy()
    plain = onnx.ModelProto.FromString(to_onnx(network, task.schema, sample=task.train.take([0])))
    feed = {"image": (rows * 255).round().to(torch.uint8).numpy()}
    ours = to_int8(plain, [feed])
    session = start_session(ours)
    right = session.run(["logits"], {"image": images})[0].argmax(1) == y.numpy()
    print(f"{'ours':>18}: accuracy {right.mean():.4f}, {ours.ByteSize():,} bytes of ONNX")
    for name in ("float32", *QUANTISERS):
        if name in QUANTISERS and not installed(name):
            print(f"{name:>18}: not installed")
            continue
        theirs = quantised(name, network, rows) if name in QUANTISERS else network
        with torch.no_grad():
            share = (theirs(x).argmax(1) == y).float().mean().item()
        state = theirs.state_dict().values()
        size = sum(t.numel() * t.element_size() for t in state if isinstance(t, torch.Tensor))
        print(f"{name:>18}: accuracy {share:.4f}, {size:,} bytes of tensors")
        for batch in (1, 16):
            with torch.no_grad():
                low, middle, high = processor_ratio(
                    lambda f=theirs, b=batch: f(x[:b]),
                    lambda b=batch: session.run(["logits"], {"image": images[:b]}),
                    n_pairs=n_pairs,
                )
            print(f"batch {batch:2}: {name} takes {middle:.2f} times our time "
                  f"[{low:.2f}, {high:.2f}]")  # fmt: skip


def processor_ratio(
    first: Callable[[], object], second: Callable[[], object], *, n_pairs: int
) -> tuple[float, float, float]:
    """Quartiles of seconds of the processor, first's by second's, called by turns.

    What is longer than a slice of the scheduler would be punished by the clock on a busy machine.
    """
    ratios = []
    for _ in range(n_pairs):
        seconds = []
        for call in (first, second):
            began = time.process_time()
            call()
            seconds.append(time.process_time() - began)
        ratios.append(seconds[0] / seconds[1])
    low, middle, high = np.quantile(ratios[5:], [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def rounding(task: Task, network: nn.Module) -> None:
    """Weights of few bits without training: answers' errors and accuracy on test rows."""
    rows, test = task.calibration.take(range(128)), task.test.open("benchmark")
    x, y = test.take(slice(None)), test.y
    with torch.no_grad():
        before = network(x)
    for bits in (4, 3):
        for name, way in (
            ("nearest", lambda n, b: round_weights(n, b)),
            ("round_by_error", lambda n, b: round_by_error(n, rows, b)),
            ("adaround", lambda n, b: adaround(n, rows, b, steps=200)),
        ):
            rounded = copy.deepcopy(network)
            way(rounded, bits)
            with torch.no_grad():
                logits = rounded(x)
            error = ((logits - before).square().mean() / before.square().mean()).item()
            right = (logits.argmax(1) == y).float().mean().item()
            print(
                f"{bits} bits, {name:>14}: error {error:.5f} of the answers, accuracy {right:.4f}"
            )


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    task = load("digits", seed=0)
    network = trained(task)
    n_pairs = 60 if quick else 300
    speeds(task, network, n_pairs=n_pairs)
    in_torch(task, network, n_pairs=n_pairs)
    rounding(task, network)
    sizes(task, network)


if __name__ == "__main__":
    main()
