"""The ladder: planted masked networks are flagged, honest robust ones are not."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright._rng import seeded
from netwright.audits.attack import L2Ball, LinfBall, gradient_masking

RADIUS = 0.1


class Temperature(nn.Module):
    """Answers with probabilities of logits so large that one is 1 and the others 0."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return (1e4 * self.inner(x)).softmax(dim=1)


class Rounding(nn.Module):
    """Rounds its input to a few levels, through which no gradient passes."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner((x * 8).round() / 8)


class Shattered(nn.Module):
    """Adds a fine ripple, whose slope dwarfs the network's and says nothing."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x + 0.01 * torch.sin(3e4 * x))


class Exploding(nn.Module):
    """Passes gradients back a million times too large."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.detach() + 1e6 * (x - x.detach()))


def learned(digits, layers, radius):
    """A network on digits, trained on images moved against it by plain steps of our own."""
    x, y = digits.train.take(slice(None)), digits.train.y
    with seeded(0):
        network = layers()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(40):
        moved = x.clone()
        for _ in range(3 if radius else 0):
            leaf = moved.requires_grad_(True)
            loss = functional.cross_entropy(network(leaf), y)
            (gradient,) = torch.autograd.grad(loss, leaf)
            moved = (moved.detach() + radius / 2 * gradient.sign()).clamp(0, 1)
            moved = x + (moved - x).clamp(-radius, radius)
        optimizer.zero_grad()
        functional.cross_entropy(network(moved.detach()), y).backward()
        optimizer.step()
    return network.eval()


HONEST = {
    "one layer": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
    "two layers": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10)
    ),
    "smooth": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), nn.Softplus(), nn.Linear(48, 10)
    ),
}


@pytest.fixture(scope="session")
def honest(digits):
    return {name: learned(digits, layers, RADIUS) for name, layers in HONEST.items()}


@pytest.fixture
def rows(digits):
    return digits.validation.take(slice(0, 40)), digits.validation.y[:40]


@pytest.mark.parametrize("hide", [Temperature, Rounding, Shattered, Exploding])
def test_planted_masks_are_flagged(hide, digits_network, rows, generator):
    found = gradient_masking(
        hide(digits_network).eval(), *rows, ball=LinfBall(RADIUS), n_steps=5, generator=generator
    )
    assert found.reason.startswith("gradients masked")


@pytest.mark.parametrize("name", HONEST)
def test_honest_robust_networks_are_not(name, honest, rows, generator):
    network = honest[name]
    x, y = rows
    assert (network(x).argmax(1) == y).float().mean() > 0.8
    ball = L2Ball(0.5) if name == "smooth" else LinfBall(RADIUS)
    found = gradient_masking(network, x, y, ball=ball, n_steps=8, generator=generator)
    assert found.reason == "" and len(found.rungs) == 10


def rung(found, words):
    (one,) = (r for r in found.rungs if words in r.name)
    return one


def test_each_mask_fails_the_rung_that_is_made_for_it(digits_network, rows, generator):
    made_for = {
        Temperature: "gradient is not zero",
        Rounding: "gradient is not zero",
        Shattered: "goes up",
        Exploding: "does not explode",
    }
    settings = {"ball": LinfBall(RADIUS), "n_steps": 5, "generator": generator}
    for hide, words in made_for.items():
        found = gradient_masking(hide(digits_network).eval(), *rows, **settings)
        assert not rung(found, words).passed, hide.__name__
        assert rung(found, "lie in ball and range").passed


def test_a_search_without_gradients_gives_the_rounding_away(digits_network, rows, generator):
    # Rounding blocks the gradient, not the attacker: random squares still fool it.
    rounding = Rounding(digits_network).eval()
    settings = {"ball": LinfBall(0.2), "n_steps": 5, "generator": generator}
    assert not rung(gradient_masking(rounding, *rows, **settings), "without gradients").passed


def test_gradients_that_are_not_finite_count_as_exploding(rows, generator):
    class Broken(nn.Module):
        def forward(self, x):
            zero = x.flatten(1)[:, :1] - x.flatten(1)[:, :1]
            return torch.cat([torch.sqrt(zero), x.flatten(1)[:, :1] - 1], 1)

    x = rows[0]
    found = gradient_masking(
        Broken().eval(), x, torch.zeros(40).long(), ball=LinfBall(0.1), generator=generator
    )
    assert not rung(found, "does not explode").passed
