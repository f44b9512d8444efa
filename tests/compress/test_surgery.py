from functools import partial

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import (
    iterate,
    prune_global,
    prune_with_rehabilitation,
    settle,
    weights,
)


def line(*values):
    network = nn.utils.skip_init(nn.Linear, len(values), 1, bias=False)
    network.weight.data.copy_(torch.tensor([values]))
    return network


def towards(target, n_steps=60):
    # Trains to outputs of a given weight: a quadratic.
    def train(network):
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(n_steps):
            optimizer.zero_grad()
            ((network.weight - torch.tensor([target])).square().sum() / 2).backward()
            optimizer.step()

    return train


def test_what_was_pruned_too_soon_comes_back_and_plain_pruning_has_lost_it():
    start, target = (3.0, 0.1, 2.0, 0.2), (3.0, 4.0, 0.0, 0.0)
    ours, theirs = line(*start), line(*start)
    step = partial(prune_with_rehabilitation, strength=0.0)
    iterate(ours, [step] * 3, towards(target))
    assert (weights(ours)["weight"] != 0).tolist() == [[True, True, False, False]]
    iterate(theirs, [partial(prune_global, keep=0.5)] * 3, towards(target))
    assert (weights(theirs)["weight"] != 0).tolist() == [[True, False, True, False]]
    settle(ours)
    assert isinstance(ours.weight, nn.Parameter)
    assert torch.allclose(ours.weight[0, :2], torch.tensor([3.0, 4.0]), atol=0.01)


@pytest.mark.oracle
def test_the_gradient_of_a_pruned_weight_is_that_of_the_zero_in_its_place(generator):
    with _rng.seeded(0):
        network = nn.Linear(6, 4)
    x = torch.randn(8, 6, generator=generator)
    prune_with_rehabilitation(network, strength=0.5)
    now = weights(network)["weight"].clone().requires_grad_()
    assert (now == 0).any()
    network(x).square().mean().backward()
    (x @ now.T + network.bias.detach()).square().mean().backward()
    assert torch.allclose(network.parametrizations.weight.original.grad, now.grad, atol=1e-6)


@pytest.mark.oracle
def test_thresholds_are_those_of_the_paper():
    network = line(1.0, -2.0, 3.0, -6.0)
    sizes = torch.tensor([1.0, 2.0, 3.0, 6.0])
    threshold = sizes.mean() + 0.5 * sizes.std(correction=0)  # 3 + 0.5 * 1.87
    assert 3 < threshold < 6
    prune_with_rehabilitation(network, strength=0.5)
    assert weights(network)["weight"].tolist() == [[0.0, 0.0, 0.0, -6.0]]


def test_nothing_changes_within_the_band():
    network = line(1.0, 1.0, 1.0, 1.0)
    prune_with_rehabilitation(network, strength=0.0)  # the threshold is 1
    learned = network.parametrizations.weight.original
    for value, there in ((0.95, True), (0.85, False), (1.05, False), (1.15, True), (0.95, True)):
        learned.data.fill_(value)
        prune_with_rehabilitation(network, strength=0.0)
        assert bool((weights(network)["weight"] != 0).all()) is there


def test_errors_say_what_is_wrong():
    with pytest.raises(
        ValueError, match=r"`slack` is a share of the threshold, in \[0, 1\); got 1"
    ):
        prune_with_rehabilitation(line(1.0), strength=1.0, slack=1)
    with pytest.raises(ValueError, match="no weight `0.weight`; it has weight"):
        prune_with_rehabilitation(line(1.0, 2.0), strength={"0.weight": 1.0})
