import json
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from netwright.data import (
    DataError,
    load,
    schema_from_json,
    schema_from_toml,
    schema_to_json,
    schema_to_toml,
)
from netwright.data._list_columns import storage
from tests.data.conftest import parts, write_csv


@pytest.fixture
def recordings(rng):
    """60 rows of two channels, 3 to 9 steps, and the arrays they are made of."""
    x = [rng.normal(size=(2, n)).astype(np.float32) for n in rng.integers(3, 10, 60)]
    return x, [("up", "down")[i % 2] for i in range(60)]


def same_rows(task, x):
    for part in parts(task):
        for row, place in zip(part.x.numpy(), part.rows.tolist(), strict=True):
            np.testing.assert_array_equal(row[:, : x[place].shape[1]], x[place])
            assert np.isnan(row[:, x[place].shape[1] :]).all()
    return True


@pytest.mark.parametrize("source", ["arrow", "parquet", "frame", "jsonl", "rows", "chunks"])
def test_a_channel_a_column(tmp_path, recordings, source):
    x, label = recordings
    columns = {"left": [each[0] for each in x], "right": [each[1] for each in x], "label": label}
    table = pa.table(columns)
    if source == "parquet":
        pq.write_table(table, tmp_path / "t.parquet", row_group_size=7)
    if source == "jsonl":
        lines = (json.dumps(row) for row in table.to_pylist())
        (tmp_path / "t.jsonl").write_text("\n".join(lines))
    task = load(
        {
            "arrow": table,
            "parquet": tmp_path / "t.parquet",
            "frame": pd.DataFrame(columns),
            "jsonl": tmp_path / "t.jsonl",
            "rows": [({"left": a, "right": b}, y) for (a, b), y in zip(x, label, strict=True)],
            "chunks": pa.concat_tables([table[:20], table[20:21], table[21:]]),
        }[source]
    )
    assert task.schema.input.kind == "sequence" and task.schema.input.shape == (2, 9)
    assert task.schema.input.channels == ("left", "right")
    assert task.schema.target.classes == ("down", "up") and same_rows(task, x)


@pytest.mark.parametrize("source", ["arrow", "fixed", "frame", "huggingface"])
def test_all_channels_in_one_column(recordings, source, rng):
    x, label = recordings
    if source == "fixed":
        kind = pa.list_(pa.list_(pa.float32(), 4), 2)
        x = [rng.normal(size=(2, 4)).astype(np.float32) for _ in x]
        column = pa.array([each.tolist() for each in x], kind)
    else:
        column = pa.array([each.tolist() for each in x], pa.list_(pa.list_(pa.float32())))
    table = pa.table({"signal": column, "label": label})
    if source == "frame":
        task = load(pd.DataFrame({"signal": x, "label": label}))
    elif source == "huggingface":
        import datasets

        task = load(datasets.Dataset(table))
    else:
        task = load(table)
    assert task.schema.input.channels == ("x0", "x1") and same_rows(task, x)


def test_a_hugging_face_type_of_arrays_is_read(rng):
    import datasets

    x = rng.normal(size=(60, 2, 5)).astype(np.float32)
    features = datasets.Features(
        {
            "signal": datasets.Array2D((2, 5), "float32"),
            "label": datasets.ClassLabel(names=["a", "b"]),
        }
    )
    rows = {"signal": list(x), "label": [i % 2 for i in range(60)]}
    task = load(datasets.Dataset.from_dict(rows, features))
    assert task.schema.target.classes == ("a", "b") and same_rows(task, x)
    plain = pa.chunked_array([[1, 2]])
    assert storage(plain) is plain


