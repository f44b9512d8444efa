import pytest
import torch

from netwright._rng import seeded
from netwright.data import Column
from netwright.nn import PiecewiseLinear

AGE = Column("age", "number", minimum=0.0, maximum=10.0, quantiles=(1.0, 4.0))
FLAT = Column("flat", "number", minimum=5.0, maximum=5.0, quantiles=(5.0, 5.0))


def make(*columns, **kwargs):
    with seeded(0):
        return PiecewiseLinear(columns, dtype=torch.float64, **kwargs)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("number", "encoded"),
    [  # the bins are [0, 1], [1, 4] and [4, 10]
        (0.0, [0, 0, 0]),
        (0.5, [1 / 2, 0, 0]),
        (1.0, [1, 0, 0]),
        (2.0, [1, 1 / 3, 0]),
        (4.0, [1, 1, 0]),
        (7.0, [1, 1, 1 / 2]),
        (10.0, [1, 1, 1]),
        (-2.0, [-2, 0, 0]),  # the first bin goes on downwards
        (16.0, [1, 1, 2]),  # and the last one upwards
    ],
)
def test_encoding_by_hand(number, encoded):
    x = torch.tensor([[number]], dtype=torch.float64)
    assert make(AGE).encode(x).tolist() == [[pytest.approx(encoded, abs=1e-15)]]


def test_a_column_of_fewer_bins_is_filled_with_zeros():
    x = torch.tensor([[2.0, 5.5], [2.0, 4.0]], dtype=torch.float64)
    found = make(AGE, FLAT).encode(x)
    assert found[:, 1].tolist() == [[0.5, 0, 0], [-1, 0, 0]]  # one bin of width 1, open both ways


def test_each_column_is_mapped_by_weights_of_its_own():
    layer = make(AGE, FLAT, width=2)
    x = torch.tensor([[2.0, 5.5]], dtype=torch.float64)
    weight, bias = layer.mix.weight, layer.mix.bias
    age = weight[0, 0] + weight[0, 1] / 3 + bias[0]
    flat = weight[1, 0] / 2 + bias[1]
    torch.testing.assert_close(layer(x), torch.cat([age, flat])[None], atol=1e-15, rtol=0)
    assert layer.out_features == 4


def test_equal_quantiles_are_one_edge_and_those_at_the_ends_none():
    column = Column("x", "number", minimum=0.0, maximum=3.0, quantiles=(0.0, 1.0, 1.0, 1.0, 3.0))
    layer = make(column)
    assert layer.lower.tolist() == [[0.0, 1.0]]
    assert layer.reach.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("n_bins", [1, 2, 4, 47, 48, 49, 60])
def test_bins_are_thinned_evenly_and_cover_the_column(n_bins):
    column = Column(
        "x", "number", minimum=0.0, maximum=49.0, quantiles=tuple(float(i) for i in range(1, 49))
    )
    layer = make(column, n_bins=n_bins)
    reach = layer.reach[0]
    assert len(reach) == min(n_bins, 49)
    assert reach.sum() == 49
    # each bin holds its share of the 49, up to one at either end
    assert reach.min() >= 49 // n_bins - 1 and reach.max() <= 49 / min(n_bins, 49) + 1.5


def test_encoding_is_continuous_and_increasing():
    column = Column("x", "number", minimum=-3.0, maximum=8.0, quantiles=(-2.5, 0.1, 0.2, 7.0))
    x = torch.linspace(-5, 10, 3001, dtype=torch.float64)
    total = make(column).encode(x[:, None]).sum(dim=(1, 2))
    steps = total.diff()
    assert (steps > 0).all()
    assert steps.max() <= 0.005 / 0.1 + 1e-12  # the steepest bin is 0.1 wide, x moves by 0.005


@pytest.mark.parametrize(("columns", "n_bins"), [((), 3), ((AGE,), 0)])
def test_something_to_encode_is_needed(columns, n_bins):
    with pytest.raises(ValueError, match="must not be empty; got . columns and . bins"):
        PiecewiseLinear(columns, n_bins=n_bins)
