import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import Hashed, settle, share_by_hash, weights


@pytest.fixture
def layer():
    with _rng.seeded(0):
        return nn.Linear(30, 20)


@pytest.mark.oracle
def test_gradients_of_values_are_sums_over_their_places(layer, generator):
    x = torch.randn(5, 30, generator=generator)
    share_by_hash(layer, 0.05)
    held = layer.parametrizations.weight
    weight = weights(layer)["weight"].clone().requires_grad_()
    (x @ weight.T + layer.bias.detach()).square().mean().backward()
    layer(x).square().mean().backward()
    expected = torch.zeros(30)
    places, signs = held[0].places.tolist(), held[0].signs.tolist()
    for gradient, place, sign in zip(weight.grad.reshape(-1), places, signs, strict=True):
        expected[place] += gradient * sign
    assert torch.allclose(held.original.grad, expected, atol=1e-6)


@pytest.mark.oracle
def test_values_start_as_near_as_they_can_be(layer):
    weight = layer.weight.detach().clone()
    errors = share_by_hash(layer, 0.1)
    held = layer.parametrizations.weight
    pattern = torch.zeros(600, 60)
    pattern[torch.arange(600), held[0].places] = held[0].signs
    best = torch.linalg.lstsq(pattern, weight.reshape(-1, 1)).solution[:, 0]
    assert torch.allclose(held.original, best, atol=1e-5)
    apart = (weights(layer)["weight"] - weight).square().mean().item()
    assert errors == {"weight": pytest.approx(apart)}


@pytest.mark.oracle
def test_the_hash_is_even_and_its_signs_too():
    n, n_values = 100_000, 50
    found = Hashed(torch.zeros(n), n_values=n_values, seed=3)
    counts = torch.bincount(found.places, minlength=n_values).double()
    statistic = ((counts - n / n_values).square() / (n / n_values)).sum().item()
    assert 20 < statistic < 99  # chi-squared, 49 degrees: 1e-4 beyond either end
    assert abs(found.signs.sum().item()) < 4 * n**0.5
    together = torch.bincount(found.places, weights=found.signs.double()).square().sum().item()
    assert 0.3 * n < together < 2 * n  # signs do not follow places: about n


def test_places_follow_from_the_seed_and_no_file_holds_them(layer):
    again = Hashed(torch.zeros(600), n_values=60, seed=0)
    other = Hashed(torch.zeros(600), n_values=60, seed=1)
    share_by_hash(layer, 0.1)
    held = layer.parametrizations.weight[0]
    assert torch.equal(held.places, again.places) and not torch.equal(held.places, other.places)
    assert {name: tuple(t.shape) for name, t in layer.state_dict().items()} == {
        "bias": (20,),
        "parametrizations.weight.original": (60,),
    }


def test_settled_it_is_a_plain_layer_of_few_values(layer):
    share_by_hash(layer, 0.02)
    settle(layer)
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.shape == (20, 30)
    assert len(layer.weight.abs().unique()) <= 12


def test_weights_have_hashes_of_their_own():
    with _rng.seeded(0):
        network = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    share_by_hash(network, {"0.weight": 0.5, "1.weight": 0.5})
    first, second = (layer.parametrizations.weight[0].places for layer in network)
    assert not torch.equal(first, second)


def test_errors_say_what_is_wrong(layer):
    with pytest.raises(ValueError, match=r"`share` is a share of the weights, in \(0, 1\]; got 0"):
        share_by_hash(layer, 0.0)
    with pytest.raises(ValueError, match="no weight `1.weight`; it has weight, bias"):
        share_by_hash(layer, {"1.weight": 0.5})
