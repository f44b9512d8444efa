import itertools

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import codebook, prune_global, settle, share_weights, weights


@pytest.fixture
def network():
    with _rng.seeded(0):
        return nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))


@pytest.mark.oracle
def test_clusters_are_those_of_sklearns_k_means_from_the_same_start(generator):
    from sklearn.cluster import KMeans

    flat = torch.randn(500, generator=generator)
    start = torch.linspace(flat.min().item(), flat.max().item(), 8)[:, None].double().numpy()
    theirs = KMeans(8, init=start, n_init=1, max_iter=100, tol=0).fit(flat[:, None].double())
    ours = codebook(flat, n_shared=8)
    assert ours.codes.tolist() == theirs.labels_.tolist()
    # Both sum float64; ours is rounded to the weights' float32 at the end.
    assert ours.error == pytest.approx(theirs.inertia_ / 500, rel=1e-6)


@pytest.mark.oracle
def test_no_move_of_a_cut_makes_well_separated_clusters_better():
    flat = torch.tensor([-2.0, -1.9, 0.0, 0.1, 0.2, 1.5, 1.6])
    errors = []
    for a, b in itertools.combinations(range(1, 7), 2):
        parts = (flat[:a], flat[a:b], flat[b:])
        errors.append(sum(((p - p.mean()) ** 2).sum().item() for p in parts) / 7)
    assert codebook(flat, n_shared=3).error == pytest.approx(min(errors), rel=1e-5)


def test_few_different_numbers_are_their_own_values():
    found = codebook(torch.tensor([0.3, -0.1, 0.3]), n_shared=16)
    assert (found.values[found.codes].tolist(), found.error) == (
        torch.tensor([0.3, -0.1, 0.3]).tolist(),
        0.0,
    )
    assert codebook(torch.zeros(0), n_shared=4).codes.tolist() == []


def test_sharing_leaves_so_many_values_and_keeps_zeros(network):
    prune_global(network, keep=0.5)
    gone = {n: w == 0 for n, w in weights(network).items()}
    errors = share_weights(network, {"0.weight": 4, "2.weight": 2})
    for name, n in (("0.weight", 4), ("2.weight", 2)):
        weight = weights(network)[name]
        assert torch.equal(weight == 0, gone[name])
        assert len(weight[weight != 0].unique()) == n
    assert 0 < errors["0.weight"] < 0.01  # a weight is at most 0.29, a quarter of that squared


@pytest.mark.oracle
def test_the_gradient_of_a_value_is_the_sum_over_its_weights(network, generator):
    x = torch.randn(6, 12, generator=generator)
    share_weights(network, 3)
    held = network[0].parametrizations.weight
    network(x).square().sum().backward()
    values = held.original.grad
    plain = weights(network)["0.weight"].clone().requires_grad_()
    hidden = torch.nn.functional.linear(x, plain, network[0].bias).relu()
    network[2](hidden).square().sum().backward()
    expected = [plain.grad.reshape(-1)[held[0].codes == k].sum().item() for k in range(3)]
    # Sums of 36 float32 numbers in another order.
    assert values.tolist() == pytest.approx(expected, rel=1e-4)


def test_values_learn_and_codes_stay(network, generator):
    share_weights(network, 4, least_axes=1)
    before = weights(network, least_axes=1)
    codes = {n: w.unique(return_inverse=True)[1] for n, w in before.items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    network(torch.randn(8, 12, generator=generator)).square().sum().backward()
    optimizer.step()
    settle(network)
    for name, weight in weights(network, least_axes=1).items():
        assert not torch.equal(weight, before[name])
        groups = [weight.reshape(-1)[codes[name].reshape(-1) == k] for k in codes[name].unique()]
        assert all(len(group.unique()) == 1 for group in groups)


@pytest.mark.parametrize(
    ("flat", "n", "match"),
    [(torch.ones(3), 0, "at least 1"), (torch.tensor([1.0, float("nan")]), 2, "not finite")],
)
def test_what_has_no_clusters_is_refused(flat, n, match):
    with pytest.raises(ValueError, match=match):
        codebook(flat, n_shared=n)
