"""A2: what can be measured of any network, and that its multiply-accumulates are counted rightly.

The peer is `torch.utils.flop_counter`, which counts two operations for each multiply-accumulate. It
sees what our counter sees: recurrent and attention layers step by step, without fused kernels.
"""

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from netwright import _rng
from netwright.artefact import write
from netwright.data import Input, Schema, Target, Task, load
from netwright.design import Design, build_network, design_to_json, portfolio
from netwright.finding import (
    Bars,
    Cell,
    Finding,
    Judgement,
    Measurement,
    Series,
    Table,
    format_value,
)
from netwright.learn import fit
from netwright.measure import (
    MachineRate,
    Subject,
    footprint,
    machine_rate,
    macs,
    theoretical_seconds,
    training_step,
)
from netwright.quantities import CATALOGUE

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "A2"
TITLE = "Evaluation: errors, parameters, MACs, training time, latency and memory of any network"
BAR = "MACs equal those of torch's own counter to the unit; every other measure is given, finite"
_WORDS = 5000
_LENGTH = 64
_MEASURES = (
    "accuracy",
    "f1",
    "auroc",
    "log_loss",
    "ece",
    "params",
    "macs",
    "size",
    "latency_p50",
    "latency_p95",
    "memory",
)


@dataclass(frozen=True, slots=True)
class _Times:
    """Seconds of one training: what the arithmetic needs at best, and what was measured."""

    theoretical: float
    by_step: Measurement
    whole: float


def run(*, full: bool, seed: int) -> Finding:
    """Count the multiply-accumulates of many networks twice, and measure some of them throughout.

    Args:
        full: train longer and measure every image design; else three of them, briefly.
        seed: of weights, training and rows.

    Returns:
        The largest difference between the two counts; both counts of every network; every measure
        of the trained ones; theoretical and measured training time side by side.
    """
    began = time.monotonic()
    counted = tuple(_count(name, network, x) for name, network, x in _networks(seed))
    wrong = max(abs(row[2] - row[3]) for row in counted)
    task = load("digits", seed=seed)
    designs = portfolio(task.schema, len(task.train))[: None if full else 3]
    steps = 600 if full else 120
    rate = machine_rate()
    split = task.test.open(f"claim {ID}")
    rows: list[tuple[Cell, ...]] = []
    times: dict[str, _Times] = {}
    missing: list[str] = []
    for design in designs:
        with tempfile.TemporaryDirectory() as folder:
            network, path, times[design.name] = _train(
                task, design, steps, seed, rate, Path(folder)
            )
            subject = Subject(task.schema, split, network, seed=seed, artefact=path)
            for name in _MEASURES:
                measured = CATALOGUE[name].measure(subject)
                if not all(map(math.isfinite, (measured.low, measured.value, measured.high))):
                    missing.append(f"{name} of {design.name}")
                ends = (measured.low, measured.value, measured.high)
                low, value, high = (format_value(end, measured.unit) for end in ends)
                rows.append((design.name, name, value, low, high, measured.n))
            rows.append(_theory(design.name, subject))
    good = wrong == 0 and not missing
    count = "agree to the unit" if wrong == 0 else f"differ by up to {wrong:,}"
    summary = (
        f"MACs of {len(counted)} networks, counted here and by torch, {count}; "
        f"{len(_MEASURES)} measures of {len(designs)} trained networks are given"
        + (f", without {', '.join(missing)}." if missing else ".")
    )
    measured = Measurement(wrong, wrong, wrong, len(counted), "MACs", note="largest difference")
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=measured,
        requirement=BAR,
        judgement=Judgement("met" if good else "broken", summary),
        evidence=(_counts(counted), _measured(rows), *_training(times, rate)),
        seconds=time.monotonic() - began,
    )


