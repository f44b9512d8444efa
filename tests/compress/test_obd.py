import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import (
    hessian_diagonal,
    kept,
    obd_saliency,
    prune_by_saliency,
    prune_global,
    weights,
)


def half_squares(outputs, y):
    return (outputs - y).square().sum(1).mean() / 2


@pytest.fixture
def problem(generator):
    # Least squares: the Hessian by each output's weights is the mean of x x'.
    with _rng.seeded(0):
        network = nn.Linear(5, 2).double()
    x = torch.randn(200, 5, generator=generator, dtype=torch.float64) * torch.arange(1, 6)
    y = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    return network, x, y


@pytest.mark.oracle
def test_the_diagonal_is_that_of_least_squares(problem, generator):
    network, x, y = problem
    n_draws = 2000
    found = hessian_diagonal(network, [(x, y)], half_squares, n_draws=n_draws, generator=generator)[
        "weight"
    ]
    hessian = x.T @ x / len(x)
    beside = hessian - hessian.diag().diag()
    error = (beside.square().sum(1) / n_draws).sqrt()  # of a sum of products with random signs
    assert ((found - hessian.diag()).abs() < 4 * error).all()


@pytest.mark.oracle
def test_one_draw_is_exact_where_nothing_lies_beside_the_diagonal(problem, generator):
    network, x, y = problem
    x = torch.linalg.qr(x)[0] * torch.arange(1, 6)
    found = hessian_diagonal(network, [(x, y)], half_squares, n_draws=1, generator=generator)
    assert torch.allclose(found["weight"], (x.square().sum(0) / len(x)).expand(2, 5))


@pytest.mark.oracle
def test_saliency_is_the_rise_of_the_loss_at_a_minimum(problem, generator):
    network, x, _ = problem
    x = torch.linalg.qr(x)[0] * torch.arange(1, 6)
    y = network(x).detach()  # the loss is 0 here
    diagonal = hessian_diagonal(network, [(x, y)], half_squares, n_draws=1, generator=generator)
    saliency = obd_saliency(network, diagonal)["weight"]
    for row in range(2):
        for column in range(5):
            weight = network.weight.detach().clone()
            network.weight.data[row, column] = 0
            rise = half_squares(network(x), y).item()
            network.weight.data.copy_(weight)
            assert saliency[row, column].item() == pytest.approx(rise, rel=1e-9)


def test_what_matters_least_goes_and_stays_away(problem):
    network, *_ = problem
    saliency = {"weight": torch.arange(10.0).reshape(2, 5)}
    assert prune_by_saliency(network, saliency, keep=0.4).count == 4
    assert (weights(network)["weight"] != 0).tolist() == [[False] * 5, [False] + [True] * 4]
    saliency = {"weight": -saliency["weight"]}  # what went before stays away all the same
    assert prune_by_saliency(network, saliency, keep=0.7).count == 1
    assert kept(network).total == 10


def test_a_pruned_network_is_left_as_it_is(problem, generator):
    network, x, y = problem
    prune_global(network, keep=0.5)
    before = weights(network)["weight"].clone()
    found = hessian_diagonal(network, [(x, y)], half_squares, generator=generator)
    assert found["weight"].shape == (2, 5)
    assert torch.equal(weights(network)["weight"], before)
    assert kept(network).count == 5
    network(x).sum().backward()
    assert (network.parametrizations.weight.original.grad == 0).sum() == 5


def test_a_straight_line_has_no_curvature(problem, generator):
    network, x, y = problem
    found = hessian_diagonal(network, [(x, y)], lambda o, _: o.sum(), generator=generator)
    assert not found["weight"].any()


def test_errors_say_what_is_wrong(problem):
    network, x, y = problem
    with pytest.raises(ValueError, match="`n_draws` must be at least 1; got 0"):
        hessian_diagonal(network, [(x, y)], half_squares, n_draws=0)
    with pytest.raises(ValueError, match="`batches` must hold at least one batch"):
        hessian_diagonal(network, [], half_squares)
    with pytest.raises(ValueError, match="`keep` is a share"):
        prune_by_saliency(network, {}, keep=0.0)
