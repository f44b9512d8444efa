from functools import partial

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import find_ticket, kept, plain_state, prune_global, rewind, weights


@pytest.fixture
def network():
    with _rng.seeded(0):
        return nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))


@pytest.fixture
def train(generator):
    x = torch.randn(32, 8, generator=generator)
    seen = []

    def run(network):
        seen.append({n: w.clone() for n, w in weights(network, least_axes=0).items()})
        optimizer = torch.optim.Adam(network.parameters(), 0.05)
        network.train()
        for _ in range(20):
            optimizer.zero_grad()
            (network(x) - x[:, :2]).square().mean().backward()
            optimizer.step()

    run.seen = seen
    return run


def copied(network):
    return {name: tensor.clone() for name, tensor in plain_state(network).items()}


@pytest.mark.oracle
def test_a_ticket_is_the_start_where_the_mask_is_and_zero_elsewhere(network, train):
    start = copied(network)
    history = find_ticket(network, [partial(prune_global, keep=k) for k in (0.5, 0.25)], train)
    assert [each.count for each in history] == [30, 15]
    for name, weight in weights(network).items():
        assert torch.equal(weight, torch.where(weight != 0, start[name], 0.0))
    after = plain_state(network)
    assert all(torch.equal(after[n], t) for n, t in start.items() if n not in weights(network))


def test_every_round_trains_what_is_left_from_the_start(network, train):
    start = copied(network)
    find_ticket(network, [partial(prune_global, keep=k) for k in (0.6, 0.4)], train)
    assert len(train.seen) == 2
    assert all(torch.equal(t, start[n]) for n, t in train.seen[0].items())
    second = train.seen[1]["0.weight"]
    assert torch.equal(second, torch.where(second != 0, start["0.weight"], 0.0))
    assert (second == 0).any()


def test_what_is_chosen_are_the_weights_that_were_large_after_training(network, train):
    # Planted: by their sizes at the start others would have been chosen.
    at_start = copied(network)
    find_ticket(network, [partial(prune_global, keep=0.3)], train)
    sizes = torch.cat([at_start[n].abs().reshape(-1) for n in weights(network)])
    chosen = torch.cat([(w != 0).reshape(-1) for w in weights(network).values()])
    by_start = torch.zeros_like(chosen)
    by_start[sizes.topk(int(chosen.sum())).indices] = True
    assert not torch.equal(chosen, by_start)


def test_rewinding_to_an_early_step(network, train):
    train(network)
    early = copied(network)
    find_ticket(network, [partial(prune_global, keep=0.5)], train, start=early)
    for name, weight in weights(network).items():
        assert torch.equal(weight, torch.where(weight != 0, early[name], 0.0))
    assert torch.equal(network[1].running_mean, early["1.running_mean"])
    assert kept(network).count == 30


def test_a_start_of_another_network_is_refused(network):
    with pytest.raises(ValueError, match="`start` must be a `plain_state` of this network"):
        rewind(network, {"0.weight": torch.ones(1)})
