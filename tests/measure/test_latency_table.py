"""The table: what a network runs besides what every network does, measured once, summed."""

import json

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.data import Schema
from netwright.design import families
from netwright.measure import LatencyTable, fingerprint
from netwright.measure import _latency_table as module
from netwright.measure._operation_models import null_network

from ..design.samples import FAMILIES, INPUTS, TARGETS
from .test_operations import conv, network

X = torch.zeros(1, 3, 8, 8)
STEPS = torch.zeros(1, 2, 24)
US = 1e-6


@pytest.fixture
def counted(monkeypatch):
    """Every measurement says 1 µs and is counted."""
    calls = []

    def pretend(table, measured):
        calls.append(measured)
        return US

    monkeypatch.setattr(LatencyTable, "_base", pretend)
    monkeypatch.setattr(LatencyTable, "_difference", pretend)
    return calls


def least(shape=(1, 3, 8, 8)):
    return null_network(shape)


def of_family(name):
    schema = Schema(INPUTS["sequence 2x24"], TARGETS["class"])
    with _rng.seeded(0):
        return getattr(families, name)(schema, **FAMILIES[name])


def test_every_operation_is_measured_once(tmp_path, counted):
    table = LatencyTable(tmp_path)
    net = network(conv(3, 3, padding=1), conv(3, 3, padding=1), nn.SiLU, nn.SiLU, least)
    found = table.predict(net, X)
    assert found.value == pytest.approx(5 * US)  # base, twice the same convolution, twice SiLU
    assert found.n == 5
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
        file.write('3\nnull\n{"Conv": "fast"}\n{"Conv 1x')
    assert LatencyTable(tmp_path).entries == table.entries
    LatencyTable(tmp_path).predict(network(conv()), X)
    lines = table.path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1])


@pytest.mark.parametrize("x", [X, STEPS], ids=["image", "sequence"])
def test_a_network_of_nothing_takes_the_base_alone(tmp_path, counted, x):
    found = LatencyTable(tmp_path).predict(least(tuple(x.shape)), x)
    assert (found.value, found.n, len(counted)) == (US, 1, 1)


def test_what_every_network_does_and_this_one_does_not_is_taken_off(tmp_path, counted):
    net = network(lambda: nn.Conv2d(3, 10, 8), nn.Flatten, nn.SiLU, nn.Tanh, nn.Sigmoid)
    found = LatencyTable(tmp_path).predict(net, X)
    # Neither the standardising, which is two nodes, nor the mean, nor the head.
    assert found.value == pytest.approx((1 + 4 - 4) * US)


def test_a_sequence_network_is_the_sum_of_its_parts(tmp_path, counted):
    found = LatencyTable(tmp_path).predict(of_family("sequence_resnet"), STEPS)
    # Two blocks of four convolutions, a sum and a ReLU; six products with the mask; the halvings of
    # states and mask; their sums, the division and the head. The least network has four of these.
    assert found.value == pytest.approx((1 + 2 * 6 + 6 + 2 + 4 - 4) * US)
    assert found.n == 25
    assert found.unresolved == ""


@pytest.mark.parametrize("family", ["sequence_inception", "macro_sequence", "sequence_cells"])
def test_families_that_the_table_knows(tmp_path, counted, family):
    found = LatencyTable(tmp_path).predict(of_family(family), STEPS)
    assert found.unresolved == ""
    assert found.value > 10 * US


@pytest.mark.parametrize("family, lacking", [
    ("sequence_gru", "arange"),
    ("sequence_kernels", "unbind"),
    ("sequence_spectrogram", "log"),
    ("sequence_mlp", "cumsum"),  # it masks nothing, as every other does
])  # fmt: skip
def test_families_that_it_does_not_know(tmp_path, counted, family, lacking):
    found = LatencyTable(tmp_path).predict(of_family(family), STEPS)
    assert "cannot account for" in found.unresolved
    assert lacking in found.unresolved
    assert counted == []


def test_what_is_unknown_is_said(tmp_path, counted):
    found = LatencyTable(tmp_path).predict(network(lambda: nn.Upsample(scale_factor=2)), X)
    assert found.unresolved == "The table cannot account for upsample_nearest2d."


@pytest.mark.parametrize("shape", [(1, 8), (1, 2, 4, 4, 4)])
def test_neither_image_nor_sequence(tmp_path, shape):
    with pytest.raises(ValueError, match="one image or sequence"):
        LatencyTable(tmp_path).predict(nn.Flatten(), torch.zeros(shape))


@pytest.fixture
def clock(monkeypatch):
    """Calls return the time that they are said to take: the reference's is first in each round."""

    def clock(*rounds):
        times = iter([0.0, 0.0, *(time for pair in rounds for time in pair)])
        monkeypatch.setattr(module, "_tenth", lambda run: next(times))

    return clock


def test_what_is_timed_while_others_compute_does_not_count(tmp_path, clock):
    table = LatencyTable(tmp_path)
    busy, calm = (1.2, 1.0), [(1.0, 5.0), (1.05, 4.5)] * 3
    clock(*calm[:3], busy, *calm[3:])
    assert table._times([print]) == [4.5]
    assert table._last == 1.05  # the pace of the slowest round that counts


def test_where_it_is_never_quiet_the_quietest_rounds_count(tmp_path, clock):
    table = LatencyTable(tmp_path)
    table._least = 1.0
    clock(*[(1.3, 4.0)] * 6, *[(2.0, 3.0)] * 34)
    assert table._times([print]) == [4.0]


def test_what_was_measured_while_others_computed_is_measured_again(tmp_path, clock):
    def entry(table, key):
        return table._entry(key, lambda: table._times([print])[0])

    table = LatencyTable(tmp_path)
    clock(*[(2.0, 10.0)] * 6)
    assert entry(table, "one") == 10.0  # the quietest that this process has seen
    clock(*[(1.0, 5.0)] * 6)
    assert entry(table, "other") == 5.0
    assert entry(table, "one") == 10.0  # one search judges all designs by the same entries
    again = LatencyTable(tmp_path)
    clock(*[(1.0, 4.0)] * 6)
    assert entry(again, "one") == 4.0
    assert entry(again, "other") == 5.0
    assert LatencyTable(tmp_path).entries == {"one": 4.0, "other": 5.0}


def test_more_work_takes_longer(tmp_path):
    table = LatencyTable(tmp_path)
    x = torch.zeros(1, 16, 32, 32)
    small, large = (table.predict(network(conv(16, n, padding=1)), x).value for n in (4, 64))
    assert large > 2 * small > 0  # sixteen times the multiplications
