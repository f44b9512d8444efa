import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.nn import Calibrated


def test_logits_are_divided_and_no_class_changes(generator):
    with seeded(0):
        network = nn.Linear(4, 3)
    x = torch.randn(20, 4, generator=generator)
    found = Calibrated(network, 2.5)(x)
    torch.testing.assert_close(found, network(x) / 2.5)
    assert torch.equal(found.argmax(1), network(x).argmax(1))


def test_temperature_is_saved_with_the_weights_and_keeps_their_type():
    with seeded(0):
        network = nn.Linear(4, 3, dtype=torch.float64)
    saved = Calibrated(network, 2.5).state_dict()
    assert saved["temperature"].dtype == torch.float64
    fresh = Calibrated(network)
    assert fresh.temperature.item() == 1
    fresh.load_state_dict(saved)
    assert fresh.temperature.item() == 2.5
    assert [name for name, _ in fresh.named_parameters()] == ["network.weight", "network.bias"]


def test_a_network_without_weights_can_be_calibrated():
    assert Calibrated(nn.Identity(), 2.0)(torch.ones(1, 3)).tolist() == [[0.5] * 3]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="`temperature` must be positive; got"):
        Calibrated(nn.Identity(), temperature)
