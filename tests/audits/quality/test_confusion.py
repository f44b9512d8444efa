import pytest
import torch
from torch.nn.functional import one_hot

from netwright.audits.quality import confusion, confusion_counts


@pytest.mark.oracle
def test_counts_equal_sklearn(generator):
    from sklearn.metrics import confusion_matrix

    y, said = torch.randint(7, (2, 500), generator=generator)
    expected = confusion_matrix(y.numpy(), said.numpy(), labels=range(7))
    assert confusion_counts(y, said, n_classes=7).tolist() == expected.tolist()


def test_planted_swap_of_two_classes_is_the_first_pair(classifier_subject, generator):
    y = torch.randint(3, (300,), generator=generator)
    said = y.clone()
    bees = (y == 1).nonzero()[:, 0]
    said[bees[:40]] = 2  # 40 bees are taken for cats
    said[(y == 0).nonzero()[:3, 0]] = 1
    found = confusion(classifier_subject(one_hot(said, 3).float(), y))
    matrix, pairs = found.evidence
    assert pairs.rows[0][:4] == ("bee", "cat", 40, 40 / len(bees))
    assert pairs.rows[1][:3] == ("ant", "bee", 3) and len(pairs.rows) == 2
    assert matrix.values[1][2] == 40 and sum(map(sum, matrix.values)) == 300
    assert "43 of 300 rows" in found.summary and "bee for cat (40 rows)" in found.summary


def test_no_errors_is_said_plainly(classifier_subject):
    y = torch.arange(3)
    found = confusion(classifier_subject(torch.eye(3), y))
    assert found.summary == "No confusion: all 3 rows are classified rightly."
    assert len(found.evidence) == 1


def test_many_classes_show_those_with_errors(classifier_subject):
    n = 100
    y = torch.arange(n)
    said = y.clone()
    said[90] = 95
    names = tuple(f"class {i}" for i in range(n))
    found = confusion(classifier_subject(one_hot(said, n).float(), y, classes=names))
    matrix = found.evidence[0]
    assert len(matrix.rows) == 30 and {"class 90", "class 95"} <= set(matrix.rows)
    assert "30 of 100 classes" in matrix.title


def test_labels_are_counted_one_by_one(classifier_subject):
    y = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 1]])
    logits = torch.where(y > 0, 2.0, -2.0)
    logits[0, 0] = -1.0
    found = confusion(classifier_subject(logits, y))
    assert found.evidence[0].rows[0] == ("ant", 1, 0, 1, 1)
    assert found.evidence[0].rows[2] == ("cat", 1, 0, 0, 2)
    assert "ant: 1 rows" in found.summary


def test_numbers_have_no_confusion(regression_subject):
    found = confusion(regression_subject(torch.zeros(3, 1), torch.zeros(3, 1)))
    assert found.summary.startswith("Not applicable") and not found.evidence


def test_outputs_that_are_not_finite_are_reported(classifier_subject):
    logits = torch.eye(3)
    logits[1, 0] = float("nan")
    found = confusion(classifier_subject(logits, torch.arange(3)))
    assert "not finite on 1 of 3 rows" in found.summary


def test_class_outside_the_schema_is_refused():
    with pytest.raises(ValueError, match=r"must lie in 0..2 \(`n_classes` - 1\); got 0..3"):
        confusion_counts(torch.tensor([0, 3]), torch.tensor([0, 0]), n_classes=3)
