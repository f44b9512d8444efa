import copy
from functools import partial

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import (
    by_energy,
    by_parameters,
    channel_split,
    cp,
    factorise,
    flattened,
    separable,
    spatial_split,
    svd,
    tucker,
)


@pytest.fixture
def linear():
    with _rng.seeded(0):
        return nn.Linear(12, 8).double()


@pytest.fixture
def convolution():
    with _rng.seeded(0):
        return nn.Conv2d(6, 8, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2)).double()


def images():
    draw = torch.Generator().manual_seed(0)
    return torch.rand(2, 6, 9, 12, generator=draw, dtype=torch.float64)


def built(layer, factors):
    # What the layers do to single pixels that are on: the weight that they amount to.
    height, width = layer.kernel_size
    dots = torch.eye(layer.in_channels * height * width, dtype=torch.float64)
    dots = dots.reshape(-1, layer.in_channels, height, width)
    value = dots
    for module in factors.layers:
        value = nn.functional.conv2d(value, module.weight, groups=module.groups)
    return value.flatten(1).T.reshape(layer.weight.shape)


CONVOLUTIONS = {
    "channel_split": partial(channel_split, rank=3),
    "spatial_split": partial(spatial_split, rank=7),
    "tucker": partial(tucker, ranks=(4, 3)),
    "separable": partial(separable, multiplier=2),
    "flattened": flattened,
    "cp": partial(cp, rank=4, generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.oracle
@pytest.mark.parametrize("rank", [1, 3, 8])
def test_svd_is_as_near_as_eckart_and_young_allow(linear, rank):
    found = svd(linear, rank=rank)
    values = torch.linalg.svdvals(linear.weight)
    best = (values[rank:].square().sum() / values.square().sum()).sqrt()
    assert found.error == pytest.approx(best.item(), abs=1e-12)
    first, second = found.layers
    apart = (linear.weight - second.weight @ first.weight).norm() / linear.weight.norm()
    assert apart.item() == pytest.approx(best.item(), abs=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("split", "unfolded"),
    [
        (channel_split, lambda w: w.flatten(1)),
        (spatial_split, lambda w: w.permute(0, 3, 1, 2).flatten(2).flatten(0, 1)),
    ],
    ids=["channel_split", "spatial_split"],
)
def test_splits_of_convolutions_are_as_near_as_eckart_and_young_allow(convolution, split, unfolded):
    values = torch.linalg.svdvals(unfolded(convolution.weight))
    for rank in (1, 4):
        best = (values[rank:].square().sum() / values.square().sum()).sqrt().item()
        assert split(convolution, rank=rank).error == pytest.approx(best, abs=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_error_is_that_of_the_layers(convolution, name):
    found = CONVOLUTIONS[name](convolution)
    apart = (built(convolution, found) - convolution.weight).norm() / convolution.weight.norm()
    assert found.error == pytest.approx(apart.item(), abs=1e-9)
    assert 0 < found.error < 1
    assert found.parameters[1] < found.parameters[0]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_strides_padding_and_dilation_go_to_the_factors(convolution, name):
    # A layer that amounts to the factors exactly must give what they give.
    found = CONVOLUTIONS[name](convolution)
    convolution.weight.data.copy_(built(convolution, found))
    assert torch.allclose(found.layers(images()), convolution(images()), atol=1e-10)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "whole",
    [
        partial(channel_split, rank=8),
        partial(spatial_split, rank=18),
        partial(tucker, ranks=(8, 6)),
        partial(separable, multiplier=8),
    ],
    ids=["channel_split", "spatial_split", "tucker", "separable"],
)
def test_full_rank_reproduces_exactly(convolution, whole):
    found = whole(convolution)
    assert found.error < 1e-12
    assert torch.allclose(found.layers(images()), convolution(images()), atol=1e-10)


@pytest.mark.oracle
def test_what_was_made_of_few_parts_is_found_again(convolution):
    draw = torch.Generator().manual_seed(1)
    for name, factors in CONVOLUTIONS.items():
        if name == "cp":  # finds local optima; see below
            continue
        found = factors(convolution)
        again = copy.deepcopy(convolution)
        for module in found.layers:
            module.weight.data.normal_(generator=draw)
        again.weight.data.copy_(built(again, found))
        assert factors(again).error < 1e-6, name


@pytest.mark.oracle
def test_cp_finds_two_terms_again():
    draw = torch.Generator().manual_seed(3)
    vectors = [torch.randn(n, 2, generator=draw, dtype=torch.float64) for n in (8, 6, 3, 3)]
    with _rng.seeded(0):
        layer = nn.Conv2d(6, 8, 3).double()
    layer.weight.data.copy_(torch.einsum("or,ir,hr,wr->oihw", *vectors))
    assert cp(layer, rank=2, n_rounds=500).error < 1e-6
    assert cp(layer, rank=1).error > 0.1  # one term is not enough


@pytest.mark.oracle
def test_tucker_lies_between_the_bounds_of_its_axes(convolution):
    weight = convolution.weight.detach()
    lost = [
        torch.linalg.svdvals(each.flatten(1))[n:].square().sum() / weight.square().sum()
        for each, n in ((weight, 4), (weight.transpose(0, 1), 3))
    ]
    start, found = (tucker(convolution, ranks=(4, 3), n_rounds=n).error for n in (0, 20))
    assert max(lost).sqrt() - 1e-12 <= found <= start <= sum(lost).sqrt() + 1e-12
    assert found < start  # turns do help here


def test_ranks_are_chosen_by_energy_and_by_parameters(linear):
    values = torch.linalg.svdvals(linear.weight)
    rank = svd(linear, rank=by_energy(0.8)).ranks[0]
    held = values.square().cumsum(0) / values.square().sum()
    assert held[rank - 1] >= 0.8 > held[rank - 2]
    before, after = svd(linear, rank=by_parameters(0.5)).parameters
    assert after - 8 <= 0.5 * (before - 8) < after - 8 + 20  # one rank more is 20 numbers
    assert tucker(nn_conv(), ranks=(by_energy(1.0), by_energy(1.0))).ranks == (8, 6)


def nn_conv():
    with _rng.seeded(0):
        return nn.Conv2d(6, 8, 3)


def test_layers_of_a_network_are_replaced_and_it_can_learn():
    with _rng.seeded(0):
        network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    how = {"0": partial(channel_split, rank=4), "3": partial(svd, rank=by_energy(0.9))}
    smaller, found = factorise(network, how)
    assert list(found) == ["0", "3"] and isinstance(network[3], nn.Linear)
    smaller(torch.zeros(2, 1, 8, 8)).sum().backward()
    assert all(p.grad is not None for p in smaller.parameters())


def test_what_cannot_be_factorised_is_named():
    with _rng.seeded(0):
        network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Linear(3, 3))
    with pytest.raises(ValueError, match=r"Layer `0`: `layer` must be a Conv2d of one group"):
        factorise(network, {"0": partial(channel_split, rank=1)})
    with pytest.raises(ValueError, match=r"Layer `1`: `rank` must lie in 1..3; got 4"):
        factorise(network, {"1": partial(svd, rank=4)})
    with pytest.raises(ValueError, match=r"no layer `2`; it has 0, 1"):
        factorise(network, {"2": partial(svd, rank=4)})
    with pytest.raises(ValueError, match="`share` must lie in"):
        by_energy(0.0)
