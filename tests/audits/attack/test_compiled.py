"""A network under `torch.compile` is attacked like any other, and falls to the same changes."""

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.audits.attack import LinfBall, pgd, strongest


def network():
    with _rng.seeded(0):
        layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)]
        return nn.Sequential(*layers).eval()


@pytest.fixture
def rows():
    x = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return x, network()(x).argmax(1)


# Inductor compiles the same traced graphs, and takes 20 s for its first.
@pytest.fixture
def compiled():
    torch._dynamo.reset()
    yield torch.compile(network(), backend="aot_eager", dynamic=True)
    torch._dynamo.reset()


def attacked(attack, victim, x, y, **settings):
    chance = torch.Generator().manual_seed(0)
    return attack(victim, x, y, ball=LinfBall(0.05), generator=chance, **settings)


@pytest.mark.parametrize("attack", [pgd, strongest])
def test_the_same_inputs_fall_through_a_compiled_network(rows, compiled, attack):
    x, y = rows
    plain, traced = (attacked(attack, n, x, y, n_steps=10) for n in (network(), compiled))
    assert plain.fooled.any() and not plain.fooled.all()
    assert torch.equal(traced.fooled, plain.fooled)
    assert torch.allclose(traced.x, plain.x, atol=1e-5)
