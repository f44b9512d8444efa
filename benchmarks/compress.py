"""Compression against others at equal accuracy: bytes of the same weights, speed in eight bits.

The same network, trained once, is pruned and shares values; every rival stores the same bits.
ONNX Runtime's own quantiser gets the same calibration rows, and is timed by turns with ours.
"""

import gzip
import io
import lzma
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from netwright import _rng
from netwright.artefact import to_onnx
from netwright.artefact._session import start_session
from netwright.compress import (
    encode,
    plain_state,
    prune_global,
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


def speeds(task: Task, network: nn.Module) -> None:
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
            ratio = speed_up(calls[a], calls[b]).ratio
            span = f"[{ratio.low:.2f}, {ratio.high:.2f}]"
            print(f"batch {batch:2}: {b} {ratio.value:.2f} times as fast as {a} {span}")


def main() -> None:
    task = load("digits", seed=0)
    network = trained(task)
    speeds(task, network)
    sizes(task, network)


if __name__ == "__main__":
    main()