@pytest.mark.parametrize("source", ["frame", "csv"])
def test_a_step_a_column(tmp_path, rng, source):
    x = rng.normal(size=(60, 1, 6)).round(3)
    x[::3, 0, 4:] = np.nan
    x[5, 0, 0] = np.nan
    frame = pd.DataFrame(x[:, 0], columns=[f"t{i}" for i in range(6)]).assign(kind=[0, 1] * 30)
    steps = {f"t{i}": "sequence" for i in range(6)}
    given = frame if source == "frame" else write_csv(tmp_path / "t.csv", frame)
    task = load(given, target="kind", schema=steps)
    assert task.schema.input.shape == (1, 6) and task.schema.input.channels == ("x0",)
    for part in parts(task):
        np.testing.assert_array_equal(part.x.numpy(), x[part.rows].astype(np.float32))
    assert load(given, target="kind").schema.input.kind == "table"
    frame["t2"] = frame["t2"].astype(object)
    frame.loc[7, "t2"] = "many"
    found = load(frame, target="kind", schema=steps).quarantine.rows
    assert [row[1] for row in found] == [7] and "instead of numbers" in found[0][2]


def test_lists_beside_other_columns_are_left_out_unless_they_are_wanted(recordings):
    x, label = recordings
    table = pa.table(
        {
            "age": np.arange(60) % 17,
            "signal": [each[0] for each in x],
            "name": [f"row {i}" for i in range(60)],
            "label": label,
        }
    )
    task = load(table)
    assert task.schema.input.kind == "table"
    assert any("`signal` left out: " in n and 'make a "sequence"' in n for n in task.notes)
    task = load(table, schema={"signal": "sequence"}, by="age")
    assert task.schema.input.kind == "sequence" and task.schema.input.channels == ("signal",)
    assert "Beside the sequences, these columns are not used: name." in task.notes
    assert same_rows(task, [each[:1] for each in x])
    assert load(table, schema=task.schema).fingerprint == task.fingerprint
    identified = load(table.drop_columns(["age"]))
    assert identified.schema.input.kind == "sequence"  # a name that is nearly unique is no input


def test_long_identifiers_beside_lists_are_no_text(recordings):
    x, label = recordings
    signal = [each[0] for each in x]
    names = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(place))) for place in range(60)]
    table = pa.table({"recording": names, "signal": signal, "label": label})
    task = load(table)
    assert task.schema.input.sequence_columns == ("signal",)
    assert "Beside the sequences, these columns are not used: recording." in task.notes
    forced = load(table, schema={"recording": "characters"})
    assert forced.schema.input.text_columns == ("recording",)
    assert load(table.drop_columns(["signal"])).schema.input.tokens == "characters"
    said = [f"the {name} pump ran {name} and hot" for name in names]
    assert load(table.append_column("said", [said])).schema.input.text_columns == ("said",)


def test_bad_cells_of_lists_are_left_out(recordings):
    x, label = recordings
    left, right = ([each[place].tolist() for each in x] for place in (0, 1))
    left[3], right[9] = None, right[9][:-1]
    left[11][0], left[12], right[12] = None, [], []
    task = load(pa.table({"left": left, "right": right, "label": label}), max_bad=0.1)
    assert [row[1:] for row in task.quarantine.rows] == [
        (3, "the sequence is missing"),
        (9, "the sequence holds cells that are no numbers, or channels of different lengths"),
        (12, "the sequence has no steps"),
    ]
    deep = [[a, b] for a, b in zip(left, right, strict=True)]
    again = load(pa.table({"signal": deep, "label": label}), max_bad=0.1)
    assert [row[1] for row in again.quarantine.rows] == [3, 9, 12]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"left": "sequence", "age": "sequence"}, "only `left` hold lists"),
        ({"left": "sequence", "deep": "sequence"}, "`deep` holds all channels"),
        ({"lft": "sequence"}, "names the column `lft`.* Did you mean `left`"),
        ({"label": "sequence"}, "A target cannot be of kind 'sequence'"),
    ],
)
def test_what_cannot_be_a_sequence_is_refused(recordings, schema, why):
    x, label = recordings
    table = pa.table(
        {
            "left": [each[0] for each in x],
            "deep": [each.tolist() for each in x],
            "age": np.arange(60) % 17,
            "label": label,
        }
    )
    with pytest.raises(DataError, match=why):
        load(table, schema=schema)
    with pytest.raises(DataError, match=r"for a sequence and `text` for a text \(`label`\)"):
        load(table, schema={"left": "sequence"}, text="label", target="age")


