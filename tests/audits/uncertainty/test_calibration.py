import pytest
import torch

from netwright.audits.uncertainty import calibration


def sampled(generator, n=3000):
    logits = 2 * torch.randn(n, 3, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


def test_calibrated_network_is_cleared(classifier_subject, generator):
    found = calibration(classifier_subject(*sampled(generator)))
    assert found.measurement.low < 0.01 and "neither over- nor underconfident" in found.summary


@pytest.mark.parametrize(
    ("factor", "word"), [(4.0, ": overconfident."), (0.3, ": underconfident.")]
)
def test_planted_miscalibration_is_named(factor, word, classifier_subject, generator):
    logits, y = sampled(generator)
    found = calibration(classifier_subject(factor * logits, y))
    assert found.measurement.low > 0.05 and found.summary.endswith(word)
    diagram = found.evidence[0]
    assert diagram.diagonal
    told, came_true = diagram.series[0].x, diagram.series[0].y
    above = sum(c > t for t, c in zip(told, came_true, strict=True))
    assert above <= 3 if factor > 1 else above >= len(told) - 3


def test_diagram_histogram_and_table_count_every_row(classifier_subject, generator):
    found = calibration(classifier_subject(*sampled(generator, 500)), bins=10)
    _, bars, scores, table = found.evidence
    assert sum(bars.series[0].y) == 500 == sum(row[2] for row in table.rows)
    assert len(bars.series[0].y) == 10
    assert [row[0] for row in scores.rows][1] == "Brier score"


@pytest.mark.oracle
def test_brier_score_equals_sklearn(classifier_subject, generator):
    from sklearn.metrics import brier_score_loss

    logits, y = sampled(generator, 400)
    found = calibration(classifier_subject(logits, y))
    expected = brier_score_loss(y.numpy(), logits.double().softmax(1).numpy(), scale_by_half=False)
    assert found.evidence[2].rows[1][1] == pytest.approx(expected, abs=1e-6)


def test_labels_use_their_own_probabilities(classifier_subject, generator):
    logits = 2 * torch.randn(800, 3, generator=generator)
    y = (torch.rand(logits.shape, generator=generator) < logits.sigmoid()).float()
    found = calibration(classifier_subject(logits, y))
    assert found.measurement.low < 0.01
    assert sum(found.evidence[1].series[0].y) == 2400


def test_values_have_no_probabilities(regression_subject):
    found = calibration(regression_subject(torch.zeros(3, 1), torch.zeros(3, 1)))
    assert found.summary.startswith("Not applicable")


def test_few_rows_are_unresolved_not_zero(classifier_subject):
    found = calibration(classifier_subject(torch.eye(3), torch.arange(3)))
    assert found.measurement.unresolved and "unresolved" in found.summary
