import gzip
import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from netwright.data import DataError
from netwright.data._read_table import column_of, read_frame, read_records, read_table


def read(path, content, memory_limit=1 << 30):
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(data)
    return read_table(path, memory_limit=memory_limit, cache=path.parent / "cache")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "a,b\n1,x\n2,y\n"),
        ("t.csv", "a;b\r\n1;x\r\n2;y\r\n"),
        ("t.csv", "\ufeffa,b\n1,x\n\n2,y"),
        ("t.tsv", "a\tb\n1\tx\n2\ty\n"),
        ("t.csv", 'a,"b"\n1,"x"\n"2",y\n'),
        ("t.csv.gz", gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0)),
        ("t.jsonl", '{"a": "1", "b": "x"}\n\n{"a": "2", "b": "y"}\n'),
    ],
)
def test_every_way_to_write_one_table(tmp_path, name, content):
    gathered = read(tmp_path / name, content)
    assert gathered.table.to_pydict() == {"a": ["1", "2"], "b": ["x", "y"]}
    assert (gathered.name, gathered.row.tolist()) == ("t", [0, 1])


def test_line_breaks_and_separators_inside_quotes(tmp_path):
    gathered = read(tmp_path / "t.csv", 'a,"b\nc"\n1,"x,\ny"\n')
    assert gathered.table.to_pydict() == {"a": ["1"], "b\nc": ["x,\ny"]}


def test_rows_of_another_width_are_bad_and_keep_their_number(tmp_path):
    gathered = read(tmp_path / "t.csv", "a,b\n1,2\n3\n4,5\n\n6,7,8\n9,0\n")
    assert gathered.table["a"].to_pylist() == ["1", "4", "9"]
    assert gathered.row.tolist() == [0, 2, 4]
    assert [(bad.row, bad.reason) for bad in gathered.bad] == [
        (1, "1 columns; the header has 2"),
        (3, "3 columns; the header has 2"),
    ]


def test_bad_json_lines_keep_their_number(tmp_path):
    gathered = read(tmp_path / "t.jsonl", '{"a": 1}\n{"a": \n[1]\n{"a": 2, "b": "x"}\n')
    assert gathered.table.to_pydict() == {"a": [1, 2], "b": [None, "x"]}
    assert gathered.row.tolist() == [0, 3]
    assert [bad.row for bad in gathered.bad] == [1, 2]
    assert gathered.bad[1].reason == "no JSON object: [1]"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty .0 bytes"),
        ("t.csv", "a,b\n", "has a header but no rows"),
        ("t.csv", "a,a\n1,2\n", "has several columns called a"),
        ("t.csv", "\n1,2\n", "has no header"),
        ("t.csv", "a,b\n1,\xe9\n".encode("latin-1"), "is not UTF-8 text"),
        ("t.csv", "\xe9,b\n1,2\n".encode("latin-1"), "is not UTF-8 text"),
        ("t.jsonl", '{"a": "\xe9"}'.encode("latin-1"), "is not UTF-8 text"),
        ("t.parquet", "PAR1 but not really", "cannot be read as Parquet"),
        ("t.csv.gz", b"a,b\n1,2\n", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read_are_errors_that_name_them(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message) as raised:
        read(tmp_path / name, content)
    assert str(tmp_path / name) in str(raised.value)


def test_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    pa.parquet.write_table(pa.table({"a": [1, None], "b": ["x", "y"]}), path)
    gathered = read_table(path, memory_limit=1 << 30, cache=tmp_path)
    assert gathered.table.to_pydict() == {"a": [1, None], "b": ["x", "y"]}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_beyond_the_limit_is_mapped_and_leaves_no_file(tmp_path, ending, rng):
    table = pa.table({"a": rng.normal(size=50_000), "b": [f"w{i % 7}" for i in range(50_000)]})
    path = tmp_path / f"t.{ending}"
    if ending == "csv":
        path.write_text(table.to_pandas().to_csv(index=False))
    else:
        pa.parquet.write_table(table, path, row_group_size=5000)
    before = pa.total_allocated_bytes()
    mapped = read_table(path, memory_limit=1000, cache=tmp_path / "cache")
    wait_for = time.monotonic() + 5  # the reader frees the blocks it read ahead in its own time
    while pa.total_allocated_bytes() - before > 200_000 and time.monotonic() < wait_for:
        time.sleep(0.01)
    assert pa.total_allocated_bytes() - before < 200_000  # the columns take more than a million
    assert not list((tmp_path / "cache").iterdir())
    whole = read_table(path, memory_limit=1 << 30, cache=tmp_path / "cache")
    assert mapped.table.equals(whole.table)


def test_json_that_no_table_can_hold(tmp_path):
    lines = ['{"a": "\\ud800"}', '{"a": "\\ud83d\\ude00"}', "[" * 100_000]
    gathered = read(tmp_path / "t.jsonl", "\n".join(lines))
    assert gathered.table["a"].to_pylist() == ["\N{GRINNING FACE}"]
    assert [bad.row for bad in gathered.bad] == [0, 2]


def test_a_cell_of_a_megabyte(tmp_path):
    gathered = read(tmp_path / "t.csv", "a,b\n1," + "x" * 2_000_000 + "\n2,y\n")
    assert gathered.table["a"].to_pylist() == ["1", "2"]


def test_mixed_values_become_words():
    assert column_of([1, 10**30]).to_pylist() == ["1", str(10**30)]
    assert column_of([1, "a", None, float("nan")]).to_pylist() == ["1", "a", None, None]
    assert column_of([1, 2.5, None]).to_pylist() == [1, 2.5, None]


def test_records_may_lack_columns():
    gathered = read_records("r", [{"a": 1}, {"b": "x"}])
    assert gathered.table.to_pydict() == {"a": [1, None], "b": [None, "x"]}


def test_frames():
    import pandas as pd

    frame = pd.DataFrame(
        {
            "n": [1, 2],
            "mixed": [1, "a"],
            "c": pd.Categorical(["x", "y"]),
            "when": pd.to_datetime(["2024-01-01", None]),
            5: [True, None],
        },
        index=[7, 8],
    )
    gathered = read_frame(frame)
    assert gathered.table.column_names == ["n", "mixed", "c", "when", "5"]
    assert gathered.table["mixed"].to_pylist() == ["1", "a"]
    with pytest.raises(DataError, match="several columns called a"):
        read_frame(pd.DataFrame(np.ones((2, 2)), columns=["a", "a"]))
    with pytest.raises(DataError, match="has no rows"):
        read_frame(frame.iloc[:0])


def test_json_values_of_every_kind(tmp_path):
    lines = [{"l": ["a", "b"], "n": 1.5, "t": True}, {"l": [], "n": None, "t": False}]
    gathered = read(tmp_path / "t.jsonl", "\n".join(map(json.dumps, lines)))
    assert gathered.table.to_pylist() == lines