def _networks(seed: int) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Yield networks of every kind: all designs of the portfolio, and layers by themselves."""
    words = tuple(f"word{i}" for i in range(_WORDS))
    topic = Target("class", ("topic",), classes=("a", "b", "c", "d"))
    text = Schema(Input("text", (_LENGTH,), vocabulary=words), topic)
    generator = _rng.child(seed, "claims/a2")
    tokens = torch.randint(0, _WORDS + 2, (2, _LENGTH), generator=generator)
    tasks = {name: load(name, seed=seed) for name in ("digits", "wine", "diabetes")}
    cases = [(name, t.schema, len(t.train), t.train.take([0, 1])) for name, t in tasks.items()]
    cases.append(("text", text, 10_000, tokens))
    for source, schema, n, x in cases:
        for design in portfolio(schema, n):
            network = build_network(design, schema, seed=_rng.child_seed(seed, design.name))
            yield f"{source}: {design.name}", network.eval(), x
    with _rng.seeded(seed):
        layers: list[tuple[str, nn.Module, tuple[int, ...]]] = [
            ("grouped, strided, dilated convolution", _conv(), (2, 8, 17, 15)),
            ("depthwise convolution", nn.Conv2d(6, 12, 5, groups=6), (1, 6, 9, 9)),
            ("transposed convolution", nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (2, 4, 7, 5)),
            ("convolution over time", nn.Conv1d(5, 7, 4), (2, 5, 20)),
            ("convolution over volumes", nn.Conv3d(2, 3, 3), (1, 2, 6, 7, 8)),
            ("LSTM, two layers, both ways", _Recurrent(nn.LSTM), (2, 9, 6)),
            ("GRU, two layers, both ways", _Recurrent(nn.GRU), (2, 9, 6)),
            ("Transformer layer", nn.TransformerEncoderLayer(16, 4, 32), (7, 2, 16)),
        ]
        inputs = [torch.zeros(shape) for _, _, shape in layers]
    for (name, layer, _), x in zip(layers, inputs, strict=True):
        yield f"layer: {name}", layer.eval(), x


def _conv() -> nn.Module:
    return nn.Conv2d(8, 12, 3, stride=2, padding=1, dilation=2, groups=4)


class _Recurrent(nn.Module):
    """A recurrent layer that returns its outputs alone."""

    def __init__(self, layer: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.layer = layer(6, 5, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


def _count(name: str, network: nn.Module, x: Tensor) -> tuple[str, int, int, int]:
    """Return name, parameters, our count and torch's, for the whole batch."""
    from torch.utils.flop_counter import FlopCounterMode

    ours = macs(network, x)
    with _plain_kernels(), torch.no_grad(), FlopCounterMode(display=False) as peer:
        network(x)
    flops = peer.get_total_flops()
    assert flops % 2 == 0
    return name, ours.parameters, ours.macs, flops // 2


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Switch off fused kernels, into which torch's counter cannot look."""
    fast, fused = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property at run time
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.backends.mkldnn.enabled = fused  # type: ignore[assignment]


def _train(
    task: Task, design: Design, steps: int, seed: int, rate: MachineRate, folder: Path
) -> tuple[nn.Module, Path, _Times]:
    network = build_network(design, task.schema, seed=_rng.child_seed(seed, design.name))
    size = min(design.recipe.batch_size, len(task.train))
    x, y = task.train.take(torch.arange(size)), task.train.y[:size]
    step = training_step(network, x, y, loss=nn.functional.cross_entropy, seconds=0.5)
    fitted = fit(
        network,
        task.train,
        task.validation,
        target=task.schema.target,
        recipe=design.recipe,
        steps=steps,
        seed=seed,
        device="cpu",
    )
    best = theoretical_seconds(macs(network, x), steps * size, rate)
    shipped = write(
        fitted.network,
        task.schema,
        design=design_to_json(design),
        folder=folder,
        sample=task.train.take([0, 1]),
    )
    scaled = Measurement(
        step.value * steps, step.low * steps, step.high * steps, step.n, "s", step.method
    )
    return fitted.network, shipped.onnx, _Times(best, scaled, fitted.seconds)


def _theory(name: str, subject: Subject) -> tuple[Cell, ...]:
    found = footprint(macs(subject.network, subject.split.take([0])))
    value = format_value(found.inference, "bytes")
    return (name, "memory, in theory: weights and largest layer", value, value, value, 1)


def _counts(counted: tuple[tuple[str, int, int, int], ...]) -> Table:
    columns = ("network", "parameters", "MACs counted here", "MACs by torch", "difference")
    rows = tuple((*row, row[2] - row[3]) for row in counted)
    return Table("Multiply-accumulates of a batch, counted twice", columns, rows)


def _measured(rows: list[tuple[Cell, ...]]) -> Table:
    columns = ("network", "measure", "value", "low", "high", "n")
    return Table("Every measure, on the test rows of digits", columns, tuple(rows))


def _training(times: dict[str, _Times], rate: MachineRate) -> tuple[Bars, Table]:
    names = tuple(times)
    found = tuple(times.values())
    bars = Bars(
        title="Training time: in theory (3 × MACs at the best rate), by timed steps, and whole",
        x_label="network",
        y_label="seconds",
        series=(
            Series("in theory", names, _of(found, 0)),
            Series("timed steps", names, _of(found, 1)),
            Series("whole training", names, _of(found, 2)),
        ),
    )
    columns = ("network", "in theory (s)", "timed steps (s)", "low", "high", "whole training (s)")
    rows = tuple(
        (
            name,
            *(_short(v) for v in (t.theoretical, t.by_step.value, t.by_step.low, t.by_step.high)),
            _short(t.whole),
        )
        for name, t in times.items()
    )
    speed = f"{rate.macs_per_second / 1e9:.1f} GMAC/s (threads: {rate.threads})"
    return bars, Table(f"Training time; the machine's best rate is {speed}", columns, rows)


def _of(found: tuple[_Times, ...], which: int) -> tuple[float, ...]:
    return tuple((t.theoretical, t.by_step.value, t.whole)[which] for t in found)


def _short(seconds: float) -> float:
    return float(f"{seconds:.3g}")
