from functools import partial

import pytest
import torch

from netwright._rng import seeded
from netwright.data import Column
from netwright.nn import PiecewiseLinear, Standardise, TableEncoder

NAN = float("nan")
COLUMNS = (
    Column("age", "number", has_missing=True, mean=40.0, std=10.0),
    Column("town", "category", categories=("Rome", "Wien")),
    Column("member", "boolean", has_missing=True, mean=0.25, std=0.5),
    Column("since", "date", mean=100.0, std=50.0),
    Column("colour", "category", categories=("red", "green", "blue")),
)


def encoder(**kwargs):
    with seeded(0):
        return TableEncoder(COLUMNS, encode_numbers=Standardise, category_width=2, **kwargs)


def test_every_kind_of_column_by_hand():
    made = encoder()
    found = made(torch.tensor([[50.0, 2.0, 1.0, 0.0, 3.0], [NAN, 0.0, NAN, 100.0, 0.0]]))
    # age, since, member, age missing, member missing; then two embeddings of width 2
    torch.testing.assert_close(found[0, :5], torch.tensor([1.0, -2.0, 1.5, 0.0, 0.0]))
    torch.testing.assert_close(found[1, :5], torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0]))
    table = made.embedding.weight
    # rows: town missing, Rome, Wien; colour missing, red, green, blue
    assert torch.equal(found[0, 5:], torch.cat([table[2], table[6]]))
    assert torch.equal(found[1, 5:], torch.cat([table[0], table[3]]))
    assert made.out_features == found.shape[1] == 9


def test_a_value_missing_where_none_was_in_training_becomes_the_mean():
    found = encoder()(torch.tensor([[50.0, 1.0, 0.0, NAN, 1.0]]))
    assert found[0, 1] == 0.0
    assert found.isfinite().all()


@pytest.mark.parametrize("kept", [(0, 3), (1, 4), (2,), (0,)])
def test_tables_of_some_kinds_only(kept):
    columns = [COLUMNS[i] for i in kept]
    with seeded(0):
        made = TableEncoder(columns, encode_numbers=partial(PiecewiseLinear, width=3))
    assert made(torch.ones(2, len(columns))).shape == (2, made.out_features)


def test_a_code_beyond_the_categories_raises():
    with pytest.raises(IndexError):
        encoder()(torch.tensor([[50.0, 1.0, 0.0, 0.0, 4.0]]))


def test_no_columns_is_an_error():
    with pytest.raises(ValueError, match="`columns` must not be empty"):
        TableEncoder([], encode_numbers=Standardise)


def test_float64_is_kept():
    made = encoder(dtype=torch.float64)
    assert made(torch.ones(2, 5, dtype=torch.float64)).dtype == torch.float64
