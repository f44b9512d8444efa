import copy
import math

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.design.strategies import jacobian_covariance, naswot, synflow


@pytest.fixture
def network():
    with _rng.seeded(0):
        first = nn.Conv2d(1, 3, 3, padding=1)
        return nn.Sequential(first, nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))


PROXIES = [synflow, jacobian_covariance, naswot]


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_network_is_left_as_it_is(proxy, network, generator):
    x = torch.rand(8, 1, 4, 4, generator=generator)
    before, copied = copy.deepcopy(network.state_dict()), x.clone()
    found = proxy(network, x)
    assert found == proxy(network, x)
    assert math.isfinite(found)
    assert network.training and torch.equal(x, copied) and not x.requires_grad
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.oracle
def test_synflow_of_linear_layers_is_their_number_times_the_flow():
    with _rng.seeded(0):
        layers = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False))
    for layer, scale in zip(layers, (1.0, -2.0), strict=True):
        nn.init.constant_(layer.weight, scale)
    # Ones flow to 3 in each of 4 units, and to 24 in each of 2 outputs: 48, once for each layer.
    assert synflow(layers, torch.zeros(5, 3)) == pytest.approx(math.log(2 * 48))


@pytest.mark.oracle
def test_jacobian_covariance_of_known_gradients():
    class Products(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.scale * (x**2).sum(dim=1) / 2  # the gradient is the row itself

    x = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])  # uncorrelated, no mean
    assert jacobian_covariance(Products(), x) == pytest.approx(-2, abs=1e-4)
    twin = torch.tensor([[1.0, -1.0], [2.0, -2.0]])  # correlation 1: eigenvalues 2 and 0
    expected = -(math.log(2) + 0.5 + math.log(1e-5) + 1e5)
    assert jacobian_covariance(Products(), twin) == pytest.approx(expected, rel=1e-4)


@pytest.mark.oracle
def test_naswot_of_known_switches():
    network = nn.Sequential(nn.Identity(), nn.ReLU())
    x = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]])  # two of three agree
    assert naswot(network, x) == pytest.approx(math.log(9 - 4))
    assert naswot(network, x[[0, 0]]) == -math.inf
    assert naswot(nn.Sequential(nn.Flatten()), x) == -math.inf


def test_a_network_without_a_way_through_promises_nothing():
    class Deaf(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.ones(2))

        def forward(self, x):
            return self.bias.expand(len(x), 2)

    x = torch.ones(3, 4)
    assert jacobian_covariance(Deaf(), x) == -math.inf
    assert naswot(Deaf(), x) == -math.inf


@pytest.mark.parametrize("proxy", [jacobian_covariance, naswot])
def test_one_row_cannot_be_compared(proxy, network):
    with pytest.raises(ValueError, match="`x` must hold at least two rows"):
        proxy(network, torch.ones(1, 1, 4, 4))
