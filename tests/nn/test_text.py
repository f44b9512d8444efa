import pytest
import torch
from torch.nn import functional

from netwright._rng import seeded
from netwright.nn import TextConvolution, TextGru, embed_words, masked_mean

# float64 sums of a few dozen terms of size 1, in another order
CLOSE = {"atol": 1e-12, "rtol": 0}
TEXTS = ([3, 4, 5, 3], [6], [1, 2], [])
TOKENS = torch.tensor([text + [0] * (4 - len(text)) for text in TEXTS])


def make(kind, **kwargs):
    with seeded(0), torch.no_grad():
        layer = kind(8, 5, dtype=torch.float64, **kwargs)
    return layer


def test_padding_is_the_zero_vector_and_stays_so():
    embedding = make(embed_words)
    embedding(torch.tensor([0, 1, 2])).sum().backward()
    assert not embedding.weight[:2].any()  # the unknown word says nothing yet, and can learn to
    assert not embedding.weight.grad[0].any()
    assert embedding.weight.grad[1:3].all()


def test_word_vectors_have_length_about_one():
    with seeded(0):
        lengths = embed_words(2000, 64).weight[1:].norm(dim=1)
    assert lengths.mean().item() == pytest.approx(1.0, abs=0.02)  # chi distribution: 0.996


@pytest.mark.oracle
def test_mean_is_over_the_words(generator):
    states = torch.randn(4, 4, 3, dtype=torch.float64, generator=generator)
    found = masked_mean(states, TOKENS)
    for row, text in enumerate(TEXTS):
        expected = sum((states[row, i] for i in range(len(text))), torch.zeros(3).double())
        torch.testing.assert_close(found[row], expected / max(1, len(text)), **CLOSE)


def test_mean_skips_padding_between_words(generator):
    states = torch.randn(1, 3, 2, dtype=torch.float64, generator=generator)
    found = masked_mean(states, torch.tensor([[4, 0, 5]]))
    torch.testing.assert_close(found, (states[:, 0] + states[:, 2]) / 2, **CLOSE)


@pytest.mark.oracle
def test_filters_by_hand():
    layer = make(TextConvolution, n_filters=3, windows=(1, 2, 3))
    found = layer(TOKENS)
    for row, text in enumerate(TEXTS):
        words = layer.embedding(torch.tensor(text, dtype=torch.int64))
        expected = []
        for window, each in zip((1, 2, 3), layer.filters, strict=True):
            weight, bias = each[1].weight, each[1].bias
            best = torch.zeros(3, dtype=torch.float64)
            for place in range(len(text)):  # the window is centred, to the right where it is even
                response = bias.clone()
                for i in range(window):
                    seen = place + i - (window - 1) // 2
                    if 0 <= seen < len(text):
                        response = response + weight[:, :, i] @ words[seen]
                best = torch.maximum(best, response)
            expected.append(best)
        torch.testing.assert_close(found[row], torch.cat(expected), **CLOSE)
    assert layer.out_features == found.shape[1] == 9


@pytest.mark.oracle
def test_recurrence_by_hand():
    layer = make(TextGru, hidden=3)
    found = layer(TOKENS)
    gru = layer.recurrence
    for row, text in enumerate(TEXTS):
        state = torch.zeros(3, dtype=torch.float64)
        states = []
        for token in text:  # Cho et al., equations 5 to 8; reset applied after the map, as in torch
            word = layer.embedding.weight[token]
            seen = functional.linear(word, gru.weight_ih_l0, gru.bias_ih_l0).chunk(3)
            kept = functional.linear(state, gru.weight_hh_l0, gru.bias_hh_l0).chunk(3)
            reset, update = (seen[0] + kept[0]).sigmoid(), (seen[1] + kept[1]).sigmoid()
            proposed = (seen[2] + reset * kept[2]).tanh()
            state = (1 - update) * proposed + update * state
            states.append(state)
        if states:
            every = torch.stack(states)
            expected = torch.cat([every.mean(dim=0), every.amax(dim=0)])
        else:
            expected = torch.tensor([0, 0, 0, -1, -1, -1], dtype=torch.float64)
        torch.testing.assert_close(found[row], expected, **CLOSE)
    assert layer.out_features == found.shape[1]


@pytest.mark.parametrize("kind", [TextConvolution, TextGru])
def test_padding_behind_a_text_changes_nothing(kind):
    layer = make(kind)
    long = functional.pad(TOKENS, (0, 5))
    torch.testing.assert_close(layer(long), layer(TOKENS), **CLOSE)


@pytest.mark.parametrize("kind", [TextConvolution, TextGru])
def test_word_vectors_are_dropped_while_training(kind):
    layer = make(kind, p_drop=0.5)
    with seeded(1):
        trained = layer(TOKENS)
    assert not torch.allclose(trained, layer.eval()(TOKENS))
