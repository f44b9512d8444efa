import pytest
import torch

from netwright.audits.quality import residuals


def test_points_lie_on_predicted_against_true(regression_subject, generator):
    y = torch.randn(50, 1, generator=generator)
    points, bars = residuals(regression_subject(y + 1, y)).evidence
    assert points.diagonal
    for true, said in zip(points.series[0].x, points.series[0].y, strict=True):
        assert said == pytest.approx(true + 1, abs=1e-4)
    assert sum(bars.series[0].y) == 50


def test_planted_bias_is_named(regression_subject, generator):
    y = torch.randn(200, 2, generator=generator)
    found = residuals(regression_subject(y + torch.tensor([0.5, -2.0]), y))
    assert "price 100%, weight 0%" in found.summary and "+0.5, -2" in found.summary
    assert len(found.evidence) == 4


def test_one_wild_row_does_not_squeeze_the_histogram(regression_subject, generator):
    predicted = torch.randn(1000, 1, generator=generator)
    predicted[0] = 1e6
    _, bars = residuals(regression_subject(predicted, torch.zeros(1000, 1))).evidence
    counts = bars.series[0].y
    assert sum(counts) == 1000 and max(counts) < 300
    assert "and more" in bars.series[0].labels[-1] and counts[-1] >= 1


def test_middles_of_the_bins_are_distinct_and_hold_zero(regression_subject, generator):
    predicted = torch.randn(100, 1, generator=generator)
    _, bars = residuals(regression_subject(predicted, torch.zeros(100, 1))).evidence
    assert len(set(bars.series[0].x)) == 21 and bars.series[0].x[10] == "0"


def test_many_rows_are_sampled(regression_subject, generator):
    y = torch.randn(1000, 1, generator=generator)
    points, _ = residuals(regression_subject(y, y)).evidence
    assert len(points.series[0].x) == 400 and "400 of 1,000 rows" in points.title


def test_perfect_predictions_do_not_divide_by_zero(regression_subject):
    found = residuals(regression_subject(torch.ones(30, 1), torch.ones(30, 1)))
    assert sum(found.evidence[1].series[0].y) == 30


def test_classes_have_no_residuals(classifier_subject):
    found = residuals(classifier_subject(torch.eye(3), torch.arange(3)))
    assert found.summary.startswith("Not applicable")
