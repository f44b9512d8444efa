import dataclasses
import math
import tomllib

import numpy as np
import pytest

from netwright.data import (
    Column,
    DataError,
    Input,
    Schema,
    Target,
    describe,
    load,
    schema_from_json,
    schema_from_toml,
    schema_to_json,
    schema_to_toml,
)

AWKWARD = Schema(
    Input(
        "table",
        (2,),
        columns=(
            Column('a "b"\n\\ \x7f \x01 ü', "category", categories=("=1+1", "<b>", "", "\t")),
            Column("n", "number", mean=0.1 + 0.2, std=1e-300, minimum=-1e22, quantiles=(1.0, 2.5)),
        ),
    ),
    Target("values", ("x", "y"), mean=(1.5, 2.0), std=(0.1, 3.0)),
    groups=("sex",),
)


@pytest.mark.parametrize("schema", [AWKWARD, "digits", "iris", "diabetes"], ids=str)
def test_there_and_back_to_the_bit(schema):
    schema = load(schema).schema if isinstance(schema, str) else schema
    assert schema_from_json(schema_to_json(schema)) == schema
    assert schema_from_toml(schema_to_toml(schema)) == schema


def test_without_statistics_it_is_short_enough_to_edit():
    text = schema_to_toml(load("iris").schema, statistics=False)
    assert len(text.splitlines()) < 30 and "quantiles" not in text
    assert tomllib.loads(text)["input"]["columns"][0] == {
        "name": "sepal length (cm)",
        "kind": "number",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[target", "no TOML"),
        ("x = 1", "unknown field `x`"),
        (
            "[target]\nkind='class'\nnames=['y']\n[input]\nkind='sound'\nshape=[1]",
            "`input.kind` is",
        ),
        ("[input]\nkind='table'\nshape=[1]", "`target` is wrong: Field required"),
        (
            "[target]\nkind='class'\nnames=['y']\n[input]\nkind='table'\nshape=[1]\n"
            "[[input.columns]]\nname='a'\nkinds='number'",
            "unknown field `input.columns.kinds`",
        ),
    ],
)
def test_mistakes_are_named(text, message):
    with pytest.raises(DataError, match=message):
        schema_from_toml(text)


def test_broken_json():
    with pytest.raises(DataError, match="no JSON"):
        schema_from_json("{")
    with pytest.raises(DataError, match="is wrong"):
        schema_from_json("[1]")


def test_unusual_numbers_survive_toml():
    column = Column("n", "number", maximum=math.inf)
    schema = dataclasses.replace(AWKWARD, input=Input("table", (1,), columns=(column,)))
    assert schema_from_toml(schema_to_toml(schema)) == schema


def test_the_description_says_what_was_inferred(rng):
    import pandas as pd

    n = 200
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n).round(),
            "city": rng.choice(["Ulm", "Köln"], n),
            "since": pd.date_range("2020-01-01", periods=n),
            "member": rng.choice([True, False], n),
            "y": rng.choice(["no", "yes"], n),
        }
    )
    lines = describe(load(frame, target="y", by="city").schema).splitlines()
    assert lines[0].split() == ["target", "class", "`y`:", "no,", "yes"]
    assert [line.split()[0] for line in lines[2:6]] == ["number", "category", "date", "boolean"]
    assert "`city`: Köln, Ulm" in lines[3] and "`since`: 2020-01-0" in lines[4]
    assert lines[-1].split() == ["groups", "`city`"]
    assert "grey, 8 x 8 pixels" in describe(load("digits").schema)


def test_dates_far_away_are_described():
    column = Column("d", "date", minimum=-4e6, maximum=0.0)
    schema = Schema(Input("table", (1,), columns=(column,)), Target("value", ("y",)))
    assert "1970-01-01" in describe(schema)


def test_large_schemas_are_written_fast():
    words = tuple(f"w{i}" for i in range(20_000))
    schema = Schema(Input("text", (9,), vocabulary=words), Target("class", ("y",), ("a", "b")))
    assert schema_from_toml(schema_to_toml(schema)) == schema
    assert len(np.unique(words)) == 20_000
