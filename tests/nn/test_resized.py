import copy

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.compress import channels, filter_norms, prune_channels, svd, tucker
from netwright.nn import ConvNorm, GlobalPool, Separable
from netwright.nn._resized import in_factors, join, resized


def images():
    with seeded(0):
        return torch.rand(4, 3, 8, 8)


def network():
    with seeded(1):
        made = nn.Sequential(
            ConvNorm(3, 8), Separable(8, 12, stride=2), GlobalPool(), nn.Linear(12, 5)
        )
        made(10 * torch.rand(16, 3, 8, 8))  # so that the norms have statistics
    return made.eval()


def test_the_sizes_of_a_pruned_network_take_its_weights():
    whole, x = network(), images()
    found = channels(whole, x)
    thin = prune_channels(whole, x, found, filter_norms(whole, found), macs=0.5).network
    sizes = {name: list(tensor.shape) for name, tensor in thin.state_dict().items()}
    again = resized(network(), sizes=sizes)
    again.load_state_dict(thin.state_dict())
    torch.testing.assert_close(again(x), thin(x), rtol=0, atol=0)
    assert repr(again) == repr(thin) and repr(again) != repr(whole)


def test_a_joined_norm_changes_no_output():
    whole, x = network(), images()
    pairs = [("0.0", "0.1"), ("1.0.0", "1.0.1"), ("1.1.0", "1.1.1")]
    without = resized(copy.deepcopy(whole), joined=pairs)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in without.modules())
    # float32 sums of 72 terms
    torch.testing.assert_close(without(x), whole(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "ranks"),
    [
        (nn.Linear(6, 4), [2]),
        (nn.Linear(6, 4, bias=False), [3]),
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), [5, 2]),
        (nn.Conv2d(3, 8, 1, bias=False), [2]),
    ],
    ids=["linear", "without bias", "tucker", "single pixels"],
)
def test_factors_have_the_shapes_of_the_factorisations(layer, ranks):
    with seeded(0):
        layers = in_factors(layer, ranks)
    if isinstance(layer, nn.Linear):
        wanted = svd(layer, rank=ranks[0]).layers
        assert repr(layers) == repr(wanted)
    elif len(ranks) == 2:
        wanted = tucker(layer, ranks=(ranks[0], ranks[1])).layers
    else:
        assert [tuple(p.shape) for p in layers.parameters()] == [(2, 3, 1, 1), (8, 2, 1, 1)]
        return
    shapes = {name: tensor.shape for name, tensor in layers.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in wanted.state_dict().items()}
    x = torch.zeros(2, 6) if isinstance(layer, nn.Linear) else torch.zeros(2, 3, 8, 8)
    assert layers(x).shape == layer(x).shape


def test_what_cannot_be_had_is_refused():
    with pytest.raises(ValueError, match="does not have"):
        resized(network(), sizes={"9.weight": [1]})
    with pytest.raises(ValueError, match="of a tensor of shape"):
        resized(network(), sizes={"3.bias": [6]})
    with pytest.raises(ValueError, match="cannot be had of"):
        in_factors(network()[3], [1, 1])
    with pytest.raises(ValueError, match="cannot be joined"):
        join(network(), "2", "0.1")
