import itertools

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import by_energy, factorise, search_ranks, svd
from netwright.measure import parameters

ENERGIES = (0.95, 0.8, 0.6, 0.4)


@pytest.fixture
def network():
    with _rng.seeded(0):
        return nn.Sequential(
            nn.Linear(10, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 4)
        )


@pytest.fixture
def judge(network, generator):
    x = torch.randn(64, 10, generator=generator)
    with torch.no_grad():
        wanted = network(x)

    def loss(judged):
        with torch.no_grad():
            return (judged(x) - wanted).square().mean().item()

    return loss


@pytest.mark.oracle
def test_it_is_near_the_best_of_all_choices(network, judge):
    names, share = ("0", "2"), 0.75
    found = search_ranks(network, dict.fromkeys(names, svd), judge, parameters=share,
                         energies=ENERGIES)  # fmt: skip
    assert found.loss == pytest.approx(judge(found.network), abs=1e-7)
    assert parameters(found.network) == found.parameters[1] <= share * parameters(network)
    losses = []
    for energies in itertools.product((None, *ENERGIES), repeat=2):
        chosen = {
            name: lambda layer, e=energy: svd(layer, rank=by_energy(e))
            for name, energy in zip(names, energies, strict=True)
            if energy is not None
        }
        made = factorise(network, chosen)[0]
        if parameters(made) <= share * parameters(network):
            losses.append(judge(made))
    # Greedy steps may pass by the best of the 25; they must not end far from it.
    assert min(losses) * 0.999 <= found.loss <= 1.3 * min(losses)
    assert found.loss < sorted(losses)[len(losses) // 2]


def test_a_layer_of_few_directions_gives_all(network, judge):
    # Planted: the middle layer has two directions, so that its factors change nothing.
    with torch.no_grad():
        left, values, right = torch.linalg.svd(network[2].weight)
        values[2:] = 0
        network[2].weight.copy_(left * values @ right)
    x = torch.randn(64, 10, generator=torch.Generator().manual_seed(1))
    wanted = network(x).detach()
    found = search_ranks(
        network, dict.fromkeys(("0", "2", "4"), svd), parameters=0.75,
        judge=lambda judged: (judged(x) - wanted).square().mean().item(), energies=(0.9999, 0.5),
    )  # fmt: skip
    assert list(found.factors) == ["2"] and found.factors["2"].ranks == (2,)
    assert found.loss < 1e-10


def test_what_cannot_be_had_is_said(network, judge):
    with pytest.raises(ValueError, match="`parameters` of 0.05 cannot be had"):
        search_ranks(network, {"2": svd}, judge, parameters=0.05)
    with pytest.raises(ValueError, match=r"in \(0, 1\); got 1"):
        search_ranks(network, {"2": svd}, judge, parameters=1)
    with pytest.raises(ValueError, match="`energies` must decrease"):
        search_ranks(network, {"2": svd}, judge, parameters=0.5, energies=(0.5, 0.9))
    with pytest.raises(ValueError, match="no layer `9`"):
        search_ranks(network, {"9": svd}, judge, parameters=0.5)
