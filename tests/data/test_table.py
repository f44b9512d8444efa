import numpy as np
import pyarrow as pa
import pytest

from netwright.data import Column, DataError, Input, encode_table
from netwright.data._table import code_rows, fit_columns, plan_columns

TRAIN = np.array([True] * 40 + [False] * 20)


def fit(values, kind, train=TRAIN):
    columns, notes = fit_columns(pa.table({"c": values}), [Column("c", kind)], train)
    return (columns[0] if columns else None), notes


def test_statistics_come_from_training_rows_alone(rng):
    values = rng.normal(size=60)
    values[40:] = 1e6  # would show in any of them
    column, _ = fit(values, "number")
    assert column.mean == pytest.approx(values[:40].mean(), rel=1e-12)
    assert column.std == pytest.approx(values[:40].std(), rel=1e-12)
    assert column.maximum == values[:40].max() and max(column.quantiles) < 10


def test_quantiles_increase_and_are_at_most_48(rng):
    many, _ = fit(rng.normal(size=60), "number")
    few, _ = fit(np.arange(60.0) % 3, "number")
    assert len(many.quantiles) <= 48 and (np.diff(many.quantiles) > 0).all()
    assert len(few.quantiles) < 10 and (np.diff(few.quantiles) > 0).all()


def test_missing_is_what_the_training_rows_lack():
    assert fit([None, 2.0] * 20 + [1.0] * 20, "number")[0].has_missing
    assert not fit([1.0, 2.0] * 20 + [None] * 20, "number")[0].has_missing


def test_categories_come_from_training_rows_alone():
    column, _ = fit(["b", "a"] * 20 + ["new"] * 20, "category")
    assert column.categories == ("a", "b")


def test_rare_categories_share_the_code_of_missing_with_a_note():
    column, notes = fit(["a"] * 30 + ["b"] * 6 + ["c"] * 4 + ["a"] * 20, "category")
    assert column.categories == ("a", "b")
    assert notes == ("Column `c`: 1 category of fewer than 5 training rows, coded as missing.",)


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        ([5.0] * 40 + [1.0] * 20, "number", "constant in the training rows"),
        (["a"] * 60, "category", "constant in the training rows"),
        ([None] * 40 + [1.0] * 20, "number", "constant in the training rows"),
        ([f"id {i}" for i in range(60)], "category", "none of its categories has 5 training rows"),
    ],
)
def test_columns_that_teach_nothing_are_left_out_with_a_note(values, kind, why):
    column, notes = fit(values, kind)
    assert column is None and notes == (f"Column `c` left out: {why}.",)


def test_statistics_that_are_given_stay():
    given = Column("c", "number", mean=7.0, std=2.0, quantiles=(1.0, 2.0))
    assert fit_columns(pa.table({"c": np.arange(60.0)}), [given], TRAIN)[0] == (given,)


def test_codes():
    columns = [
        Column("n", "number"),
        Column("c", "category", categories=("a", "b")),
        Column("b", "boolean"),
        Column("d", "date"),
    ]
    table = pa.table(
        {
            "n": ["1.5", "", "x"],
            "c": ["b", None, "unseen"],
            "b": ["yes", "no", None],
            "d": ["1970-01-11", "", "1970-01-01T12:00:00"],
        }
    )
    nan = np.nan
    wanted = [[1.5, 2, 1, 10], [nan, 0, 0, nan], [nan, 0, nan, 0.5]]
    np.testing.assert_array_equal(code_rows(table, columns), np.float32(wanted))


def test_encode_takes_the_schemas_columns_in_its_order():
    inputs = Input("table", (2,), columns=(Column("b", "number"), Column("a", "number")))
    rows = pa.table({"a": [1, 2], "other": ["x", "y"], "b": [3, 4]})
    assert encode_table(rows, inputs).tolist() == [[3, 1], [4, 2]]
    with pytest.raises(DataError, match="column `b` is missing. Did you mean `bb`"):
        encode_table(pa.table({"a": [1], "bb": [2]}), inputs)


def test_kinds_can_be_forced():
    table = pa.table({"zip": [8001, 8002] * 30, "n": np.arange(60) * 1.5})
    plan = plan_columns(table, ["zip", "n"], {"zip": "category", "n": "ignore"})
    assert [(c.name, c.kind) for c in plan.columns] == [("zip", "category")]
    assert plan.notes == ("Column `n` left out: as `schema` says.",)


def test_columns_left_out_for_one_reason_make_one_note():
    table = pa.table({f"c{i}": [None] * 5 for i in range(12)})
    (note,) = plan_columns(table, table.column_names, {}).notes
    assert note.endswith("`c9`, ... (12 in all) left out: no value at all.")


def test_a_column_full_of_ties_keeps_knots_for_the_rest():
    from netwright.data._table import QUANTILES, _knots

    rare = np.arange(1.0, 201.0)
    knots = _knots(np.concatenate([np.zeros(3000), rare]))
    assert len(knots) >= QUANTILES - 2  # plain quantiles leave the 0 and at most two more
    assert (np.diff(knots) > 0).all() and knots.max() < 200
    assert (_knots(np.zeros(10)) == [0.0]).all()
