import math

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import dorefa, dorefa_gradients, qsgd, qsgd_gradients
from netwright.data import load
from tests.compress.small_training import learn

N_DRAWS = 4000


def drawn(round_, x, generator):
    return torch.stack([round_(x, generator) for _ in range(N_DRAWS)]).double()


def by_qsgd(x, generator):
    return qsgd(x, n_levels=4, generator=generator).values


def by_dorefa(x, generator):
    return dorefa(x, bits=3, generator=generator)


@pytest.mark.oracle
@pytest.mark.parametrize("round_", [by_qsgd, by_dorefa])
def test_the_mean_of_rounded_gradients_is_the_gradient(round_, generator):
    x = torch.randn(3, 20, generator=generator)
    found = drawn(round_, x, generator)
    errors = (found.mean(0) - x) / (found.std(0) / math.sqrt(N_DRAWS)).clamp(min=1e-7)
    # 60 means: beyond 4.5 standard errors by chance once in 2,400 such tests.
    assert errors.abs().max() < 4.5
    # Planted: the nearest value is biased, and such a bias would be seen.
    nearest = (x / 0.7).round() * 0.7
    assert ((nearest - x) / (found.std(0) / math.sqrt(N_DRAWS)).clamp(min=1e-7)).abs().max() > 4.5


@pytest.mark.oracle
@pytest.mark.parametrize("n_levels", [1, 4, 30])
def test_variance_and_density_keep_the_bounds_of_the_lemma(n_levels, generator):
    x, s = torch.randn(50, generator=generator), n_levels
    codes = [qsgd(x, n_levels=s, generator=generator) for _ in range(500)]
    square = x.square().sum()
    variance = torch.stack([(each.values - x).square().sum() for each in codes]).mean()
    # Bounds hold for the expectation and are far from tight here: no allowance is needed.
    assert variance <= min(50 / s**2, math.sqrt(50) / s) * square
    filled = torch.stack([each.codes.count_nonzero() for each in codes]).float().mean()
    assert filled <= s * (s + math.sqrt(50))
    assert codes[0].codes.abs().max() <= s


@pytest.mark.oracle
def test_codes_have_the_chances_of_the_paper(generator):
    x = torch.tensor([0.6, -0.8, 0.0])  # length 1; of 2 levels: 1.2, -1.6
    codes = torch.stack(
        [qsgd(x, n_levels=2, generator=generator).codes for _ in range(N_DRAWS)]
    ).float()
    assert set(codes[:, 0].tolist()) == {1, 2} and set(codes[:, 1].tolist()) == {-1, -2}
    up = (codes[:, 0] == 2).float().mean(), (codes[:, 1] == -2).float().mean()
    # Standard errors of at most 0.008; four of them.
    assert up[0] == pytest.approx(0.2, abs=0.032) and up[1] == pytest.approx(0.6, abs=0.032)
    assert not codes[:, 2].any()


@pytest.mark.oracle
def test_every_example_has_a_scale_of_its_own(generator):
    x = torch.stack([torch.linspace(-1, 1, 9), 100 * torch.linspace(-1, 1, 9), torch.zeros(9)])
    found = by_dorefa(x, generator)
    for row, largest in zip(found, (1.0, 100.0), strict=False):
        codes = (row / (2 * largest) + 0.5) * 7
        assert torch.allclose(codes, codes.round(), atol=1e-4)
        assert row.abs().max() == pytest.approx(largest) and (row - row[4]).abs().max() > 0
        assert bool(((row - x[0] * largest).abs() <= 2 * largest / 7 + 1e-4).all())
    assert not found[2].any()


@pytest.mark.parametrize("how", ["qsgd", "dorefa"])
def test_networks_learn_from_rounded_gradients(how, generator):
    task = load("iris", seed=0)
    with _rng.seeded(1):
        network = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    rounded = {
        "qsgd": qsgd_gradients(network, n_levels=4, generator=generator),
        "dorefa": dorefa_gradients(network, bits=3, generator=generator),
    }[how]
    x, y = task.train.take(slice(None)), task.train.y
    with rounded:
        learn(network, x, y, steps=80, learning_rate=0.03)
    with torch.no_grad():
        right = network(x).argmax(1) == y
    assert right.float().mean() > 0.85  # always the commonest: 0.33


def test_only_what_learns_inside_is_rounded(generator):
    with _rng.seeded(0):
        network = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    x = torch.randn(7, 6, generator=generator)

    def gradients():
        network.zero_grad()
        network(x).square().sum().backward()
        return [p.grad.clone() for p in network.parameters()]

    plain = gradients()
    with qsgd_gradients(network, n_levels=2, generator=generator):
        few = gradients()
    for gradient in few:
        levels = 2 * gradient.abs() / (gradient.abs().max() + 1e-12)
        assert len(levels.unique()) <= 3
    with dorefa_gradients(network, bits=2, generator=generator):
        back = gradients()
    assert not torch.allclose(back[0], plain[0])
    after = gradients()
    assert all(torch.equal(a, b) for a, b in zip(after, plain, strict=True))


def test_what_makes_no_sense_is_refused():
    network, x = nn.ReLU(), torch.ones(2, 2)
    for broken in (
        lambda: qsgd(x, n_levels=0),
        lambda: qsgd_gradients(network, n_levels=0).__enter__(),
    ):
        with pytest.raises(ValueError, match="`n_levels` must be at least 1; got 0"):
            broken()
    for broken in (
        lambda: dorefa(x, bits=17),
        lambda: dorefa_gradients(network, bits=0).__enter__(),
    ):
        with pytest.raises(ValueError, match=r"`bits` must lie in 1..16; got (17|0)"):
            broken()
