import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright.data._schema import Target
from netwright.data._task import TensorSplit
from netwright.learn import evaluate

CLASS = Target("class", ("y",), ("a", "b", "c"))


def split(n=50):
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=drawn)
    return TensorSplit(x, torch.randint(0, 3, (n,), generator=drawn), torch.arange(n))


def test_figures_are_those_of_all_rows_whatever_the_batch():
    rows = split()
    whole = evaluate(nn.Identity(), rows, CLASS)
    assert whole.loss == pytest.approx(functional.cross_entropy(rows.x, rows.y).item(), abs=1e-6)
    assert whole.score == (rows.x.argmax(dim=1) == rows.y).double().mean().item()
    pieces = evaluate(nn.Identity(), rows, CLASS, batch_size=7)
    assert pieces == pytest.approx(whole, abs=1e-6)  # the sum's order is the same, kernels differ


def test_runs_in_eval_mode_and_keeps_the_mode():
    network = nn.Sequential(nn.Dropout(0.9)).train()
    assert evaluate(network, split(), CLASS) == evaluate(nn.Identity(), split(), CLASS)
    assert network.training


def test_empty_split_is_an_error():
    with pytest.raises(ValueError, match="`split` has no rows"):
        evaluate(nn.Identity(), split(0), CLASS)


def test_outputs_that_would_broadcast_are_an_error():
    rows = TensorSplit(torch.zeros(4, 3), torch.zeros(4, 1), torch.arange(4))
    value = Target("value", ("y",), mean=(0.0,), std=(1.0,))
    message = r"`network` must give \(4, 1\) outputs for 4 examples .* `value`; got \(4, 3\)"
    with pytest.raises(ValueError, match=message):
        evaluate(nn.Identity(), rows, value)
