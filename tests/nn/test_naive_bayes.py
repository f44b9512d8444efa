import math
from collections import Counter

import pytest
import torch

from netwright._rng import seeded
from netwright.data import TensorSplit
from netwright.nn import NaiveBayesBag, _naive_bayes, log_count_ratios

VOCABULARY = ("good", "bad", "goods", "film", "a")
TEXTS = ([2, 5, 2], [4, 6], [3, 5], [3, 3, 6, 1], [5])
TOKENS = torch.tensor([text + [0] * (4 - len(text)) for text in TEXTS])
CLASSES = torch.tensor([0, 0, 1, 1, 1])
LABELS = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
# float32 logarithms of counts below 100
CLOSE = {"atol": 2e-6, "rtol": 0}


def split_of(y, x=TOKENS):
    return TensorSplit(x, y, torch.arange(len(y)))


def make(y=CLASSES, n_outputs=2, **kwargs):
    with seeded(0):
        bag = NaiveBayesBag(VOCABULARY, n_outputs, **kwargs)
    bag.initialise(split_of(y))
    return bag


def ratio(inside: Counter, outside: Counter, features, feature, smoothing):
    def share(counts):
        total = sum(counts[f] + smoothing for f in features)
        return (counts[feature] + smoothing) / total

    return math.log(share(inside) / share(outside))


@pytest.mark.oracle
def test_ratios_by_hand():
    # class 0: 3 and 1 of 4; others 0 and 2 of 2; with one added: 4/6, 2/6 against 1/4, 3/4
    counts = torch.tensor([[3.0, 1.0], [0.0, 2.0]], dtype=torch.float64)
    expected = [[math.log(8 / 3), math.log(4 / 9)], [math.log(3 / 8), math.log(9 / 4)]]
    torch.testing.assert_close(log_count_ratios(counts), torch.tensor(expected).double())


@pytest.mark.oracle
@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_ratios_of_three_classes_by_brute_force(smoothing, generator):
    table = torch.randint(20, (3, 6), generator=generator).double()
    found = log_count_ratios(table, smoothing=smoothing)
    features = range(6)
    for one in range(3):
        inside = Counter({f: table[one, f].item() for f in features})
        outside = Counter({f: (table[:, f].sum() - table[one, f]).item() for f in features})
        for f in features:
            expected = ratio(inside, outside, features, f, smoothing)
            assert found[one, f].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, -1.0])
def test_smoothing_must_be_positive(smoothing):
    with pytest.raises(ValueError, match="`smoothing` must be positive; got"):
        log_count_ratios(torch.ones(2, 2), smoothing=smoothing)


def pieces_of(word):
    framed = f" {word} "
    lengths = _naive_bayes._SUBWORDS
    return {framed[i : i + n] for n in lengths for i in range(len(framed) - n + 1)}


@pytest.mark.oracle
@pytest.mark.parametrize("y", [CLASSES, LABELS], ids=["class", "labels"])
@pytest.mark.parametrize("smoothing", [0.5, 1.0])
def test_weights_by_brute_force(y, smoothing):
    bag = make(y, longest=2, n_buckets=13, smoothing=smoothing)
    places = [{p for p in row if p} for row in bag.bag.places(TOKENS).tolist()]
    member = torch.nn.functional.one_hot(y).bool() if y.ndim == 1 else y.bool()
    rows = range(len(bag.bag.weight))
    word_rows = range(2, 2 + len(VOCABULARY))
    of_word = dict(zip(word_rows, VOCABULARY, strict=True))
    pieces = sorted({p for word in VOCABULARY for p in pieces_of(word)})
    for output in range(2):
        sides = []
        # the others: every other class, with labels every other label
        for chosen in ([output], [1 - output]):
            counts = Counter()
            for text in range(len(TEXTS)):
                for other in chosen:
                    if member[text, other]:
                        counts.update(places[text])  # once a text, however often it says so
            parts = Counter()
            for r in word_rows:
                parts.update({p: counts[r] for p in pieces_of(of_word[r])})
            sides.append((counts, parts))
        (inside, parts_in), (outside, parts_out) = sides
        for r in rows:
            expected = 0.0
            if inside[r] + outside[r] and r > 1:
                expected += ratio(inside, outside, rows, r, smoothing)
            if r in of_word:
                expected += _naive_bayes._SUBWORD_SHARE * sum(
                    ratio(parts_in, parts_out, pieces, p, smoothing) for p in pieces_of(of_word[r])
                )
            assert bag.bag.weight[r, output].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.oracle
