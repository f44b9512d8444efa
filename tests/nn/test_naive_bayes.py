import math

import numpy as np
import pytest
import torch

from netwright._rng import seeded
from netwright.data import TensorSplit
from netwright.nn import NaiveBayesBag, log_count_ratios

# good = 2, bad = 3, film = 4, goodness = 5 (in no text)
VOCABULARY = ("good", "bad", "film", "goodness")
TEXTS = torch.tensor([[2, 4, 0], [2, 2, 4], [3, 4, 0], [3, 1, 0]])
CLASSES = torch.tensor([1, 1, 0, 0])


def split(y=CLASSES, x=TEXTS):
    return TensorSplit(x, y, torch.arange(len(y)))


def started(**kwargs):
    with seeded(0):
        bag = NaiveBayesBag(VOCABULARY, 2, **kwargs)
    bag.initialise(split())
    return bag


def test_ratios_by_hand():
    counts = torch.tensor([[3.0, 1.0, 0.0], [1.0, 1.0, 2.0]])
    p, q = np.array([4, 2, 1]) / 7, np.array([2, 2, 3]) / 7
    found = log_count_ratios(counts)
    np.testing.assert_allclose(found[0].numpy(), np.log(p / q), rtol=1e-6)
    np.testing.assert_allclose(found[1].numpy(), np.log(q / p), rtol=1e-6)


def test_words_count_once_a_text():
    weights = started().bag.weight.detach()
    # Occurrences: padding has no weight; unknown never gets one; "good" in 2 of class 1's texts.
    assert weights[:2].abs().sum() == 0
    assert weights[2, 1] > 0 > weights[2, 0]
    assert weights[3, 0] > 0 > weights[3, 1]


def test_an_unseen_word_is_judged_by_its_parts():
    weights = started().bag.weight.detach()
    assert weights[5, 1] > 0 > weights[5, 0]  # "goodness" holds "good"


def test_bias_is_the_log_odds_of_the_class():
    with seeded(0):
        bag = NaiveBayesBag(VOCABULARY, 2)
    bag.initialise(split(torch.tensor([1, 1, 1, 0])))
    expected = [math.log((1 + 1) / (3 + 1)), math.log((3 + 1) / (1 + 1))]
    np.testing.assert_allclose(bag.bias.detach().numpy(), expected, rtol=1e-5)


def test_labels_are_counted_each_for_itself():
    with seeded(0):
        bag = NaiveBayesBag(VOCABULARY, 2)
    both = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    bag.initialise(split(both))
    torch.testing.assert_close(bag.bag.weight[:, 0], bag.bag.weight[:, 1])


def test_values_start_at_zero():
    with seeded(0):
        bag = NaiveBayesBag(VOCABULARY, 1, is_class=False)
    bag.initialise(split(torch.rand(4, 1, generator=torch.Generator().manual_seed(0))))
    assert bag(TEXTS).abs().sum() == 0


def test_training_is_pulled_towards_the_start():
    bag = started()
    with torch.no_grad():
        bag.bag.weight += 1.0
    bag.train()(TEXTS).sum().backward()
    pulled = bag.bag.weight.grad.clone()
    bag.bag.weight.grad = None
    bag.pull = 0.0
    bag(TEXTS).sum().backward()
    # d/dw of pull / 2 * (w - start)^2 at a distance of 1; pull is a half over four texts
    torch.testing.assert_close(pulled - bag.bag.weight.grad, torch.full_like(pulled, 0.125))


def test_start_is_not_saved():
    assert set(started().state_dict()) == {"bag.weight", "gain", "bias"}


def test_initialise_draws_nothing_and_repeats_itself():
    assert torch.equal(started().bag.weight, started().bag.weight)


@pytest.mark.oracle
def test_single_words_classify_as_multinomial_naive_bayes_does():
    """Without subwords, gain and priors, the decision is scikit-learn's on binarised counts."""
    from sklearn.naive_bayes import MultinomialNB

    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (300,), generator=generator)
    x = torch.randint(2, 32, (300, 12), generator=generator)
    x = torch.where((torch.rand(300, 12, generator=generator) < 0.3) & (y == 1)[:, None], 2, x)
    present = torch.zeros(300, 32).scatter_(1, x, 1.0)[:, 2:].numpy()
    theirs = MultinomialNB(alpha=1.0, fit_prior=False).fit(present, y.numpy())
    with seeded(0):
        bag = NaiveBayesBag([str(i) for i in range(30)], 2)  # too short for two character n-grams
    bag.initialise(split(y, x))
    expected = theirs.feature_log_prob_[1] - theirs.feature_log_prob_[0]
    counts = torch.tensor(np.stack([present[y == k].sum(0) for k in (0, 1)]))
    ratios = log_count_ratios(counts)
    np.testing.assert_allclose(ratios[1].numpy(), expected, rtol=1e-4, atol=1e-5)
    # The bag's own weights rank the words in the same way: subwords repeat what words say.
    assert np.corrcoef(bag.bag.weight[2:, 1].detach().numpy(), expected)[0, 1] > 0.99


@pytest.mark.claim
def test_reaches_the_literature_on_real_sentences(shared_data):
    import netwright as nw
    from netwright.design import Design, build_network, initialise

    task = nw.load("rt_polarity", seed=0)
    network = build_network(Design("nb", "text_linear", {"longest": 2}), task.schema, seed=0).eval()
    initialise(network, task.train)
    x, y = next(iter(task.validation.batches(len(task.validation))))
    with torch.no_grad():
        accuracy = (network(x).argmax(1) == y).float().mean().item()
    # Naive Bayes on words and pairs reaches 0.75-0.77 from 6,400 sentences; 1066 rows: +-0.026
    assert accuracy > 0.74
