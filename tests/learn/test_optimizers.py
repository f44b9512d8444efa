import pytest
import torch
from torch import nn

from netwright.learn import adamw, sgd

MAKERS = [adamw, sgd]


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.bag = nn.EmbeddingBag(5, 4)
        self.norm = nn.LayerNorm(4)
        self.last = nn.Linear(4, 2)


@pytest.mark.parametrize("make", MAKERS)
def test_only_matrices_that_are_no_tables_decay(make):
    network = Tokens()
    optimizer = make(network, learning_rate=0.1, weight_decay=0.3)
    decay = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decay[p] for name, p in network.named_parameters()} == {
        "table.weight": 0.0,
        "bag.weight": 0.0,
        "norm.weight": 0.0,
        "norm.bias": 0.0,
        "last.weight": 0.3,
        "last.bias": 0.0,
    }


@pytest.mark.parametrize("make", MAKERS)
def test_frozen_network_is_an_error(make):
    frozen = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="`network` has no trainable parameter"):
        make(frozen, learning_rate=0.1, weight_decay=0.0)


@pytest.fixture(autouse=True)
def weights_drawn_here(monkeypatch):
    # The layers above draw their weights from the global generator; it is restored for the check.
    with torch.random.fork_rng():
        yield


@pytest.mark.oracle
def test_adamw_follows_algorithm_2():
    network = nn.Linear(3, 2, bias=False)
    start, rate, decay = network.weight.detach().double().clone(), 0.1, 0.3
    optimizer = adamw(network, learning_rate=rate, weight_decay=decay)
    first, second, expected = torch.zeros(2, 3), torch.zeros(2, 3), start.clone()
    for step in range(1, 6):
        gradient = torch.arange(6.0).view(2, 3).sin() * step
        network.weight.grad = gradient.clone()
        optimizer.step()
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        update = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        expected = expected - rate * (update + decay * expected)
    # five float32 steps of size 0.1: rounding is below 1e-6
    assert torch.allclose(network.weight.double(), expected, atol=1e-6)


@pytest.mark.oracle
def test_sgd_is_nesterovs():
    network = nn.Linear(3, 2, bias=False)
    expected, rate, decay = network.weight.detach().double().clone(), 0.1, 0.3
    optimizer = sgd(network, learning_rate=rate, weight_decay=decay)
    speed = torch.zeros(2, 3)
    for step in range(1, 6):
        gradient = torch.arange(6.0).view(2, 3).sin() * step
        network.weight.grad = gradient.clone()
        optimizer.step()
        penalised = gradient + decay * expected
        speed = 0.9 * speed + penalised
        expected = expected - rate * (penalised + 0.9 * speed)
    assert torch.allclose(network.weight.double(), expected, atol=1e-5)  # weights of size 10
