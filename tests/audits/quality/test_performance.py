import pytest
import torch

from netwright.audits.quality import performance


def cell(table, row, column):
    place = table.columns.index(column)
    return next(r[place] for r in table.rows if r[0] == row)


@pytest.mark.oracle
def test_per_class_figures_equal_sklearn(classifier_subject, noisy_logits):
    from sklearn.metrics import precision_recall_fscore_support

    logits, y = noisy_logits(400, 0.8)
    found = performance(classifier_subject(logits, y))
    expected = precision_recall_fscore_support(y.numpy(), logits.argmax(1).numpy())
    each = found.evidence[1]
    for i, name in enumerate(("ant", "bee", "cat")):
        for measure, values in zip(("precision", "recall", "F1", "rows"), expected, strict=True):
            assert cell(each, name, measure) == pytest.approx(values[i])
        assert cell(each, name, "recall low") < cell(each, name, "recall")


def test_measures_and_the_baseline_stand_in_one_table(classifier_subject, noisy_logits):
    logits, y = noisy_logits(400, 0.8)
    found = performance(classifier_subject(logits, y))
    names = [row[0] for row in found.evidence[0].rows]
    assert names[:2] == ["accuracy", "balanced accuracy"] and "AUROC" in names
    assert names[-1].startswith("accuracy of always saying ")
    for _, value, low, high, n, _ in found.evidence[0].rows:
        assert low <= value <= high and n == 400
    assert found.measurement.n == 400 and found.summary.startswith("Accuracy 0.")


def test_class_without_rows_has_no_recall(classifier_subject):
    y = torch.tensor([0, 1] * 20)
    logits = torch.nn.functional.one_hot(y, 3).float()
    each = performance(classifier_subject(logits, y)).evidence[1]
    assert cell(each, "cat", "recall") is None and cell(each, "cat", "rows") == 0
    assert cell(each, "ant", "recall") == 1.0


def test_binary_targets_name_the_positive_class(classifier_subject, noisy_logits):
    logits, y = noisy_logits(100, 0.8, n_classes=2)
    found = performance(classifier_subject(logits, y, classes=("no", "yes")))
    assert "F1 of yes" in [row[0] for row in found.evidence[0].rows]


def test_planted_bad_label_stands_out(classifier_subject, generator):
    y = (torch.rand(200, 3, generator=generator) < 0.5).float()
    logits = 2 * y - 1
    logits[:100, 1] *= -1  # half of the calls of the second label are wrong
    found = performance(classifier_subject(logits, y))
    assert found.measurement.value == 0.5
    each = found.evidence[1]
    assert cell(each, "bee", "recall") < 0.65 and cell(each, "ant", "recall") == 1.0


def test_values_are_measured_one_by_one(regression_subject, generator):
    y = torch.randn(300, 2, generator=generator)
    found = performance(regression_subject(y + torch.tensor([0.1, 3.0]), y))
    rows = {(row[0], row[1]): row[2] for row in found.evidence[1].rows}
    assert rows["price", "mean absolute error"] == pytest.approx(0.1, abs=1e-5)
    assert rows["weight", "mean absolute error"] == pytest.approx(3.0, abs=1e-5)
    assert found.measurement.unit == "target" and "training mean would give" in found.summary


def test_few_rows_keep_the_table_and_say_what_is_unresolved(classifier_subject):
    found = performance(classifier_subject(torch.eye(3), torch.arange(3)))
    loss = next(row for row in found.evidence[0].rows if row[0].startswith("log loss"))
    assert loss[2] is None and loss[3] is None and "too few" in loss[-1]


def test_outputs_that_are_not_finite_are_reported(regression_subject):
    found = performance(regression_subject(torch.full((3, 1), torch.inf), torch.zeros(3, 1)))
    assert "not finite on 3 of 3 rows" in found.summary and found.measurement is None


def test_no_rows_are_reported(classifier_subject):
    found = performance(classifier_subject(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)))
    assert "no rows" in found.summary
