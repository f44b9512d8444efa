import pytest
import torch

from netwright._rng import seeded
from netwright.nn import Calibrated


def test_logits_are_divided_and_classes_stay(generator):
    with seeded(0):
        network = torch.nn.Linear(3, 4)
    x = torch.randn(20, 3, generator=generator)
    found = Calibrated(network, 2.5)(x)
    torch.testing.assert_close(found * 2.5, network(x))
    assert torch.equal(found.argmax(1), network(x).argmax(1))


def test_temperature_is_saved_and_follows_the_type():
    with seeded(0):
        network = torch.nn.Linear(3, 4, dtype=torch.float64)
    saved = Calibrated(network, 2.5).state_dict()
    assert saved["temperature"].item() == 2.5
    assert saved["temperature"].dtype == torch.float64
    again = Calibrated(network)
    again.load_state_dict(saved)
    assert again.temperature.item() == 2.5


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        Calibrated(torch.nn.Identity(), temperature)
