import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import cubic_shares, prune_by_movement, settle, weights


def line(*values):
    network = nn.utils.skip_init(nn.Linear, len(values), 1, bias=False)
    network.weight.data.copy_(torch.tensor([values]))
    return network


@pytest.mark.oracle
def test_scores_fall_by_gradient_times_weight(generator):
    with _rng.seeded(0):
        network = nn.Linear(5, 3)
    x = torch.randn(7, 5, generator=generator)
    prune_by_movement(network, keep=1.0)
    held = network.parametrizations.weight
    scores = torch.zeros(3, 5)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for step in range(4):
        if step == 2:
            prune_by_movement(network, keep=0.6)
        weight = weights(network)["weight"].clone().requires_grad_()
        dense = held.original.detach().clone()
        (x @ weight.T + network.bias.detach()).square().mean().backward()
        scores -= 0.1 * weight.grad * dense
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()
        assert torch.allclose(held[0].scores, scores, atol=1e-6)
        if step >= 2:
            kept = weight != 0
            assert int(kept.sum()) == 9
            assert torch.equal(held.original[~kept], dense[~kept])  # only scores learn there


def test_what_grows_stays_and_what_shrinks_goes_whatever_its_size():
    # Planted: the large weights are of no use, the small ones are what is wanted.
    network, target = line(3.0, 2.0, 0.2, 0.1), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    prune_by_movement(network, keep=1.0)
    optimizer = torch.optim.SGD(network.parameters(), 0.05)
    for _ in range(10):
        optimizer.zero_grad()
        ((network.weight - target).square().sum() / 2).backward()
        optimizer.step()
    assert network.weight[0, :2].min() > network.weight[0, 2:].max()  # by size they would stay
    prune_by_movement(network, keep=0.5)
    assert (weights(network)["weight"] != 0).tolist() == [[False, False, True, True]]
    settle(network)
    assert isinstance(network.weight, nn.Parameter) and len(list(network.parameters())) == 1


def test_shares_fall_to_the_last():
    shares = cubic_shares(0.05, n_steps=6)
    assert shares[0] == 1.0 and shares[-1] == 0.05
    drops = [a - b for a, b in zip(shares, shares[1:], strict=False)]
    assert drops == sorted(drops, reverse=True)


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"`keep` is a share of the weights, in \(0, 1\]; got 0"):
        prune_by_movement(line(1.0), keep=0.0)
    with pytest.raises(ValueError, match="`n_steps` be at least 2; got 0.5 and 1"):
        cubic_shares(0.5, n_steps=1)
