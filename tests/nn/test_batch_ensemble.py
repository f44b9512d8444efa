import pytest
import torch
from torch.nn import functional

from netwright._rng import seeded
from netwright.nn import (
    BatchEnsembleLinear,
    LinearEach,
    mean_log_odds,
    mean_log_probabilities,
    spread,
)

# float64 sums of a few terms of size 1, in another order
CLOSE = {"atol": 1e-12, "rtol": 0}


@pytest.fixture
def layer():
    """Three members whose scales and biases all differ."""
    with seeded(0), torch.no_grad():
        made = BatchEnsembleLinear(3, 4, 5, first=True, dtype=torch.float64)
        for parameter in (made.scale_in, made.scale_out, made.bias):
            parameter.add_(torch.randn_like(parameter))
    return made


@pytest.mark.oracle
def test_each_member_equals_a_linear_layer_of_its_own(layer, generator):
    x = torch.randn(7, 3, 4, dtype=torch.float64, generator=generator)
    found = layer(x)
    for member in range(3):
        # equation 5: W * (r s^T), element by element
        weight = layer.weight * torch.outer(layer.scale_out[member], layer.scale_in[member])
        expected = functional.linear(x[:, member], weight, layer.bias[member])
        torch.testing.assert_close(found[:, member], expected, **CLOSE)


def test_one_row_is_shown_to_all_members(layer, generator):
    x = torch.randn(7, 1, 4, dtype=torch.float64, generator=generator)
    assert torch.equal(layer(x), layer(x.expand(-1, 3, -1)))


def test_members_of_a_first_layer_differ_by_signs_alone():
    with seeded(0):
        first = BatchEnsembleLinear(8, 16, 2, first=True)
        later = BatchEnsembleLinear(8, 16, 2)
    assert set(first.scale_in.flatten().tolist()) == {-1.0, 1.0}
    assert set(later.scale_in.flatten().tolist()) == {1.0}
    assert set(first.scale_out.flatten().tolist()) == {1.0}
    assert torch.equal(first.bias, first.bias[:1].expand(8, -1))


@pytest.mark.parametrize(("n", "groups"), [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_rows_are_dealt_out_in_turn(n, groups):
    x = torch.arange(1.0, 2 * n + 1).view(n, 2)
    dealt = spread(x, 4)
    assert dealt.shape == (groups, 4, 2)
    assert torch.equal(dealt.flatten(0, 1)[:n], x)
    assert not dealt.flatten(0, 1)[n:].any()
    for row in range(n):
        assert torch.equal(dealt[row // 4, row % 4], x[row])


@pytest.mark.oracle
def test_class_probabilities_are_averaged(generator):
    logits = 3 * torch.randn(6, 4, 5, dtype=torch.float64, generator=generator)
    expected = logits.softmax(dim=2).mean(dim=1)
    torch.testing.assert_close(mean_log_probabilities(logits).softmax(1), expected, **CLOSE)
    torch.testing.assert_close(mean_log_probabilities(logits).exp(), expected, **CLOSE)


@pytest.mark.oracle
def test_label_probabilities_are_averaged(generator):
    logits = 3 * torch.randn(6, 4, 5, dtype=torch.float64, generator=generator)
    expected = logits.sigmoid().mean(dim=1)
    torch.testing.assert_close(mean_log_odds(logits).sigmoid(), expected, **CLOSE)


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[[1000.0, -1000.0], [-1000.0, 1000.0]]])
    assert mean_log_probabilities(logits).exp().tolist() == [[0.5, 0.5]]
    assert mean_log_odds(logits).tolist() == [[0.0, 0.0]]


def test_ensemble_needs_few_weights_more_than_one_network():
    with seeded(0):
        shared, apart = BatchEnsembleLinear(16, 64, 64), LinearEach(16, 64, 64)
    count = sum(p.numel() for p in shared.parameters())
    assert count == 64 * 64 + 16 * (64 + 64 + 64)
    assert count < sum(p.numel() for p in apart.parameters()) / 8


def test_repr_shows_the_sizes(layer):
    assert repr(layer) == "BatchEnsembleLinear(n_members=3, in_features=4, out_features=5)"
