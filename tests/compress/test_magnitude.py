from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from netwright import _rng
from netwright.compress import (
    iterate,
    kept,
    prune,
    prune_by_deviation,
    prune_global,
    prune_layers,
    settle,
    weights,
)
from netwright.data import load
from netwright.learn import Recipe, fit


@pytest.fixture
def network():
    with _rng.seeded(0):
        return nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 5))


def zeros(network):
    return {name: (w == 0) for name, w in weights(network).items()}


def test_global_pruning_keeps_the_largest_of_all_layers(network):
    before = weights(network)
    found = prune_global(network, keep=0.3)
    assert (found.count, found.total, found.share) == (75, 250, 0.3)
    gone = torch.cat([before[n][z] for n, z in zeros(network).items()]).abs()
    left = torch.cat([before[n][~z] for n, z in zeros(network).items()]).abs()
    assert gone.max() <= left.min()


def test_layer_wise_pruning_keeps_a_share_of_each(network):
    found = prune_layers(network, {"0.weight": 0.1, "2.weight": 0.5})
    assert found.layers == {"0.weight": (20, 200), "2.weight": (25, 50)}


def test_pruning_by_deviation_takes_a_multiple_of_each_layers_own(network):
    network[0].weight.data.normal_(0, 3.0, generator=torch.Generator().manual_seed(0))
    before = weights(network)
    prune_by_deviation(network, strength=0.7)
    for name, weight in before.items():
        assert torch.equal(zeros(network)[name], weight.abs() <= 0.7 * weight.std(correction=0))


@pytest.mark.oracle
def test_global_pruning_is_what_torch_prunes():
    with _rng.seeded(0):
        ours, theirs = (nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 7)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    prune_global(ours, keep=0.25)
    parameters = [(theirs[0], "weight"), (theirs[1], "weight")]
    torch_prune.global_unstructured(parameters, torch_prune.L1Unstructured, amount=0.75)
    assert torch.equal(ours[0].weight, theirs[0].weight)
    assert torch.equal(ours[1].weight, theirs[1].weight)


def test_what_is_pruned_stays_pruned_while_the_rest_learns(network):
    task = load("iris", seed=0)
    with _rng.seeded(0):
        network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    before = weights(network)
    prune_global(network, keep=0.5)
    gone = zeros(network)
    recipe = Recipe(learning_rate=0.01, weight_decay=0.1)
    fit(network, task.train, task.validation, target=task.schema.target, recipe=recipe, steps=50,
        seed=0, device="cpu")  # fmt: skip
    assert all(torch.equal(zeros(network)[n], z) for n, z in gone.items())
    assert not torch.equal(weights(network)["0.weight"], before["0.weight"])


def test_an_earlier_mask_goes_on_holding(network):
    prune_global(network, keep=0.5)
    first = zeros(network)
    prune(network, {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights(network).items()})
    assert all(torch.equal(zeros(network)[n], z) for n, z in first.items())


def test_iterating_prunes_further_and_trains_each_time(network):
    shares = []
    steps = [partial(prune_global, keep=keep) for keep in (0.5, 0.2, 0.1)]
    history = iterate(network, steps, retrain=lambda n: shares.append(kept(n).share))
    assert [found.share for found in history] == [0.5, 0.2, 0.1] == shares


def test_a_settled_network_can_be_pruned_again(network):
    prune_global(network, keep=0.5)
    settle(network)
    assert kept(network).share == 0.5
    assert prune_global(network, keep=0.2).share == 0.2


@pytest.mark.parametrize("keep", [0.0, -1.0, 1.1, float("nan")])
def test_a_share_is_above_0_and_at_most_1(network, keep):
    with pytest.raises(ValueError, match="`keep` is a share"):
        prune_global(network, keep=keep)
    with pytest.raises(ValueError, match="`keep` is a share"):
        prune_layers(network, {"0.weight": keep})


def test_a_mask_of_another_shape_is_refused(network):
    with pytest.raises(ValueError, match=r"`masks` holds \(3,\) for `0.weight`"):
        prune(network, {"0.weight": torch.ones(3, dtype=torch.bool)})
