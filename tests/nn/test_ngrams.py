import itertools

import pytest
import torch

from netwright._rng import seeded
from netwright.nn import NgramBag, ngram_places
from netwright.nn._ngrams import _MULTIPLIERS

TEXTS = ([3, 4, 5, 3, 4], [6, 2], [5], [])
TOKENS = torch.tensor([text + [0] * (5 - len(text)) for text in TEXTS])
SIZES = {"n_words": 7, "n_buckets": 11}


def ngrams(text, longest):
    """All n-grams of a text, shorter ones first."""
    for order in range(1, longest + 1):
        for start in range(len(text) - order + 1):
            yield tuple(text[start : start + order])


def row_of(ngram):
    """A word's own number, or the bucket of a polynomial hash."""
    if len(ngram) == 1:
        return ngram[0]
    mixed = len(ngram) + sum(w * m for w, m in zip(ngram, _MULTIPLIERS, strict=False))
    return SIZES["n_words"] + mixed % SIZES["n_buckets"]


@pytest.mark.oracle
@pytest.mark.parametrize("longest", [1, 2, 3, 5])
def test_places_by_brute_force(longest):
    found = ngram_places(TOKENS, longest=longest, **SIZES)
    for row, text in enumerate(TEXTS):
        rows = [place for place in found[row].tolist() if place]
        assert sorted(rows) == sorted(row_of(ngram) for ngram in ngrams(text, longest))


def test_places_stay_in_the_table_for_the_largest_vocabulary():
    tokens = torch.full((1, 6), 2**24 - 1)
    found = ngram_places(tokens, n_words=2**24, n_buckets=1000, longest=6)
    exact = 6 + (2**24 - 1) * sum(_MULTIPLIERS)
    assert found[0, -1].item() == 2**24 + exact % 1000


@pytest.mark.oracle
@pytest.mark.parametrize(("letters", "order"), [(4, 5), (20, 3)])  # DNA and proteins
def test_runs_of_few_letters_spread_like_those_of_a_random_hash(letters, order):
    runs = torch.tensor(list(itertools.product(range(2, 2 + letters), repeat=order)))
    for n_buckets in (1 << 12, 1 << 16):
        found = ngram_places(runs, n_words=30, n_buckets=n_buckets, longest=order)[:, -1]
        random = n_buckets * (1 - (1 - 1 / n_buckets) ** len(runs))  # buckets that are hit
        assert len(found.unique()) > 0.9 * random


def test_order_of_words_decides_the_bucket():
    pairs = torch.tensor([[3, 4], [4, 3]])
    found = ngram_places(pairs, n_words=7, n_buckets=1 << 14, longest=2)
    assert found[0, 2] != found[1, 2]


def test_texts_shorter_than_an_ngram():
    assert ngram_places(torch.tensor([[3]]), longest=3, **SIZES).tolist() == [[3]]


@pytest.mark.oracle
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("longest", [1, 2, 3, 5])
def test_bag_by_brute_force(longest, power):
    with seeded(0):
        bag = NgramBag(7, 4, n_buckets=11, longest=longest, power=power, dtype=torch.float64)
    found = bag(TOKENS)
    for row, text in enumerate(TEXTS):
        rows = [row_of(ngram) for ngram in ngrams(text, longest)]
        total = sum((bag.weight[r] for r in rows), torch.zeros(4, dtype=torch.float64))
        # sums of a dozen float64 terms of size 1, in another order
        expected = total / max(1, len(rows)) ** power
        torch.testing.assert_close(found[row], expected, atol=1e-13, rtol=0)


def test_padding_stays_zero():
    with seeded(0):
        bag = NgramBag(7, 4, n_buckets=11, longest=2)
    assert not bag.weight[0].any()
    bag(TOKENS).square().sum().backward()
    assert not bag.weight.grad[0].any()
    assert bag.weight.grad.any()


def test_words_alone_need_no_buckets():
    with seeded(0):
        assert NgramBag(7, 4, n_buckets=11, longest=1).weight.shape == (7, 4)


def test_left_out_ngrams_are_made_up_for_in_a_sum():
    with seeded(0):
        bag = NgramBag(7, 4, power=0.0, p_drop=0.5)
        with torch.no_grad():
            bag.weight[1:] = 1
        found = bag(torch.full((100, 100), 3))
    assert set(found.flatten().tolist()) <= {2.0 * n for n in range(101)}
    # 4 standard errors of 10,000 draws of 0 or 2
    assert found.mean().item() == pytest.approx(100, abs=4)
    assert bag.eval()(torch.full((1, 100), 3)).tolist() == [[100.0] * 4]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"longest": 7}, "`longest` must be 1 to 6 tokens; got 7"),
        ({"longest": 0}, "`longest` must be 1 to 6 tokens; got 0"),
        ({"longest": 2}, "`n_buckets` must be positive for n-grams of 2 words"),
        ({"p_drop": 1.0}, "`p_drop` must be a probability below 1; got 1.0"),
    ],
)
def test_arguments_must_make_sense(kwargs, message):
    with pytest.raises(ValueError, match=message):
        NgramBag(7, 4, **kwargs)


def test_repr_shows_the_sizes():
    with seeded(0):
        bag = NgramBag(7, 4, n_buckets=11, longest=2)
    assert repr(bag) == (
        "NgramBag(n_words=7, width=4, n_buckets=11, longest=2, power=1.0, p_drop=0.0)"
    )
