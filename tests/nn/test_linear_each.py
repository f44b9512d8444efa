import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.nn import LinearEach


@pytest.mark.oracle
def test_each_member_equals_a_linear_layer_of_its_own(generator):
    with seeded(0):
        each = LinearEach(3, 4, 5, dtype=torch.float64)
    x = torch.randn(7, 3, 4, dtype=torch.float64, generator=generator)
    found = each(x)
    for member in range(3):
        plain = nn.Linear(4, 5, dtype=torch.float64, device="meta").to_empty(device="cpu")
        plain.load_state_dict({"weight": each.weight[member].T, "bias": each.bias[member]})
        # sums of four float64 terms of size 1, in another order
        torch.testing.assert_close(found[:, member], plain(x[:, member]), atol=1e-13, rtol=0)


def test_weights_are_drawn_within_the_reach_of_torch():
    with seeded(0):
        each = LinearEach(20, 16, 8)
    for parameter in each.parameters():
        assert parameter.abs().max() <= 1 / 4
        assert parameter.abs().max() > 0.24  # 160 uniform draws: the largest is near the end
        assert parameter.mean().abs() < 0.05  # 4 standard errors of 160 draws: 0.046


def test_repr_shows_the_sizes():
    with seeded(0):
        assert repr(LinearEach(3, 4, 5)) == "LinearEach(n_members=3, in_features=4, out_features=5)"
