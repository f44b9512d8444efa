import math

import pytest
import sklearn.metrics
import torch
from torch.nn.functional import one_hot

from netwright.measure import (
    accuracy,
    balanced_accuracy,
    exact_match,
    f1,
    f1_binary,
    f1_labels,
)

HARD = (0.3, 2.0, 20.0)  # how far the right class's logit stands out: poor, fair, perfect


def guesses(n, classes, signal, generator):
    y = torch.randint(classes, (n,), generator=generator)
    logits = torch.randn(n, classes, generator=generator) + signal * one_hot(y, classes)
    return logits, y


def label_guesses(n, labels, signal, generator):
    y = (torch.rand(n, labels, generator=generator) < 0.4).float()
    return torch.randn(n, labels, generator=generator) + signal * (2 * y - 1), y


@pytest.mark.oracle
@pytest.mark.parametrize("signal", HARD)
@pytest.mark.parametrize("classes", [2, 5])
def test_values_match_scikit_learn(signal, classes, generator):
    logits, y = guesses(300, classes, signal, generator)
    guess = logits.argmax(1)
    pairs = [
        (accuracy(logits, y), sklearn.metrics.accuracy_score(y, guess)),
        (balanced_accuracy(logits, y), sklearn.metrics.balanced_accuracy_score(y, guess)),
        (
            f1(logits, y, generator=generator),
            sklearn.metrics.f1_score(y, guess, average="macro"),
        ),
    ]
    if classes == 2:
        pairs.append((f1_binary(logits, y), sklearn.metrics.f1_score(y, guess)))
    for found, truth in pairs:
        assert found.value == pytest.approx(truth, abs=1e-12)
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high  # also with nothing wrong: 300 rows prove no perfection


@pytest.mark.oracle
@pytest.mark.parametrize("signal", HARD)
def test_label_values_match_scikit_learn(signal, generator):
    logits, y = label_guesses(200, 4, signal, generator)
    guess = (logits > 0).int()
    found = exact_match(logits, y)
    assert found.value == sklearn.metrics.accuracy_score(y.int(), guess)
    found = f1_labels(logits, y, generator=generator)
    truth = sklearn.metrics.f1_score(y.int(), guess, average="macro")
    assert found.value == pytest.approx(truth, abs=1e-12)
    assert found.low < found.high


def test_absent_classes_are_left_out_and_named():
    logits = torch.eye(4)[[0, 0, 1]]
    y = torch.tensor([0, 0, 1])
    assert balanced_accuracy(logits, y).note == "2 classes without rows left out"
    found = f1(logits, y)
    assert (found.value, found.note) == (1.0, "macro F1; 2 classes without rows left out")
    assert "1 classes without rows" in f1_labels(torch.tensor([[1.0, -1.0]]), torch.eye(2)[:1]).note


@pytest.mark.parametrize(("wrong", "method"), [(29, "combined proportions"), (30, "bootstrap")])
def test_thirty_errors_are_enough_to_resample(wrong, method, generator):
    y = torch.arange(500) % 3
    guess = torch.where(torch.arange(500) < wrong, (y + 1) % 3, y)
    assert f1(one_hot(guess, 3).float(), y, generator=generator).method == method
    labels = 2.0 * one_hot(guess, 3) - 1
    assert f1_labels(labels, one_hot(y, 3).float(), generator=generator).method == method


def test_a_hundred_right_rows_do_not_prove_more_than_they_can():
    y = torch.arange(100) % 2
    found = f1_binary(torch.eye(2)[y], y)
    # All of 50 rows that are or were called positive: Jaccard rate at least 0.929, as for any rate.
    assert found.low == pytest.approx(2 * 0.9289 / 1.9289, abs=1e-4)


@pytest.mark.parametrize("measure", [accuracy, balanced_accuracy, f1, f1_binary])
def test_outputs_that_are_not_finite_make_no_number(measure):
    logits = torch.zeros(20, 2)
    logits[3, 1], logits[4, 0] = math.nan, math.inf
    found = measure(logits, torch.arange(20) % 2)
    assert math.isnan(found.value)
    assert found.unresolved == "The network's outputs are not finite on 2 of 20 rows."


def test_f1_of_a_class_that_nobody_names_is_undefined():
    found = f1_binary(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert "neither occurs nor is predicted" in found.unresolved


@pytest.mark.parametrize("measure", [accuracy, balanced_accuracy, f1, f1_binary])
def test_no_rows_is_an_error(measure):
    with pytest.raises(ValueError, match="`y` must have at least one row"):
        measure(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))


COVERAGE = [  # rate of errors, rows: with the bootstrap, and with too few errors for it
    (0.30, 300),
    (0.05, 200),
    (0.01, 100),
]


@pytest.mark.parametrize(("wrong", "n"), COVERAGE)
@pytest.mark.parametrize("runs", [60, pytest.param(600, marks=pytest.mark.claim)])
def test_coverage_is_as_promised(wrong, n, runs, generator):
    # Three classes of shares 1/2, 3/10, 1/5; an error falls on either other class with a half.
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.double)
    flow = torch.full((3, 3), wrong / 2, dtype=torch.double).fill_diagonal_(1 - wrong)
    joint = shares[:, None] * flow
    truth_f1 = (2 * joint.diag() / (joint.sum(0) + joint.sum(1))).mean().item()
    hits = {"f1": 0, "f1_binary": 0, "balanced": 0}
    for _ in range(runs):
        cell = torch.multinomial(joint.flatten(), n, replacement=True, generator=generator)
        y, logits = cell // 3, one_hot(cell % 3, 3).float()
        found = f1(logits, y, generator=generator)
        hits["f1"] += found.low <= truth_f1 <= found.high
        found = balanced_accuracy(logits, y)
        hits["balanced"] += found.low <= 1 - wrong <= found.high
        two = torch.stack([logits[:, 1:].sum(1), logits[:, 0]], dim=1)
        found = f1_binary(two, (y == 0).long())
        both = joint[0, 0].item()
        truth = 2 * both / (joint[0].sum() + joint[:, 0].sum()).item()
        hits["f1_binary"] += found.low <= truth <= found.high
    least = 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5
    assert {name: k / runs for name, k in hits.items() if k / runs < least} == {}
