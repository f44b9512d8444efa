import dataclasses

import pytest
import torch

from netwright.data import DataError, load
from tests.data.conftest import reviews, sizes


def test_a_schema_codes_other_rows_alike(table):
    task = load(table, target="bought", by="colour")
    other = load(table.iloc[:50], schema=task.schema, split={"test": 1.0})
    assert other.schema == task.schema and sizes(other) == [0, 0, 0, 50]
    place = {int(row): i for i, row in enumerate(task.train.rows)}
    test = other.test.open("test")
    shared = [i for i, row in enumerate(test.rows.tolist()) if row in place]
    wanted = task.train.x[[place[int(test.rows[i])] for i in shared]]
    assert torch.equal(test.x[shared].nan_to_num(), wanted.nan_to_num())


def test_a_schema_without_quantiles_is_fitted_still(table):
    # A shipped file's schema leaves them out. Equal numbers with gaps have no range either.
    table = table.assign(gappy=[None if i % 9 == 0 else 3.0 for i in range(len(table))])
    task = load(table, target="bought")
    columns = tuple(dataclasses.replace(c, quantiles=()) for c in task.schema.input.columns)
    short = dataclasses.replace(
        task.schema, input=dataclasses.replace(task.schema.input, columns=columns)
    )
    other = load(table.iloc[:50], schema=short, split={"test": 1.0})
    assert other.schema == short and sizes(other) == [0, 0, 0, 50]


def test_without_training_rows_a_schema_needs_its_statistics(tmp_path, table, image_folder):
    from netwright.data import schema_to_toml

    one_test_row = {"split": {"test": 1.0}}
    with pytest.raises(DataError, match="no training rows to fit the schema on"):
        load(table, target="bought", **one_test_row)
    for source, options in ((table, {"target": "bought"}), (image_folder, {})):
        schema = load(source, **options).schema
        (tmp_path / "s.toml").write_text(schema_to_toml(schema, statistics=False))
        with pytest.raises(DataError, match="no training rows to fit the schema on"):
            load(source, schema=tmp_path / "s.toml", **one_test_row)
    schema = load(table, target="amount").schema
    assert len(load(table.iloc[:1], schema=schema, **one_test_row).test) == 1


def test_a_schema_refuses_what_it_does_not_know(table):
    schema = load(table, target="bought").schema
    with pytest.raises(DataError, match="The column `amount` is missing. Did you mean `amounts`"):
        load(table.rename(columns={"amount": "amounts"}), schema=schema)
    with pytest.raises(DataError, match="`schema` is for table input, but digits holds image"):
        load("digits", schema=schema, target="target")
    table.loc[3, "bought"] = "perhaps"
    task = load(table, schema=schema)
    assert task.quarantine.rows[0][2] == "the class in `bought` is none of those known"


def test_a_schema_is_edited_in_toml(tmp_path, table):
    from netwright.data import schema_to_toml

    text = schema_to_toml(load(table, target="bought").schema, statistics=False)
    text = text.replace('name = "member"\nkind = "boolean"', 'name = "member"\nkind = "category"')
    (tmp_path / "schema.toml").write_text(text)
    schema = load(table, schema=tmp_path / "schema.toml").schema
    columns = {column.name: column for column in schema.input.columns}
    assert columns["member"].categories == ("false", "true")
    assert columns["amount"].quantiles  # fitted anew
    with pytest.raises(DataError, match="`schema` names no file"):
        load(table, schema=tmp_path / "none.toml")


def test_pictures_and_texts_take_given_schemas(image_folder, rng):
    task = load(image_folder)
    again = load(image_folder, schema=task.schema, seed=5)
    assert again.schema == task.schema
    rows = reviews(rng)
    task = load(rows)
    assert load(rows[:30], schema=task.schema, split={"test": 1.0}).schema == task.schema
