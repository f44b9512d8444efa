import pytest
import torch
from torch import nn

from netwright.data import Schema, TensorSplit
from netwright.design import Design, Initialisable, build_network, initialise

from .samples import CLASS, FAMILIES, INPUTS, reads, rows_for


class Counts(nn.Module):
    """Counts how often it was shown a split, and how long that was."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def initialise(self, split):
        self.seen.append(len(split))


def split_for(schema, generator):
    y = torch.randint(3, (12,), generator=generator)
    return TensorSplit(rows_for(schema, 12, generator), y, torch.arange(12))


def test_every_layer_that_can_be_set_sees_the_split_once(generator):
    inner, outer = Counts(), Counts()
    network = nn.Sequential(outer, nn.Sequential(nn.ReLU(), inner))
    split = split_for(Schema(INPUTS["text"], CLASS), generator)
    initialise(network, split)
    assert (inner.seen, outer.seen) == ([12], [12])
    assert isinstance(inner, Initialisable)
    assert not isinstance(nn.ReLU(), Initialisable)


@pytest.mark.parametrize("name", FAMILIES)
def test_initialising_draws_nothing_and_keeps_outputs_finite(name, generator):
    schema = Schema(next(i for where, i in INPUTS.items() if reads(name, where)), CLASS)
    split = split_for(schema, generator)
    first, again = (
        build_network(Design("x", name, FAMILIES[name]), schema, seed=0) for _ in range(2)
    )
    before = {key: t.clone() for key, t in first.state_dict().items()}
    initialise(first, split)
    initialise(again, split)
    weights, twin = first.state_dict(), again.state_dict()
    assert all(torch.equal(weights[key], twin[key]) for key in weights)
    changed = any(not torch.equal(weights[key], before[key]) for key in weights)
    assert changed == any(isinstance(m, Initialisable) for m in first.modules())
    assert first.eval()(split.take(range(12))).isfinite().all()
