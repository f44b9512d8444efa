import itertools

import pytest
import torch

from netwright._rng import seeded
from netwright.nn import NgramBag, ngram_places

WORDS = {"n_words": 50, "n_buckets": 1000}


def test_single_words_keep_their_numbers():
    tokens = torch.tensor([[3, 4, 0]])
    assert torch.equal(ngram_places(tokens, **WORDS, longest=1), tokens)


@pytest.mark.parametrize("longest", [2, 3])
def test_an_n_gram_with_padding_does_not_exist(longest):
    places = ngram_places(torch.tensor([[3, 4, 5, 0, 0]]), **WORDS, longest=longest)
    n_full = {2: 3 + 2, 3: 3 + 2 + 1}[longest]
    assert (places != 0).sum() == n_full
    assert places.shape == (1, {2: 9, 3: 12}[longest])


def test_longer_n_grams_live_behind_the_words_within_the_buckets(generator):
    tokens = torch.randint(1, 50, (200, 30), generator=generator)
    longer = ngram_places(tokens, **WORDS, longest=3)[:, 30:]
    assert longer.min() >= 50
    assert longer.max() < 1050


def test_order_of_words_matters():
    def bigram(a, b):
        return ngram_places(torch.tensor([[a, b]]), **WORDS, longest=2)[0, -1].item()

    pairs = list(itertools.permutations(range(1, 50), 2))
    assert sum(bigram(a, b) == bigram(b, a) for a, b in pairs) < 10  # 2.4 expected by chance


def test_the_hash_spreads_evenly(generator):
    tokens = torch.randint(1, 20_000, (2000, 26), generator=generator)
    places = ngram_places(tokens, n_words=20_000, n_buckets=100, longest=2)[:, 26:] - 20_000
    counts = torch.bincount(places.flatten(), minlength=100).float()
    # chi-squared with 99 degrees of freedom, 50,000 draws, 500 a bucket: 99.99 % below 161
    assert ((counts - 500) ** 2 / 500).sum() < 161


def test_big_vocabularies_do_not_overflow():
    tokens = torch.full((1, 3), 2**24 - 1)
    places = ngram_places(tokens, n_words=2**24, n_buckets=1000, longest=3)
    assert places.min() >= 0


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_bag_by_hand(power):
    with seeded(0):
        bag = NgramBag(50, 4, power=power)
    found = bag(torch.tensor([[7, 9, 7, 9, 0]]))
    expected = (2 * bag.weight[7] + 2 * bag.weight[9]) / 4**power
    torch.testing.assert_close(found[0], expected)


def test_an_empty_text_gives_zero_and_padding_learns_nothing():
    with seeded(0):
        bag = NgramBag(50, 4, n_buckets=10, longest=2)
    found = bag(torch.tensor([[0, 0, 0], [7, 0, 0]]))
    assert found[0].abs().sum() == 0
    found.sum().backward()
    assert bag.weight.grad[0].abs().sum() == 0
    assert bag.weight.grad[7].abs().sum() > 0


def test_padding_changes_nothing(generator):
    with seeded(0):
        bag = NgramBag(50, 4, n_buckets=100, longest=3)
    tokens = torch.randint(1, 50, (5, 8), generator=generator)
    longer = torch.nn.functional.pad(tokens, (0, 6))
    torch.testing.assert_close(bag(tokens), bag(longer))


def test_texts_shorter_than_the_longest_n_gram():
    with seeded(0):
        bag = NgramBag(50, 4, n_buckets=100, longest=3)
    assert bag(torch.tensor([[7]])).isfinite().all()


def test_dropout_keeps_the_sum_on_average():
    with seeded(0):
        bag = NgramBag(50, 1, power=0.0, p_drop=0.5)
        with torch.no_grad():
            bag.weight[1:] = 1
        found = bag(torch.full((4000, 10), 3))
    # 4 standard errors: one text has variance 10 * 0.25 / 0.25
    assert found.mean().item() == pytest.approx(10, abs=0.2)
    assert bag.eval()(torch.full((1, 10), 3)).item() == 10


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"longest": 4}, "`longest` must be 1, 2 or 3 words; got 4"),
        ({"longest": 2}, "`n_buckets` must be positive for n-grams of 2 words"),
        ({"p_drop": 1.0}, "`p_drop` must be a probability below 1; got 1.0"),
    ],
)
def test_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        NgramBag(50, 4, **kwargs)
