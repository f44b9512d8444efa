import itertools

import pytest
import torch

from netwright.design.spaces import Decision
from netwright.design.strategies import Surrogate
from netwright.design.strategies._encoding import encode, width

from .hills import Hill, accuracy


def test_codes_are_one_hot_and_ordered_ones_have_a_place_besides():
    class Two(Hill):
        decisions = (Decision("a", ("x", "y")), Decision("b", (1, 2, 3), ordered=True))

    assert encode(Two(), [(1, 0), (0, 2)]).tolist() == [[0, 1, 1, 0, 0, -1], [1, 0, 0, 0, 1, 1]]
    assert width(Two()) == 6


def test_it_orders_designs_that_it_has_not_seen(generator):
    codes = list(itertools.product(*(range(len(d.options)) for d in Hill.decisions)))
    rows = encode(Hill(), codes)
    truth = torch.tensor([accuracy(code) for code in codes])
    seen = torch.randperm(len(codes), generator=generator)[:60]
    surrogate = Surrogate(rows.shape[1])
    surrogate.fit(rows[seen], truth[seen])
    found, doubt = surrogate.predict(rows)
    unseen = torch.ones(len(codes), dtype=torch.bool).index_fill(0, seen, False)
    correlation = torch.corrcoef(torch.stack([found[unseen], truth[unseen]]))[0, 1].item()
    assert correlation > 0.85
    assert doubt[unseen].mean() > doubt[seen].mean()
    again = Surrogate(rows.shape[1])
    again.fit(rows[seen], truth[seen])
    assert torch.equal(again.predict(rows)[0], found)


def test_one_value_throughout_is_predicted():
    surrogate = Surrogate(3)
    surrogate.fit(torch.eye(3), torch.full((3,), 0.25))
    assert surrogate.predict(torch.eye(3))[0].tolist() == pytest.approx([0.25] * 3, abs=1e-4)


def test_it_must_be_fitted_first_and_have_a_shape():
    with pytest.raises(RuntimeError, match="Call `fit` before `predict`"):
        Surrogate(2).predict(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="must be positive; got 2, 0 and 32"):
        Surrogate(2, members=0)
