import dataclasses

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.data import Input, Schema, Target, TensorSplit
from netwright.measure import Subject
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

measure = CATALOGUE["robust"].measure


class Threshold(nn.Module):
    """Class 1 iff the first pixel is above 100.5/255: robust radii are known exactly."""

    def forward(self, x):
        margin = 40 * (x[:, 0, 0, 0] - 100.5 / 255)
        return torch.stack([-margin, margin], 1)


@pytest.fixture
def threshold():
    """One image for each distance 0.5, 1.5, ..., 99.5 levels above the threshold."""
    first = torch.arange(101, 201, dtype=torch.uint8)
    x = torch.zeros(100, 1, 2, 2, dtype=torch.uint8)
    x[:, 0, 0, 0] = first
    split = TensorSplit(x, torch.ones(100, dtype=torch.int64), torch.arange(100))
    schema = Schema(Input("image", (1, 2, 2)), Target("class", ("y",), ("dark", "bright")))
    return Subject(schema, split, Threshold().eval())


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("radius", "withstand"),
    [
        (0.0, 100),
        (0.4 / 255, 100),  # less than a level: no real pixel can change
        (1 / 255, 99),  # 101 -> 100
        (1.9 / 255, 99),  # the second level is out of reach
        (10 / 255, 90),
        (1.0, 0),
    ],
)
@pytest.mark.parametrize("norm", ["linf", "l2"])  # one pixel matters: both balls reach as far
def test_exactly_those_fall_that_can(norm, radius, withstand, threshold):
    found = measure(threshold, **{norm: radius})
    assert (found.successes, found.n) == (withstand, 100)


def test_wrong_from_the_start_is_not_robust(threshold):
    y = threshold.split.y.clone()
    y[:30] = 0
    wrong = dataclasses.replace(threshold, split=dataclasses.replace(threshold.split, y=y))
    assert measure(wrong, linf=0.0).successes == 70


def test_what_counts_is_what_the_shipped_file_says(threshold):
    # The file is right whatever the pixels: no attack on the network can matter.
    sure = dataclasses.replace(
        threshold, predict=lambda x: torch.tensor([[0.0, 1.0]]).expand(len(x), 2)
    )
    assert measure(sure, linf=10 / 255).successes == 100


def test_masked_gradients_are_no_robustness(threshold):
    class Rounded(Threshold):
        def forward(self, x):
            return (super().forward(x) * 100).round().sign()

    found = measure(dataclasses.replace(threshold, network=Rounded().eval()), linf=10 / 255)
    assert found.value > 0.5  # the attack finds no way
    assert "gradients masked" in found.unresolved
    judged = Requirement.parse("robust(linf=10/255) >= 0.5").judge(found)
    assert judged.verdict == "undecided"


def test_samples_are_drawn_from_the_whole_split(threshold):
    found = measure(threshold, linf=50 / 255, samples=40)
    assert found.n == 40
    assert 8 <= (found.successes or 0) <= 32  # half of the rows withstand; +- 3.8 deviations
    assert "on 40 of 100 rows" in found.note
    assert measure(threshold, linf=50 / 255, samples=40) == found


def test_digits_fall_with_the_radius(digits):
    small = measure(digits, linf=1 / 255, samples=60, steps=10)
    large = measure(digits, linf=32 / 255, samples=60, steps=10)
    assert small.value > 0.8 > 0.3 > large.value
    assert (small.unresolved, large.unresolved) == ("", "")


def test_errors(threshold, buyers):
    with pytest.raises(ValueError, match="takes either `linf`"):
        measure(threshold)
    with pytest.raises(ValueError, match="takes either `linf`"):
        measure(threshold, linf=0.1, l2=0.1)
    with pytest.raises(ValueError, match="attacks pixels; the input of this task is a table"):
        measure(buyers, linf=0.1)


def test_outputs_that_are_not_finite_make_no_number(digits):
    with seeded(0):
        broken = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        broken[1].bias.fill_(float("nan"))
    found = measure(dataclasses.replace(digits, network=broken.eval()), linf=0.1)
    assert "not finite" in found.unresolved
