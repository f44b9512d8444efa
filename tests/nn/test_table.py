from functools import partial

import pytest
import torch

from netwright._rng import seeded
from netwright.data import Column
from netwright.nn import PiecewiseLinear, Standardise, TableEncoder

NAN = float("nan")
COLUMNS = (
    Column("town", "category", ("Rome", "Köln")),
    Column("age", "number", has_missing=True, mean=40.0, std=10.0),
    Column("member", "boolean", has_missing=True, mean=0.25, std=0.5),
    Column("colour", "category", ("red",), has_missing=True),
    Column("since", "date", mean=1000.0, std=100.0),
)


def make(columns=COLUMNS, encode_numbers=Standardise, **kwargs):
    kwargs = {"category_width": 2, "dtype": torch.float64, **kwargs}
    with seeded(0):
        return TableEncoder(columns, encode_numbers=encode_numbers, **kwargs)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("row", "numbers", "embedded"),
    [
        # age and since standardised, member standardised, age missing, member missing
        ((1, 50.0, 1.0, 1, 900.0), [1.0, -1.0, 1.5, 0, 0], (1, 4)),
        ((2, NAN, 0.0, 0, 1000.0), [0.0, 0.0, -0.5, 1, 0], (2, 3)),
        ((0, 40.0, NAN, 0, NAN), [0.0, 0.0, 0.0, 0, 1], (0, 3)),
    ],
)
def test_row_by_hand(row, numbers, embedded):
    encoder = make()
    found = encoder(torch.tensor([row], dtype=torch.float64))[0]
    assert encoder.embedding.num_embeddings == 3 + 2  # a row more than categories, in each column
    weight = encoder.embedding.weight
    expected = torch.cat([torch.tensor(numbers).double(), *(weight[i] for i in embedded)])
    torch.testing.assert_close(found, expected, atol=1e-15, rtol=0)
    assert encoder.out_features == len(found)


def test_columns_that_had_no_missing_values_get_no_indicator_but_bear_them():
    encoder = make([Column("age", "number", mean=40.0, std=10.0)])
    assert encoder(torch.tensor([[NAN]], dtype=torch.float64)).tolist() == [[0.0]]


def test_a_missing_number_passes_no_gradient_and_poisons_none():
    encoder = make(encode_numbers=partial(PiecewiseLinear, width=3))
    rows = torch.tensor([[1, NAN, NAN, 1, NAN], [0, 30.0, 0.0, 1, 5.0]], dtype=torch.float64)
    rows.requires_grad_()
    encoder(rows).square().sum().backward()
    for parameter in encoder.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()
    assert torch.equal(rows.grad[0], torch.zeros(5))
    assert rows.grad[1, 1] != 0


@pytest.mark.parametrize(
    ("columns", "out"),
    [
        ([Column("c", "category", ("a", "b"))], 2),
        ([Column("c", "category")], 2),  # every value was missing
        ([Column("b", "boolean")], 1),
        ([Column("n", "number"), Column("d", "date")], 2),
    ],
)
def test_tables_of_one_kind_of_column(columns, out):
    encoder = make(columns)
    found = encoder(torch.zeros(3, len(columns), dtype=torch.float64))
    assert found.shape == (3, out) == (3, encoder.out_features)
    assert (encoder.numbers is None) == (columns[0].kind in ("category", "boolean"))
    assert (encoder.embedding is None) == (columns[0].kind != "category")


def test_plan_follows_from_the_columns_and_is_not_saved():
    assert set(make().state_dict()) == {
        "boolean_means", "boolean_stds", "embedding.weight", "number_means", "numbers.mean",
        "numbers.std",
    }  # fmt: skip


def test_a_table_needs_a_column():
    with pytest.raises(ValueError, match="`columns` must not be empty"):
        make([])
