"""Quantities that need nothing but predictions."""

import dataclasses

import pytest
import sklearn.metrics
import torch
from torch import nn

from netwright._rng import seeded
from netwright.data import Target, TensorSplit
from netwright.measure import Subject
from netwright.quantities import CATALOGUE


def value(name, subject, **arguments):
    return CATALOGUE[name].measure(subject, **arguments).value


@pytest.mark.oracle
def test_digits_match_scikit_learn(digits):
    y, logits = digits.split.y, digits.outputs.double()
    guess, p = logits.argmax(1), logits.softmax(1)
    score = sklearn.metrics
    assert value("accuracy", digits) == score.accuracy_score(y, guess) > 0.85
    assert value("balanced_accuracy", digits) == pytest.approx(
        score.balanced_accuracy_score(y, guess), abs=1e-12
    )
    assert value("f1", digits) == pytest.approx(
        score.f1_score(y, guess, average="macro"), abs=1e-12
    )
    assert value("auroc", digits) == pytest.approx(
        score.roc_auc_score(y, p, multi_class="ovr"), abs=1e-9
    )
    assert value("log_loss", digits) == pytest.approx(score.log_loss(y, p), abs=1e-9)
    assert 0 < value("ece", digits) < 0.2


@pytest.mark.oracle
def test_a_table_of_two_classes_matches_scikit_learn(buyers):
    y, logits = buyers.split.y, buyers.outputs.double()
    assert value("f1", buyers) == pytest.approx(
        sklearn.metrics.f1_score(y, logits.argmax(1)), abs=1e-12
    )
    assert CATALOGUE["f1"].measure(buyers).note == "F1 of class 'yes'"
    assert value("auroc", buyers) == pytest.approx(
        sklearn.metrics.roc_auc_score(y, logits[:, 1] - logits[:, 0]), abs=1e-12
    )


@pytest.mark.oracle
def test_values_match_scikit_learn(diabetes):
    y, values = diabetes.split.y, diabetes.outputs
    assert value("mae", diabetes) == pytest.approx(
        sklearn.metrics.mean_absolute_error(y, values), rel=1e-6
    )
    assert value("rmse", diabetes) == pytest.approx(
        sklearn.metrics.root_mean_squared_error(y, values), rel=1e-6
    )
    assert value("r2", diabetes) == pytest.approx(sklearn.metrics.r2_score(y, values), abs=1e-6)
    assert CATALOGUE["mae"].measure(diabetes).unit == "target"


@pytest.fixture
def several(digits, generator):
    """Two labels: at least 5, and even."""
    digit = digits.split.y
    y = torch.stack([digit >= 5, digit % 2 == 0], 1).float()
    split = TensorSplit(digits.split.x, y, digits.split.rows)
    target = Target("labels", ("high", "even"), ("high", "even"))
    schema = dataclasses.replace(digits.schema, target=target)
    logits = 4 * torch.randn(y.shape, generator=generator) + 4 * (2 * y - 1)
    return Subject(schema, split, digits.network, predict=lambda x: logits)


@pytest.mark.oracle
def test_labels_match_scikit_learn(several):
    subject = dataclasses.replace(several)
    subject.__dict__["outputs"] = several.predict(None)
    y, guess = subject.split.y.int(), (subject.outputs > 0).int()
    assert value("accuracy", subject) == sklearn.metrics.accuracy_score(y, guess)
    assert value("f1", subject) == pytest.approx(
        sklearn.metrics.f1_score(y, guess, average="macro"), abs=1e-12
    )
    assert value("auroc", subject) == pytest.approx(
        sklearn.metrics.roc_auc_score(y, subject.outputs), abs=1e-12
    )
    assert 0 < value("log_loss", subject) < 1
    assert 0 < value("ece", subject, bins=10) < 0.3


def test_same_seed_same_interval_and_other_seed_another(digits):
    measure = CATALOGUE["log_loss"].measure
    assert measure(digits) == measure(digits)
    other = measure(dataclasses.replace(digits, seed=1))
    assert (other.low, other.high) != (measure(digits).low, measure(digits).high)


def test_parameters_and_products_of_the_network(digits):
    assert value("params", digits) == 64 * 32 + 32 + 32 * 10 + 10
    assert value("macs", digits) == 64 * 32 + 32 * 10
    assert CATALOGUE["macs"].measure(digits).unit == "MACs"


def test_a_diverged_network_is_a_finding(digits):
    with seeded(0):
        broken = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        broken[1].bias.fill_(float("nan"))
    subject = dataclasses.replace(digits, network=broken)
    for name in ("accuracy", "balanced_accuracy", "f1", "auroc", "log_loss", "ece"):
        assert "not finite on" in CATALOGUE[name].measure(subject).unresolved
