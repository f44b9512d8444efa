import math

import pytest
import sklearn.metrics
import torch
from scipy.stats import norm
from torch.nn.functional import one_hot

from netwright.measure import auroc, auroc_labels


@pytest.mark.oracle
@pytest.mark.parametrize("signal", [0.0, 1.0, 3.0, 50.0])
@pytest.mark.parametrize("levels", [None, 4])  # few distinct scores: many ties
def test_two_classes_match_scikit_learn(signal, levels, generator):
    y = torch.randint(2, (200,), generator=generator)
    scores = torch.randn(200, generator=generator, dtype=torch.double) + signal * y
    if levels is not None:
        scores = (scores * levels).round() / levels
    found = auroc(torch.stack([torch.zeros_like(scores), scores], 1), y)
    assert found.value == pytest.approx(sklearn.metrics.roc_auc_score(y, scores), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


@pytest.mark.oracle
def test_several_classes_match_scikit_learn(generator):
    y = torch.randint(4, (300,), generator=generator)
    logits = torch.randn(300, 4, generator=generator, dtype=torch.double) + one_hot(y, 4)
    truth = sklearn.metrics.roc_auc_score(y, logits.softmax(1), multi_class="ovr")
    assert auroc(logits, y).value == pytest.approx(truth, abs=1e-12)


@pytest.mark.oracle
def test_labels_match_scikit_learn(generator):
    y = (torch.rand(300, 3, generator=generator) < 0.3).float()
    logits = torch.randn(300, 3, generator=generator) + y
    truth = sklearn.metrics.roc_auc_score(y, logits, average="macro")
    assert auroc_labels(logits, y).value == pytest.approx(truth, abs=1e-12)


@pytest.mark.oracle
def test_the_interval_is_delongs_by_brute_force(generator):
    # A fifth of few positives look like the many negatives: DeLong's interval is the wider one.
    y = torch.arange(220) < 20
    scores = torch.randn(220, generator=generator, dtype=torch.double) + 8.0 * y
    scores[:4] -= 8
    above = (scores[y][:, None] > scores[~y]).double()
    theta = above.mean()
    variance = above.mean(1).var() / y.sum() + above.mean(0).var() / (~y).sum()
    half = 1.959964 * variance.sqrt() / (theta * (1 - theta))
    low, high = (theta.logit() - half).sigmoid().item(), (theta.logit() + half).sigmoid().item()
    found = auroc(torch.stack([-scores, scores], 1), y.long())
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.oracle
def test_a_perfect_rankings_interval_is_newcombes():
    # Newcombe 2006, method 5, at theta = 1 with m = n = 10: (1 - t)^2 = z^2 V(t), solved by hand.
    y = torch.arange(20) >= 10
    found = auroc(torch.stack([torch.zeros(20), torch.arange(20.0)], 1), y.long())
    t = found.low
    shape = 1 + 9 * ((1 - t) / (2 - t) + t / (1 + t))
    assert (1 - t) ** 2 == pytest.approx(1.959964**2 * t * (1 - t) * shape / 100, rel=1e-6)
    assert (found.value, found.high) == (1.0, 1.0)


def test_saturated_probabilities_still_rank():
    logits = torch.tensor([[0.0, 50.0], [0.0, 60.0]])  # both have probability 1 in float32
    assert auroc(logits, torch.tensor([0, 1])).value == 1.0


def test_one_class_only_is_unresolved():
    found = auroc(torch.zeros(5, 2), torch.zeros(5, dtype=torch.int64))
    assert "all positive or all negative" in found.unresolved
    found = auroc(torch.zeros(6, 3), torch.arange(6) % 2)
    assert "For 1 of 3 curves" in found.unresolved


def test_outputs_that_are_not_finite_make_no_number():
    found = auroc(torch.full((4, 2), math.nan), torch.arange(4) % 2)
    assert "not finite on 4 of 4 rows" in found.unresolved


@pytest.mark.parametrize(("positives", "negatives"), [(15, 15), (20, 200), (100, 100)])
@pytest.mark.parametrize("truth", [0.7, 0.9, 0.98])
@pytest.mark.parametrize("runs", [60, pytest.param(600, marks=pytest.mark.claim)])
def test_coverage_is_as_promised_for_normal_scores(positives, negatives, truth, runs, generator):
    y = (torch.arange(positives + negatives) < positives).long()
    distance = norm.ppf(truth) * 2**0.5
    covered = 0
    for _ in range(runs):
        scores = torch.randn(len(y), generator=generator) + distance * y
        found = auroc(torch.stack([torch.zeros_like(scores), scores], 1), y)
        covered += found.low <= truth <= found.high
    assert covered / runs >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


@pytest.mark.parametrize("runs", [60, pytest.param(600, marks=pytest.mark.claim)])
def test_coverage_is_as_promised_for_several_classes(runs, generator):
    shape = (120, 4)
    many = torch.randint(4, (200_000,), generator=generator)
    logits = torch.randn(200_000, 4, generator=generator) + 2.5 * one_hot(many, 4)
    truth = auroc(logits, many).value  # standard error 0.0002, a fiftieth of the intervals' width
    covered = 0
    for _ in range(runs):
        y = torch.randint(4, shape[:1], generator=generator)
        found = auroc(torch.randn(shape, generator=generator) + 2.5 * one_hot(y, 4), y)
        covered += found.low <= truth <= found.high
    assert covered / runs >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5
