import pytest
import torch

from netwright._rng import seeded
from netwright.nn import TextConvolution, TextGru, embed_words, masked_mean


def made(kind, **kwargs):
    with seeded(0):
        return kind(50, 6, **kwargs).eval()


@pytest.mark.parametrize("kind", [TextConvolution, TextGru])
def test_padding_changes_nothing(kind, generator):
    encoder = made(kind)
    tokens = torch.randint(1, 50, (4, 9), generator=generator)
    longer = torch.nn.functional.pad(tokens, (0, 7))
    torch.testing.assert_close(encoder(tokens), encoder(longer))
    assert encoder(tokens).shape == (4, encoder.out_features)


@pytest.mark.parametrize("kind", [TextConvolution, TextGru])
def test_an_empty_text_is_finite(kind):
    assert made(kind)(torch.zeros(2, 9, dtype=torch.int64)).isfinite().all()


@pytest.mark.oracle
@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_convolution_by_brute_force(window, generator):
    encoder = made(TextConvolution, n_filters=3, windows=(window,))
    tokens = torch.randint(1, 50, (1, 7), generator=generator)
    weight, bias = encoder.filters[0][1].weight, encoder.filters[0][1].bias
    before = (window - 1) // 2
    words = torch.zeros(7 + window - 1, 6)
    words[before : before + 7] = encoder.embedding(tokens)[0]
    responses = torch.stack(
        [(weight * words[t : t + window].T).sum((1, 2)) + bias for t in range(7)]
    )
    torch.testing.assert_close(encoder(tokens)[0], responses.relu().amax(0))


@pytest.mark.oracle
def test_gru_by_its_equations(generator):
    encoder = made(TextGru, hidden=4)
    tokens = torch.tensor([[5, 9, 7, 0, 0]])
    gru, states, h = encoder.recurrence, [], torch.zeros(4)
    for word in encoder.embedding(tokens)[0, :3]:
        r_i, z_i, n_i = (gru.weight_ih_l0 @ word + gru.bias_ih_l0).chunk(3)
        r_h, z_h, n_h = (gru.weight_hh_l0 @ h + gru.bias_hh_l0).chunk(3)
        r, z = (r_i + r_h).sigmoid(), (z_i + z_h).sigmoid()
        h = (1 - z) * (n_i + r * n_h).tanh() + z * h
        states.append(h)
    states = torch.stack(states)
    expected = torch.cat([states.mean(0), states.amax(0)])
    torch.testing.assert_close(encoder(tokens)[0], expected)


def test_masked_mean_by_hand():
    states = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [6.0], [7.0]]])
    tokens = torch.tensor([[4, 4, 0], [0, 0, 0]])
    assert masked_mean(states, tokens).tolist() == [[2.0], [0.0]]


def test_padding_row_is_zero_and_stays_so():
    with seeded(0):
        embedding = embed_words(9, 4)
    embedding(torch.tensor([0, 3])).sum().backward()
    assert embedding.weight[0].abs().sum() == 0
    assert embedding.weight.grad[0].abs().sum() == 0
