import itertools

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import kept, obs, prune_by_saliency, prune_obc, prune_obs, settle, weights


def quadratic(n=6, seed=0):
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(2 * n, n, generator=draw, dtype=torch.float64)
    return torch.randn(1, n, generator=draw, dtype=torch.float64), root.T @ root


def best_without(weight, hessian, gone):
    # Brute force: minimise over what is left, by solving for it.
    left = [i for i in range(weight.shape[1]) if i not in gone]
    target = hessian @ weight[0]
    found = torch.zeros_like(weight[0])
    found[left] = torch.linalg.solve(hessian[left][:, left], target[left])
    apart = found - weight[0]
    return found, (apart @ hessian @ apart / 2).item()


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(5))
def test_the_first_weight_to_go_is_the_best_of_all(seed):
    weight, hessian = quadratic(seed=seed)
    found = obs(weight, hessian, n_removed=1)
    trials = [best_without(weight, hessian, {q}) for q in range(6)]
    best = min(range(6), key=lambda q: trials[q][1])
    assert (~found.kept[0]).nonzero()[:, 0].tolist() == [best]
    assert torch.allclose(found.weight[0], trials[best][0])
    assert found.rise == pytest.approx(trials[best][1])


@pytest.mark.oracle
def test_several_go_one_after_the_other_and_all_are_made_up_for():
    weight, hessian = quadratic()
    gone: set[int] = set()
    for n in range(1, 6):
        gone.add(
            min(set(range(6)) - gone, key=lambda q: best_without(weight, hessian, gone | {q})[1])
        )
        found = obs(weight, hessian, n_removed=n)
        expected, rise = best_without(weight, hessian, gone)
        assert set((~found.kept[0]).nonzero()[:, 0].tolist()) == gone
        assert torch.allclose(found.weight[0], expected)
        assert found.rise == pytest.approx(rise)


@pytest.mark.oracle
def test_rows_are_weighed_against_each_other():
    _, hessian = quadratic(4)
    rows = torch.stack([torch.ones(4), 3 * torch.ones(4)]).double()
    found = obs(rows, hessian, n_removed=2)
    alone = [
        sum(best_without(rows[i : i + 1], hessian, set(g))[1] for i, g in enumerate(pair))
        for pair in itertools.product([(), (0,), (1,), (2,), (3,)], repeat=2)
        if sum(map(len, pair)) == 2
    ]
    assert found.kept.sum() == 6
    assert found.kept[1].all()  # three times the weight is nine times the loss
    assert found.rise < min(alone)


def test_nothing_removed_is_nothing_changed():
    weight, hessian = quadratic()
    assert torch.equal(obs(weight, hessian, n_removed=0).weight, weight)


@pytest.fixture
def correlated(generator):
    # Inputs that say much the same, so that others can make up for one.
    shared = torch.randn(300, 3, generator=generator)
    x = shared @ torch.randn(3, 12, generator=generator)
    return x + 0.1 * torch.randn(300, 12, generator=generator)


@pytest.mark.oracle
def test_a_layers_outputs_change_as_little_as_rows_of_least_squares_allow(correlated):
    with _rng.seeded(0):
        layer = nn.Linear(12, 4)
    before, weight = layer(correlated).detach(), layer.weight.detach().clone()
    prune_obc(layer, [correlated[:100], correlated[100:]], keep={"weight": 0.5}, damping=0.0)
    masks = weights(layer)["weight"] != 0
    assert masks.sum() == 24
    for row, mask in enumerate(masks):  # nothing better with the same weights left
        target = correlated @ weight[row]
        best = torch.linalg.lstsq(correlated[:, mask], target[:, None]).solution[:, 0]
        assert torch.allclose(weights(layer)["weight"][row, mask], best, atol=1e-3)
    apart = (layer(correlated) - before).square().mean()
    plain = nn.utils.skip_init(nn.Linear, 12, 4)
    plain.load_state_dict({"weight": weight, "bias": layer.bias.detach()})
    prune_by_saliency(plain, {"weight": weight.abs()}, keep=0.5)
    assert apart < 0.1 * (plain(correlated) - before).square().mean()


@pytest.mark.oracle
def test_convolutions_are_seen_as_the_patches_that_they_read(generator):
    with _rng.seeded(0):
        layer = nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False)
    images = torch.rand(20, 2, 8, 8, generator=generator)
    patches = nn.functional.unfold(images, 3, padding=1, stride=2).transpose(1, 2).flatten(0, 1)
    as_rows = nn.utils.skip_init(nn.Linear, 18, 3, bias=False)
    as_rows.weight.data.copy_(layer.weight.flatten(1))
    prune_obc(layer, [images], keep={"weight": 0.4})
    prune_obc(as_rows, [patches], keep={"weight": 0.4})
    found = weights(layer)["weight"].flatten(1)
    assert torch.allclose(found, weights(as_rows)["weight"], atol=1e-5)


@pytest.mark.oracle
def test_the_full_hessian_finds_what_least_squares_says(correlated):
    with _rng.seeded(0):
        network = nn.Linear(12, 2, bias=False)
    y = network(correlated).detach()
    expected = obs(
        network.weight.detach().reshape(1, -1),
        torch.block_diag(*[correlated.T @ correlated / len(y)] * 2),
        n_removed=10,
    )

    def loss(outputs, y):
        return (outputs - y).square().sum(1).mean() / 2

    prune_obs(network, [(correlated, y)], loss, keep=14 / 24, damping=0.0)
    assert torch.allclose(weights(network)["weight"].reshape(1, -1), expected.weight, atol=1e-3)


def test_what_is_gone_stays_gone_in_training(correlated):
    with _rng.seeded(0):
        network = nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 2))
    prune_obc(network, [correlated], keep={"0.weight": 0.25})
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    network(correlated).square().sum().backward()
    optimizer.step()
    assert kept(network).layers["0.weight"] == (18, 72)
    settle(network)
    assert isinstance(network[0].weight, nn.Parameter)


def test_errors_say_what_is_wrong(correlated):
    weight, hessian = quadratic()
    with pytest.raises(ValueError, match="`n_removed` must lie in 0..6; got 7"):
        obs(weight, hessian, n_removed=7)
    with pytest.raises(ValueError, match="not positive definite"):
        obs(weight, torch.zeros(6, 6), n_removed=1)
    with _rng.seeded(0):
        network = nn.Sequential(nn.Linear(12, 3), nn.BatchNorm1d(3))
        large = nn.Linear(100, 100)
    with pytest.raises(ValueError, match="10000 weights; a full Hessian is for 4000 at most"):
        prune_obs(large, [], nn.functional.mse_loss, keep=0.5)
    with pytest.raises(ValueError, match="must hold a batch that reaches `0.weight`; none did"):
        prune_obc(network, [], keep={"0.weight": 0.5})
    with pytest.raises(ValueError, match="`1.weight` must be the weight of a Linear"):
        prune_obc(network, [correlated], keep={"1.weight": 0.5})
    prune_obc(network, [correlated], keep={"0.weight": 0.5})
    with pytest.raises(ValueError, match="`0.weight` is constrained already; `settle`"):
        prune_obc(network, [correlated], keep={"0.weight": 0.5})