def test_a_schema_of_sequences_needs_lists(recordings, rng):
    schema = load(recordings).schema
    with pytest.raises(DataError, match="no column of data holds lists of numbers"):
        load(pa.table({"age": [1, 2] * 30, "target": ["up", "down"] * 30}), schema=schema)
    with pytest.raises(DataError, match="which `schema` calls `x`"):
        load(recordings, schema={"y": "sequence"})
    with pytest.raises(DataError, match="lists of numbers. Its columns are text, target"):
        load([("some words", "a"), ("other words", "b")] * 20, schema=schema)


@pytest.fixture(params=["steps", "steps called as channels are", "channels", "all channels"])
def layout(request, rng):
    """A frame of 60 rows, the columns that sequences are made of, and these, (60, channels, 7)."""
    x = rng.normal(size=(60, 2, 7)).astype(np.float32)
    frame = pd.DataFrame({"kind": np.arange(60) % 2, "box": [[0.5, 1.5, i] for i in range(60)]})
    if request.param.startswith("steps"):
        names = tuple(f"{'x' if 'called' in request.param else 't'}{i}" for i in range(7))
        return frame.join(pd.DataFrame(x[:, 0], columns=names)), names, x[:, :1]
    if request.param == "channels":
        return frame.assign(left=list(x[:, 0]), right=list(x[:, 1])), ("left", "right"), x
    return frame.assign(x0=1.0 * frame.index, x1=2.0, signal=list(x)), ("signal",), x


def test_a_schema_knows_the_columns_it_makes_sequences_of(layout):
    frame, names, x = layout
    task = load(frame, target="kind", schema=dict.fromkeys(names, "sequence"))
    schema = task.schema
    assert schema.input.sequence_columns == names and same_rows(task, x)
    assert schema_from_json(schema_to_json(schema)) == schema
    assert schema_from_toml(schema_to_toml(schema)) == schema
    bare = schema_from_toml(schema_to_toml(schema, statistics=False))
    assert load(frame, schema=bare).schema == schema
    turned = frame[:30][list(frame.columns[::-1])]  # by name, whatever the order
    rows = load(turned, schema=schema, split={"test": 1.0}).test.open("audit")
    np.testing.assert_array_equal(rows.x.numpy(), x[rows.rows])
    assert len(rows) == 30
    with pytest.raises(DataError, match=f"of the column `{names[0]}`, which data does not have"):
        load(frame.drop(columns=names[0]), schema=schema)


def test_schemas_without_their_columns_are_read_and_lists_found(rng):
    steps = pd.DataFrame(rng.normal(size=(60, 7)), columns=[f"x{i}" for i in range(7)])
    steps["kind"] = np.arange(60) % 2
    columns = dict.fromkeys(steps.columns[:7], "sequence")
    schema = load(steps, target="kind", schema=columns).schema
    written = json.loads(schema_to_json(schema))
    assert written["input"].pop("sequence_columns") == list(columns)
    old = schema_from_json(json.dumps(written))
    assert old.input.sequence_columns == () and json.loads(schema_to_json(old)) == written
    with pytest.raises(DataError, match="name these as `sequence_columns` in the schema's `input`"):
        load(steps, schema=old)  # its one channel has the name of the first column
    lists = pd.DataFrame({"x0": list(rng.normal(size=(60, 7))), "kind": steps["kind"]})
    assert load(lists, schema=old, split={"test": 1.0}).schema == old


def test_lists_that_have_become_numbers_are_no_steps(recordings):
    x, label = recordings
    schema = load(pd.DataFrame({"signal": [each[0] for each in x], "label": label})).schema
    numbers = pd.DataFrame({"signal": [each[0, 0] for each in x], "label": label})
    with pytest.raises(DataError, match="column `signal`, which holds no lists of numbers in data"):
        load(numbers, schema=schema)


def test_lists_stay_labels_as_a_target(rng):
    table = pa.table({"a": rng.normal(size=60), "label": [["x"], ["x", "y"]] * 30})
    assert load(table).schema.target.kind == "labels"
