"""The table: operations by kind and shape, measured once, summed."""

import json

import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.measure import LatencyTable, Operation, fingerprint, operations
from netwright.measure import _latency_table as module

X = torch.zeros(1, 3, 8, 8)


@pytest.fixture
def counted(monkeypatch):
    """Every measurement says 1 µs and is counted."""
    calls = []

    def pretend(model, *rest):
        calls.append(model)
        return 1e-6

    monkeypatch.setattr(module, "_time", pretend)
    monkeypatch.setattr(module, "_difference", pretend)
    return calls


def network(*layers):
    with _rng.seeded(0):
        return nn.Sequential(*[layer() for layer in layers])


def conv(n_in=3, n_out=4, **settings):
    return lambda: nn.Conv2d(n_in, n_out, 3, **settings)


def kinds(net, x=X):
    return [o.kind for o in operations(net, x)]


def test_operations_carry_shapes_and_settings():
    found = operations(network(conv(stride=2, padding=1), nn.ReLU), X)
    assert found == (
        Operation("Conv", ((1, 3, 8, 8),), (1, 4, 4, 4), (
            ("dilation", (1, 1)), ("groups", (1,)), ("kernel", (3, 3)), ("pad", (1, 1)),
            ("stride", (2, 2)),
        )),
        Operation("Relu", ((1, 4, 4, 4),), (1, 4, 4, 4)),
    )  # fmt: skip
    assert found[0].key.startswith("Conv 1x3x8x8 dilation=1,1 groups=1 kernel=3,3")


class Gate(nn.Module):
    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True).sigmoid()


@pytest.mark.parametrize("layer, expected", [
    (lambda: nn.BatchNorm2d(3), ["BatchNormalization"]),
    (nn.SiLU, ["Silu"]),
    (lambda: nn.MaxPool2d(2), ["MaxPool"]),
    (lambda: nn.AvgPool2d(2), ["AveragePool"]),
    (nn.Flatten, []),
    (Gate, ["ReduceMean", "Sigmoid", "Mul"]),
    (lambda: nn.Upsample(scale_factor=2), ["other"]),
])  # fmt: skip
def test_kinds_of_layers(layer, expected):
    assert kinds(network(layer)) == expected


def test_training_mode_is_left_as_it_was():
    net = network(lambda: nn.BatchNorm2d(3)).train()
    before = net[0].running_mean.clone()
    operations(net, X + 1)
    assert net.training
    assert torch.equal(net[0].running_mean, before)


def test_every_operation_is_measured_once(tmp_path, counted):
    table = LatencyTable(tmp_path)
    net = network(conv(3, 3, padding=1), conv(3, 3, padding=1), nn.ReLU, nn.ReLU)
    found = table.predict(net, X)
    assert found.value == pytest.approx(5e-6)  # base, twice the same convolution, twice ReLU
    assert len(counted) == 3
    assert table.predict(net, X) == found
    again = LatencyTable(tmp_path)
    assert again.entries == table.entries
    assert again.predict(net, X) == found
    assert len(counted) == 3
    assert (found.unit, found.method, found.unresolved) == ("s", "table", "")
    assert found.low < found.value < found.high


def test_another_machine_has_another_table(tmp_path, counted, monkeypatch):
    LatencyTable(tmp_path).predict(network(nn.ReLU), X)
    monkeypatch.setattr(module, "fingerprint", lambda: "elsewhere")
    assert LatencyTable(tmp_path).entries == {}
    assert fingerprint() == fingerprint() and len(fingerprint()) == 16


def test_a_torn_line_is_passed_over(tmp_path, counted):
    table = LatencyTable(tmp_path)
    table.predict(network(nn.ReLU), X)
    with open(table.path, "a", encoding="utf-8") as file:
        file.write('{"Conv 1x')
    assert LatencyTable(tmp_path).entries == table.entries
    LatencyTable(tmp_path).predict(network(conv()), X)
    lines = table.path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1])


def test_what_is_unknown_is_said(tmp_path, counted):
    found = LatencyTable(tmp_path).predict(network(lambda: nn.Upsample(scale_factor=2)), X)
    assert "does not know other" in found.unresolved


LAYERS = {
    "conv": conv(padding=1),
    "depthwise": conv(3, 6, groups=3),
    "batch norm": lambda: nn.BatchNorm2d(3),
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "gate": Gate,
    "max pool": lambda: nn.MaxPool2d(3, 2, 1),
    "average pool": lambda: nn.AvgPool2d(2),
    "head": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5)),
}


class Joined(nn.Module):
    def forward(self, x):
        return torch.cat([functional.relu(x) + x, x], 1)


@pytest.mark.parametrize("layer", [*LAYERS.values(), Joined], ids=[*LAYERS, "joined"])
def test_every_kind_of_entry_runs_in_the_runtime(tmp_path, layer, monkeypatch):
    monkeypatch.setattr(
        module, "_medians",
        lambda runs, x, **kwargs: [bool(run({"x": x})) and float(k + 1) for k, run in
                                   enumerate(reversed(runs))][::-1],
    )  # fmt: skip
    found = LatencyTable(tmp_path).predict(network(layer), X)
    assert found.unresolved == ""
    assert found.value >= 1.0


def test_more_work_takes_longer(tmp_path):
    table = LatencyTable(tmp_path)
    x = torch.zeros(1, 16, 32, 32)
    small, large = (table.predict(network(conv(16, n, padding=1)), x).value for n in (4, 64))
    assert large > 2 * small > 0  # sixteen times the multiplications
