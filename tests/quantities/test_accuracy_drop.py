import dataclasses

import pytest
import torch
from torch import nn

from netwright.data import Input, Schema, Target, TensorSplit
from netwright.measure import Subject
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

SCHEMA = Schema(Input("image", (1, 1, 3)), Target("class", ("y",), classes=("a", "b", "c")))
X = torch.eye(3)[torch.tensor([0, 1, 2, 0, 1, 2])][:, None, None, :]
SPLIT = TensorSplit(X, torch.tensor([0, 1, 2, 0, 1, 1]), torch.arange(6))
measure = CATALOGUE["accuracy_drop"].measure


def subject(before):
    return Subject(SCHEMA, SPLIT, nn.Flatten(), before=before)


def test_it_compares_with_the_outputs_from_before():
    right = torch.eye(3)[SPLIT.y]
    assert measure(subject(right)).value == pytest.approx(1 / 6)
    assert measure(subject(X.flatten(1))).value == 0
    assert measure(subject(torch.eye(3)[(SPLIT.y + 1) % 3])).value == pytest.approx(-5 / 6)


def test_rows_are_chosen_on_both_sides():
    chosen = subject(torch.eye(3)[SPLIT.y]).where(torch.tensor([5, 0]))
    assert (measure(chosen).value, measure(chosen).n) == (0.5, 2)


def test_several_labels_count_when_every_one_is_right():
    schema = dataclasses.replace(SCHEMA, target=Target("labels", ("y",), classes=("a", "b", "c")))
    split = TensorSplit(X, X.flatten(1), torch.arange(6))
    before = torch.where(X.flatten(1) > 0, 1.0, -1.0)
    now = nn.Sequential(nn.Flatten(), nn.Threshold(0.5, -1.0))
    assert measure(Subject(schema, split, now, before=before)).value == 0
    before[0] *= -1
    assert measure(Subject(schema, split, now, before=before)).value == pytest.approx(-1 / 6)


def test_bounds_are_in_points():
    assert Requirement.parse("accuracy_drop <= 0.5 points").bound == 0.005
    assert Requirement.parse("accuracy_drop <= 1 point").bound == 0.01


def test_it_is_refused_where_there_is_nothing_to_compare_with():
    with pytest.raises(ValueError, match="`subject.before` is None"):
        measure(subject(None))
    with pytest.raises(ValueError, match="ask for it in `netwright compress`"):
        Requirement.parse("accuracy_drop <= 1 %").check(SCHEMA)
