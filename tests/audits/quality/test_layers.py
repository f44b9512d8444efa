import dataclasses

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.audits.quality import macs_by_layer, size_by_layer


@pytest.mark.oracle
def test_macs_equal_torchs_own_counter(digits_subject):
    from torch.utils.flop_counter import FlopCounterMode

    with seeded(0):
        network = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(96, 10),
        ).eval()
    found = macs_by_layer(dataclasses.replace(digits_subject, network=network))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 8, 8))
    assert found.measurement.value == counter.get_total_flops() / 2
    bars, table = found.evidence
    assert sum(bars.series[0].y) == found.measurement.value == sum(row[4] for row in table.rows)
    assert [row[1] for row in table.rows] == ["Conv2d", "Linear"]


def test_bytes_of_parameters_add_up(digits_subject):
    found = size_by_layer(digits_subject)
    expected = 4 * sum(p.numel() for p in digits_subject.network.parameters())
    bars, table = found.evidence
    assert found.measurement.value == expected == sum(row[3] for row in table.rows)
    assert sum(row[4] for row in table.rows) == pytest.approx(1.0)


def test_shipped_file_is_what_counts(digits_subject, tmp_path):
    shipped = tmp_path / "model.onnx"
    shipped.write_bytes(bytes(50_000))
    found = size_by_layer(dataclasses.replace(digits_subject, artefact=shipped))
    assert found.measurement.value == 50_000 and "The shipped file has 50.0 kB" in found.summary


def test_deep_networks_are_summed_up(digits_subject):
    with seeded(0):
        layers = [nn.Linear(64, 64) for _ in range(40)]
        network = nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 10)).eval()
    found = macs_by_layer(dataclasses.replace(digits_subject, network=network))
    bars = found.evidence[0]
    assert len(bars.series[0].y) == 31 and bars.series[0].x[-1] == "the 11 others"
    assert sum(bars.series[0].y) == 40 * 64 * 64 + 640


def test_network_without_parameters(classifier_subject):
    subject = classifier_subject(torch.eye(3), torch.arange(3))
    assert size_by_layer(subject).measurement.value == 0
    assert macs_by_layer(subject).measurement.value == 0
