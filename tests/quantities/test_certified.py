import pytest
import torch
from torch import nn

from netwright.data import Input, Schema, Target, TensorSplit
from netwright.measure import Subject
from netwright.quantities import CATALOGUE, certified
from netwright.requirement import Requirement

measure = CATALOGUE["certified"].measure


class Threshold(nn.Module):
    """Class 1 iff the first pixel is above 100.5/255: certified radii are known exactly."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.weight[:, 0] = torch.tensor([-40.0, 40.0])
            self.layer.bias.copy_(torch.tensor([40.0, -40.0]) * 100.5 / 255)

    def forward(self, x):
        return self.layer(x.flatten(1))


@pytest.fixture(scope="module")
def threshold():
    """One image for each distance 0.5, 1.5, ..., 49.5 levels above the threshold."""
    x = torch.zeros(50, 1, 2, 2, dtype=torch.uint8)
    x[:, 0, 0, 0] = torch.arange(101, 151)
    split = TensorSplit(x, torch.ones(50, dtype=torch.int64), torch.arange(50))
    schema = Schema(Input("image", (1, 2, 2)), Target("class", ("y",), ("dark", "bright")))
    return Subject(schema, split, Threshold().eval())


@pytest.mark.oracle
@pytest.mark.parametrize(("levels", "stay"), [(0.0, 50), (0.4, 50), (1.0, 49), (9.9, 40), (255, 0)])
def test_exactly_those_are_certified_that_cannot_fall(levels, stay, threshold):
    found = measure(threshold, linf=levels / 255)
    assert (found.successes, found.n) == (stay, 50)


def test_no_more_are_certified_than_withstand_the_attack(threshold):
    robust = CATALOGUE["robust"].measure(threshold, linf=4.2 / 255)
    assert measure(threshold, linf=4.2 / 255).value <= robust.value


def test_fewer_rows_are_looked_at_where_intervals_leave_many_open(threshold, monkeypatch):
    whole = measure(threshold, linf=9.9 / 255)  # 40 at once, by intervals; 10 are left open
    assert whole.n == 50 and measure(threshold, linf=0.0).n == 50
    monkeypatch.setattr(certified, "_DEAR", 4)
    fewer = measure(threshold, linf=9.9 / 255)
    assert 8 <= fewer.n < 50
    assert fewer.low <= whole.value <= fewer.high
    assert measure(threshold, linf=0.0).n == 50  # intervals settle all
    assert measure(threshold, linf=0.0, samples=30).n == 30


def test_what_cannot_be_bounded_is_undecided_and_named():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.tan(x.flatten(1)[:, :2] * 9)

    x = torch.zeros(8, 1, 2, 2, dtype=torch.uint8)
    x[:, 0, 0, 0] = 40
    split = TensorSplit(x, torch.zeros(8, dtype=torch.int64), torch.arange(8))
    schema = Schema(Input("image", (1, 2, 2)), Target("class", ("y",), ("dark", "bright")))
    found = measure(Subject(schema, split, Odd().eval()), linf=0.1)
    assert "Tan" in found.unresolved
    verdict = Requirement.parse("certified(linf=0.1) >= 0.5").judge(found)
    assert verdict.verdict == "undecided"


def test_the_distance_is_required():
    with pytest.raises(ValueError, match="`linf`"):
        Requirement.parse("certified >= 0.5")


def test_bounds_that_err_are_caught(threshold, monkeypatch):
    """Planted fault: everything is called certified."""
    from netwright.audits import verify

    def all_of_them(program, x, labels, *, linf):
        holds = torch.ones(len(x), dtype=torch.bool)
        return verify.Certified(holds, torch.ones(len(x)), ("none",) * len(x))

    monkeypatch.setattr(verify, "certify_ball", all_of_them)
    with pytest.raises(RuntimeError, match="can be broken"):
        measure(threshold, linf=0.5)
