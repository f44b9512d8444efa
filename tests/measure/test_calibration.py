import math

import numpy as np
import pytest
import torch

from netwright.measure import ece, ece_equal_mass, ece_labels, reliability, reliability_labels


def calibrated(n, generator, warmth=1.0):
    """Binary logits whose probabilities are true at warmth 1, too bold above it."""
    logit = 2 * torch.randn(n, generator=generator, dtype=torch.double)
    y = (torch.rand(n, generator=generator, dtype=torch.double) < logit.sigmoid()).long()
    return warmth * torch.stack([torch.zeros_like(logit), logit], 1), y


def by_hand(logits, y, bins):
    """Equation 3 of Guo et al., bin by bin."""
    probability = logits.softmax(1).numpy()
    sure, right = probability.max(1), probability.argmax(1) == y.numpy()
    total = 0.0
    for b in range(bins):
        inside = (sure > b / bins) & (sure <= (b + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    return total


@pytest.mark.oracle
@pytest.mark.parametrize("bins", [1, 5, 15])
def test_value_matches_the_definition(bins, generator):
    logits, y = calibrated(400, generator, warmth=3.0)
    found = ece(logits, y, bins=bins, generator=generator)
    assert found.value == pytest.approx(by_hand(logits, y, bins), abs=1e-12)
    assert found.note == f"{bins} bins of equal width"


def test_bins_are_closed_above(generator):
    # Half of the rows say 1/2 and are right, half say 3/4 and are wrong: gaps of 1/2 and of 3/4.
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]], dtype=torch.double).repeat(10, 1)
    found = ece(logits, torch.tensor([0, 1]).repeat(10), bins=2, generator=generator)
    assert found.value == pytest.approx((1 / 2 + 3 / 4) / 2)


@pytest.mark.oracle
def test_equal_mass_matches_sorting_and_cutting(generator):
    logits, y = calibrated(300, generator, warmth=3.0)
    probability = logits.softmax(1)
    order = probability.max(1).values.argsort()
    gap = ((probability.argmax(1) == y).double() - probability.max(1).values)[order]
    truth = gap.view(15, 20).sum(1).abs().sum() / 300
    found = ece_equal_mass(logits, y, generator=generator)
    assert found.value == pytest.approx(truth.item(), abs=1e-12)


@pytest.mark.oracle
def test_one_label_is_a_binary_event(generator):
    logits, y = calibrated(400, generator, warmth=2.0)
    margin = (logits[:, 1] - logits[:, 0])[:, None]
    p = margin.sigmoid().numpy()[:, 0]
    place = np.ceil(p * 10).clip(1, 10)
    truth = sum(abs((y.numpy() - p)[place == b].sum()) for b in range(1, 11)) / 400
    found = ece_labels(margin, y[:, None].double(), bins=10, generator=generator)
    assert found.value == pytest.approx(truth, abs=1e-12)


def test_a_reliability_diagram_adds_up_to_the_error(generator):
    logits, y = calibrated(500, generator, warmth=3.0)
    found = reliability(logits, y, bins=10)
    gaps = np.abs(np.array(found.accuracy) - found.confidence) * found.counts / 500
    assert gaps.sum() == pytest.approx(ece(logits, y, bins=10, generator=generator).value)
    assert sum(found.counts) == 500
    assert all(e <= c <= e + 0.1 for e, c in zip(found.edges, found.confidence, strict=True))
    labels = reliability_labels(logits, torch.eye(2)[y])
    assert sum(labels.counts) == 1000


@pytest.mark.parametrize("measure", [ece, ece_equal_mass])
def test_errors_and_unresolved(measure):
    y = torch.zeros(20, dtype=torch.int64)
    with pytest.raises(ValueError, match="`bins` must be at least 1; got 0"):
        measure(torch.zeros(20, 2), y, bins=0)
    assert "not finite" in measure(torch.full((20, 2), math.nan), y).unresolved
    assert "9 rows are too few" in measure(torch.zeros(9, 2), y[:9]).unresolved
    with pytest.raises(ValueError, match="`logits` cannot be put in bins: .* not finite"):
        reliability(torch.full((20, 2), math.nan), y)


@pytest.mark.parametrize("warmth", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("n", [100, 500])
@pytest.mark.parametrize("runs", [60, pytest.param(600, marks=pytest.mark.claim)])
def test_coverage_is_as_promised(warmth, n, runs, generator):
    # At warmth 1 the truth is 0, which no percentile of a bootstrap would ever cover.
    many, y = calibrated(2_000_000, generator, warmth)
    truth = 0.0 if warmth == 1.0 else by_hand(many, y, 15)
    covered = 0
    for _ in range(runs):
        logits, y = calibrated(n, generator, warmth)
        found = ece(logits, y, generator=generator)
        covered += found.low <= truth <= found.high
    assert covered / runs >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


def test_more_rows_narrow_the_interval(generator):
    widths = []
    for n in (200, 20_000):
        logits, y = calibrated(n, generator, warmth=2.0)
        found = ece(logits, y, generator=generator)
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 5  # 1/sqrt(100) = 1/10, and twice that for chance
