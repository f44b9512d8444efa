import math

import pytest
import sklearn.metrics
import torch

from netwright.measure import log_loss, log_loss_labels


@pytest.mark.oracle
def test_log_loss_matches_scikit_learn(generator):
    y = torch.randint(3, (100,), generator=generator)
    logits = 3 * torch.randn(100, 3, generator=generator, dtype=torch.double)
    found = log_loss(logits, y, generator=generator)
    assert found.value == pytest.approx(sklearn.metrics.log_loss(y, logits.softmax(1)), abs=1e-12)
    assert (found.unit, found.method) == ("nats", "bootstrap")


@pytest.mark.oracle
def test_label_log_loss_matches_scikit_learn(generator):
    y = (torch.rand(100, 2, generator=generator) < 0.3).float()
    logits = torch.randn(100, 2, generator=generator, dtype=torch.double)
    each = [sklearn.metrics.log_loss(y[:, k], logits[:, k].sigmoid()) for k in range(2)]
    found = log_loss_labels(logits, y, generator=generator)
    assert found.value == pytest.approx(sum(each) / 2, abs=1e-12)
    assert found.note == "mean over labels"


def test_a_sure_error_costs_its_margin_and_not_infinity(generator):
    logits = torch.tensor([[200.0, 0.0]]).expand(20, 2)
    found = log_loss(logits, torch.ones(20, dtype=torch.int64), generator=generator)
    assert found.value == pytest.approx(200)


def test_outputs_that_are_not_finite_make_no_number():
    found = log_loss(torch.full((20, 2), math.inf), torch.zeros(20, dtype=torch.int64))
    assert (found.unit, "not finite" in found.unresolved) == ("nats", True)


@pytest.mark.parametrize("runs", [60, pytest.param(600, marks=pytest.mark.claim)])
def test_coverage_is_as_promised(runs, generator):
    # Logit of the truth ~ N(1, 2), binary: the true loss is E softplus(-logit).
    truth = torch.nn.functional.softplus(
        -(1 + 2 * torch.randn(4_000_000, generator=generator))
    ).mean()
    covered = 0
    y = torch.ones(200, dtype=torch.int64)
    for _ in range(runs):
        score = 1 + 2 * torch.randn(200, generator=generator)
        found = log_loss(torch.stack([torch.zeros(200), score], 1), y, generator=generator)
        covered += found.low <= truth <= found.high
    assert covered / runs >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5
