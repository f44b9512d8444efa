import pytest
import torch

from netwright._rng import seeded
from netwright.nn import BatchEnsembleLinear, mean_log_odds, mean_log_probabilities, spread


@pytest.mark.oracle
def test_equals_one_separate_linear_layer_for_each_member(generator):
    with seeded(0):
        layer = BatchEnsembleLinear(3, 5, 4, first=True, dtype=torch.float64)
        for scale in (layer.scale_in, layer.scale_out, layer.bias):
            torch.nn.init.normal_(scale)
    x = torch.randn(7, 3, 5, generator=generator, dtype=torch.float64)
    for member in range(3):
        weight = layer.scale_out[member, :, None] * layer.weight * layer.scale_in[member]
        expected = x[:, member] @ weight.T + layer.bias[member]
        torch.testing.assert_close(layer(x)[:, member], expected)


def test_an_axis_of_one_member_is_shown_to_all(generator):
    with seeded(0):
        layer = BatchEnsembleLinear(4, 5, 2, first=True)
    x = torch.randn(7, 1, 5, generator=generator)
    torch.testing.assert_close(layer(x), layer(x.expand(7, 4, 5)))


def test_members_of_a_first_layer_differ_and_later_ones_start_alike(generator):
    x = torch.randn(7, 1, 32, generator=generator)
    with seeded(0):
        first, later = BatchEnsembleLinear(2, 32, 3, first=True), BatchEnsembleLinear(2, 32, 3)
    assert set(first.scale_in.unique().tolist()) == {-1.0, 1.0}
    assert not torch.allclose(first(x)[:, 0], first(x)[:, 1])
    assert torch.equal(later(x)[:, 0], later(x)[:, 1])


@pytest.mark.parametrize("n_rows", [1, 4, 6, 8])
def test_rows_are_dealt_out_in_turn_and_keep_their_order(n_rows):
    x = torch.arange(n_rows, dtype=torch.float32)[:, None] + 1
    dealt = spread(x, 4)
    assert dealt.shape == (-(-n_rows // 4), 4, 1)
    assert torch.equal(dealt.flatten(0, 1)[:n_rows], x)
    assert dealt.flatten(0, 1)[n_rows:].abs().sum() == 0


@pytest.mark.oracle
def test_average_of_probabilities(generator):
    logits = 3 * torch.randn(6, 5, 4, generator=generator, dtype=torch.float64)
    found = mean_log_probabilities(logits).exp()
    torch.testing.assert_close(found, logits.softmax(2).mean(1))


@pytest.mark.oracle
def test_average_of_label_probabilities(generator):
    logits = 3 * torch.randn(6, 5, 4, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(mean_log_odds(logits).sigmoid(), logits.sigmoid().mean(1))


def test_averages_stay_finite_for_sure_members():
    logits = torch.tensor([[[200.0, -200.0], [190.0, -300.0]]])
    assert mean_log_probabilities(logits).isfinite().all()
    assert mean_log_odds(logits).isfinite().all()
