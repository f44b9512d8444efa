import json

import pyarrow.parquet

from netwright.data import load, schema_from_json, write_split


def test_the_split_is_written_for_every_row(tmp_path):
    task = load("iris")
    parquet, path = write_split(task, tmp_path)
    table = pyarrow.parquet.read_table(parquet)
    assert table.column_names == ["row", "split"] and table["row"].to_pylist() == list(range(150))
    rows = {name: [] for name in ("train", "validation", "calibration", "test")}
    for row, name in zip(*(column.to_pylist() for column in table.columns), strict=True):
        rows[name].append(row)
    assert rows["train"] == task.train.rows.tolist() and rows["test"] == task.test.rows.tolist()
    content = json.loads(path.read_text())
    assert content["rows"] == {"train": 90, "validation": 15, "calibration": 15, "test": 30}
    assert content["fingerprint"] == task.fingerprint
    assert schema_from_json(json.dumps(content["schema"])) == task.schema
    assert task.test.looks == []


def test_writing_twice_gives_the_same_bytes(tmp_path):
    task = load("iris")
    first = [path.read_bytes() for path in write_split(task, tmp_path)]
    assert [path.read_bytes() for path in write_split(task, tmp_path)] == first
