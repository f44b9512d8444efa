import pytest
import torch

from netwright._rng import seeded
from netwright.data import Column
from netwright.nn import PiecewiseLinear

COLUMN = Column("a", "number", minimum=0.0, maximum=10.0, quantiles=(1.0, 4.0))  # bins 0 1 4 10


def encode(columns, x, **kwargs):
    with seeded(0):
        return PiecewiseLinear(columns, **kwargs).encode(torch.tensor(x))


@pytest.mark.oracle
def test_encoding_by_hand():
    found = encode([COLUMN], [[0.0], [0.5], [1.0], [2.5], [4.0], [7.0], [10.0]])[:, 0]
    by_hand = [
        [0.0, 0.0, 0.0],
        [0.5, 0.0, 0.0],
        [1.0, 0.0, 0.0],
        [1.0, 0.5, 0.0],
        [1.0, 1.0, 0.0],
        [1.0, 1.0, 0.5],
        [1.0, 1.0, 1.0],
    ]
    torch.testing.assert_close(found, torch.tensor(by_hand))


@pytest.mark.oracle
def test_first_and_last_bin_go_on_beyond_the_training_range():
    found = encode([COLUMN], [[-2.0], [22.0]])[:, 0]  # equation 1: the outer bins are not clipped
    torch.testing.assert_close(found, torch.tensor([[-2.0, 0.0, 0.0], [1.0, 1.0, 3.0]]))


def test_columns_keep_their_own_bins():
    other = Column("b", "number", minimum=-1.0, maximum=1.0)
    found = encode([COLUMN, other], [[2.5, 0.0]])
    torch.testing.assert_close(found, torch.tensor([[[1.0, 0.5, 0.0], [0.5, 0.0, 0.0]]]))


def test_a_constant_column_has_one_bin_of_width_one():
    constant = Column("c", "number", minimum=3.0, maximum=3.0, quantiles=(3.0,))
    torch.testing.assert_close(encode([constant], [[3.25]]), torch.tensor([[[0.25]]]))


def test_many_quantiles_are_thinned_evenly():
    fine = Column("d", "number", minimum=0.0, maximum=49.0, quantiles=tuple(range(1, 49)))
    with seeded(0):
        encoder = PiecewiseLinear([fine], n_bins=8)
    widths = encoder.reach[0]
    assert len(widths) == 8
    assert widths.sum() == 49
    assert widths.min() >= 3  # 49 / 8 = 6.1, the outer ones half as wide
    assert widths.max() <= 8


def test_output_width_and_type():
    with seeded(0):
        encoder = PiecewiseLinear([COLUMN, COLUMN], width=5, dtype=torch.float64)
    out = encoder(torch.zeros(4, 2, dtype=torch.float64))
    assert (out.shape, out.dtype, encoder.out_features) == ((4, 10), torch.float64, 10)


def test_no_columns_is_an_error():
    with pytest.raises(ValueError, match="got 0 columns and 48 bins"):
        PiecewiseLinear([])
