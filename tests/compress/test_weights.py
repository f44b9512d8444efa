import copy

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import Masked, plain_state, prune, prune_global, settle, weights
from netwright.compress._weights import constrain, constraint


@pytest.fixture
def network():
    with _rng.seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 4, 2)
        )


def test_weights_are_the_parameters_of_two_axes_or_more(network):
    assert list(weights(network)) == ["0.weight", "3.weight"]
    assert set(weights(network, least_axes=0)) == {n for n, _ in network.named_parameters()}


def test_a_weight_used_twice_stands_there_once():
    with _rng.seeded(0):
        layer, other = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    assert list(weights(nn.Sequential(layer, nn.ReLU(), layer))) == ["0.weight"]
    other.weight = layer.weight
    assert list(weights(nn.Sequential(layer, other))) == ["0.weight"]


def test_a_constrained_network_keeps_its_names_and_its_answers(network):
    x = torch.ones(2, 1, 4, 4)
    prune_global(network, keep=0.5)
    assert list(weights(network)) == ["0.weight", "3.weight"]
    held, state = network.eval()(x), plain_state(network)
    settle(network)
    assert torch.equal(network(x), held)
    assert set(state) == set(network.state_dict())
    assert all(torch.equal(state[n], t) for n, t in network.state_dict().items())
    assert type(network[0]) is nn.Conv2d


def test_a_copy_is_constrained_too_and_independent(network):
    x = torch.ones(2, 1, 4, 4)
    prune_global(network, keep=0.5)
    twin, third = copy.deepcopy(network), copy.deepcopy(network)
    before = network.eval()(x)
    constrain(third, "3.bias", Masked(torch.tensor([False, False])))
    settle(twin)
    assert isinstance(constraint(network, "0.weight"), Masked)
    assert constraint(twin, "0.weight") is None and constraint(network, "3.bias") is None
    assert torch.equal(network(x), before) and torch.equal(twin.eval()(x), before)
    assert not torch.equal(third.eval()(x), before)


def test_a_second_constraint_takes_the_place_of_the_first(network):
    constrain(network, "3.bias", Masked(torch.tensor([True, False])))
    constrain(network, "3.bias", Masked(torch.tensor([False, True])))
    assert weights(network, least_axes=0)["3.bias"].tolist() == [0.0, 0.0]


def test_an_unknown_name_is_refused_with_those_that_there_are(network):
    with pytest.raises(ValueError, match=r"no weight `4.weight`; it has 0.weight, 0.bias"):
        prune(network, {"4.weight": torch.ones(1, dtype=torch.bool)})