def test_bias_is_the_log_odds_of_the_smoothed_share_and_gain_the_root_of_the_length():
    bag = make()
    shares = [(2 + 1) / (5 + 2), (3 + 1) / (5 + 2)]
    expected = torch.tensor([math.log(p / (1 - p)) for p in shares])
    torch.testing.assert_close(bag.bias.detach(), expected, **CLOSE)
    distinct = [len(set(text)) for text in TEXTS]
    assert bag.gain.item() == pytest.approx((sum(distinct) / 5) ** -0.5, abs=1e-6)


def test_untrained_it_classifies_what_it_counted():
    assert make().eval()(TOKENS[:4]).argmax(1).tolist() == CLASSES[:4].tolist()


def test_a_word_never_seen_speaks_through_its_parts():
    bag = make()  # "goods" stands in one text of class 0; without it:
    with seeded(0):
        unseen = NaiveBayesBag(VOCABULARY, 2)
    unseen.initialise(split_of(CLASSES[[0, 2, 3]], TOKENS[[0, 2, 3]]))
    assert unseen.bag.weight[4, 0] > 0 > unseen.bag.weight[4, 1]
    assert bag.bag.weight[4, 0] > unseen.bag.weight[4, 0]


def test_padding_and_unknown_words_say_nothing():
    bag = make()
    assert not bag.bag.weight[:2].any()


def test_values_and_fresh_bags_start_at_zero():
    with seeded(0):
        fresh = NaiveBayesBag(VOCABULARY, 2)
    values = make(torch.ones(5, 2), is_class=False)
    for bag in (fresh, values):
        assert not bag.bag.weight.any()
        assert torch.equal(bag(TOKENS), torch.zeros(5, 2))


def test_a_word_said_twice_is_counted_once():
    once = TOKENS.clone()
    once[0, 2] = 0
    with seeded(0):
        other = NaiveBayesBag(VOCABULARY, 2)
    other.initialise(split_of(CLASSES, once))
    torch.testing.assert_close(make().bag.weight, other.bag.weight)


@pytest.mark.oracle
def test_gradient_is_that_of_the_sum_and_of_a_prior_around_the_start(generator):
    bag = make().train()
    with torch.no_grad():
        bag.bag.weight.add_(torch.randn(bag.bag.weight.shape, generator=generator))
    (gradient,) = torch.autograd.grad(bag(TOKENS).square().sum(), bag.bag.weight)
    plain = bag.bag.weight.detach().clone().requires_grad_()
    logits = bag.bag.add_up(TOKENS, plain) * bag.gain + bag.bias
    prior = 0.5 * bag.pull * (plain - bag.start).square().sum()
    (expected,) = torch.autograd.grad(logits.square().sum() + prior, plain)
    torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=0)
    assert bag.pull > 0


def test_prior_changes_no_output():
    bag = make(p_drop=0.0)
    assert torch.equal(bag.train()(TOKENS), bag.eval()(TOKENS))


def test_saved_weights_need_no_counting():
    bag = make().eval()
    with seeded(1):
        fresh = NaiveBayesBag(VOCABULARY, 2).eval()
    fresh.load_state_dict(bag.state_dict())
    assert torch.equal(fresh(TOKENS), bag(TOKENS))
