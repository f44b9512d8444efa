import math

import pytest
import torch

from netwright.data._schema import Target
from netwright.learn import loss_for, score_error, score_for

CLASS = Target("class", ("y",), ("a", "b", "c"))
LABELS = Target("labels", ("y",), ("a", "b"))
VALUE = Target("value", ("y",), mean=(50.0,), std=(10.0,))
VALUES = Target("values", ("u", "v"), mean=(0.0, 0.0), std=(1.0, 1000.0))


@pytest.mark.oracle
def test_cross_entropy_with_smoothing_in_closed_form():
    logits, y = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    log_p = [v - math.log(math.exp(2) + 1 + math.exp(-1)) for v in (2.0, 0.0, -1.0)]
    expected = -(0.9 + 0.1 / 3) * log_p[0] - 0.1 / 3 * (log_p[1] + log_p[2])
    found = loss_for(CLASS, label_smoothing=0.1)(logits, y).item()
    assert found == pytest.approx(expected, abs=1e-6)  # float32


@pytest.mark.oracle
def test_binary_cross_entropy_with_smoothing_in_closed_form():
    logits, y = torch.tensor([[1.0, -2.0]]), torch.tensor([[1.0, 0.0]])
    p = [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(2))]
    first = -0.95 * math.log(p[0]) - 0.05 * math.log(1 - p[0])
    second = -0.05 * math.log(p[1]) - 0.95 * math.log(1 - p[1])
    found = loss_for(LABELS, label_smoothing=0.1)(logits, y).item()
    assert found == pytest.approx((first + second) / 2, abs=1e-6)  # float32


def test_squared_error_knows_no_unit():
    y, outputs = torch.tensor([[40.0], [70.0]]), torch.tensor([[45.0], [60.0]])
    in_metres = loss_for(VALUE)(outputs, y)
    millimetres = Target("value", ("y",), mean=(50_000.0,), std=(10_000.0,))
    assert in_metres.item() == pytest.approx((0.25 + 1.0) / 2)
    assert loss_for(millimetres)(outputs * 1000, y * 1000).item() == pytest.approx(in_metres.item())


def test_values_weigh_alike_whatever_their_unit():
    zero = torch.zeros(1, 2)
    small, large = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1000.0]])
    assert loss_for(VALUES)(small, zero) == loss_for(VALUES)(large, zero)
    assert score_for(VALUES)(small, zero) == pytest.approx(score_for(VALUES)(large, zero))


def test_scores():
    logits, y = torch.tensor([[2.0, 0, 1], [0, 1, 2], [0, 1, 0]]), torch.tensor([0, 2, 2])
    assert score_for(CLASS)(logits, y) == pytest.approx(2 / 3)
    labels = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert score_for(LABELS)(torch.tensor([[0.1, 0.1], [3.0, 2.0]]), labels) == 0.75
    assert score_for(VALUE)(torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0], [4.0]])) == (
        pytest.approx(-math.sqrt(12.5))
    )


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_outside_its_range_is_an_error(smoothing):
    with pytest.raises(ValueError, match=r"`label_smoothing` must lie in \[0, 1\)"):
        loss_for(CLASS, label_smoothing=smoothing)


def test_smoothing_of_values_is_an_error():
    with pytest.raises(ValueError, match="`label_smoothing` needs a target of classes or labels"):
        loss_for(VALUE, label_smoothing=0.1)


@pytest.mark.oracle
@pytest.mark.parametrize("target", [CLASS, VALUE], ids=lambda t: t.kind)
def test_score_error_is_the_spread_over_repeated_samples(target, generator):
    n, repeats = 200, 2000
    if target.kind == "class":
        right = torch.rand(repeats, n, generator=generator) < 0.8
        scores = right.double().mean(dim=1)
        found = score_error(0.8, kind="class", n=n)
    else:
        residuals = 3.0 * torch.randn(repeats, n, generator=generator).double()
        scores = -residuals.square().mean(dim=1).sqrt()
        found = score_error(-3.0, kind="value", n=n)
    # the spread of 2000 repeats has a relative standard error of 1/sqrt(4000) = 1.6%; x4
    assert found == pytest.approx(scores.std().item(), rel=0.065)
