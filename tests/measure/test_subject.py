import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.data import Input, Schema, Split, Target, TensorSplit
from netwright.measure import Subject

SCHEMA = Schema(Input("table", (2,)), Target("class", ("y",), ("a", "b")), ("sex",))


@pytest.fixture
def subject():
    x = torch.arange(20.0).view(10, 2)
    split = TensorSplit(x, torch.arange(10) % 2, torch.arange(100, 110), {"sex": tuple("fm" * 5)})
    with seeded(0):
        return Subject(SCHEMA, split, nn.Linear(2, 2).eval())


def test_outputs_come_from_the_artefact_where_there_is_one(subject):
    assert torch.equal(subject.outputs, subject.network(subject.split.x))
    assert not subject.outputs.requires_grad
    shipped = Subject(SCHEMA, subject.split, subject.network, predict=lambda x: x * 0)
    assert not shipped.outputs.any()


def test_a_part_has_its_rows_and_its_share_of_the_outputs(subject):
    places = torch.tensor([7, 0, 3])
    part = subject.where(places)
    assert isinstance(part.split, Split)
    assert len(part.split) == 3
    assert torch.equal(part.split.y, subject.split.y[places])
    assert part.split.rows.tolist() == [107, 100, 103]
    assert part.split.groups == {"sex": ("m", "f", "m")}
    assert torch.equal(part.split.take([2, 0]), subject.split.x[[3, 7]])
    assert torch.equal(part.outputs, subject.outputs[places])
    whole = torch.cat([x for x, _ in part.split.batches(2)])
    assert torch.equal(whole, subject.split.x[places])


def test_batches_of_a_part_shuffle_and_drop_like_a_split(subject, generator):
    part = subject.where(torch.arange(5)).split
    batches = list(part.batches(2, generator=generator, drop_last=True))
    assert [len(y) for _, y in batches] == [2, 2]
    assert {int(x[0]) for b, _ in batches for x in b} <= {0, 2, 4, 6, 8}
    assert [len(y) for _, y in part.batches(2)] == [2, 2, 1]
