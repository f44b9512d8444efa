import pytest
import torch

from netwright._rng import seeded
from netwright.nn import LinearEach


@pytest.mark.oracle
def test_equals_separate_linear_layers(generator):
    with seeded(0):
        each = LinearEach(3, 5, 2)
    x = torch.randn(7, 3, 5, generator=generator)
    for member in range(3):
        with seeded(1):
            plain = torch.nn.Linear(5, 2)
        plain.load_state_dict({"weight": each.weight[member].T, "bias": each.bias[member]})
        torch.testing.assert_close(each(x)[:, member], plain(x[:, member]))


def test_weights_start_in_the_range_of_torch():
    with seeded(0):
        each = LinearEach(2, 16, 200)
    assert each.weight.abs().max() <= 0.25
    assert each.weight.abs().max() > 0.24
