import csv

import numpy as np
import pyarrow as pa
import pytest

from netwright.data import DataError, load, write_quarantine
from netwright.data._gathered import Bad, plain
from netwright.data._quarantine import Quarantine


def source(n, bad=()):
    return plain("s", pa.table({"a": np.arange(n)}), "file.csv", bad=bad)


def test_a_row_is_counted_once_with_its_first_reason():
    quarantine = Quarantine(source(100), 0.05)
    rows = np.zeros(100, bool)
    rows[[3, 5]] = True
    quarantine.add(rows, "first")
    quarantine.add(rows, {3: "second", 5: "second"})
    assert quarantine.table().rows == (("file.csv", 3, "first"), ("file.csv", 5, "first"))
    assert quarantine.good.sum() == 98
    quarantine.check()


def test_too_many_bad_rows_stop_and_tell_why():
    quarantine = Quarantine(source(94, bad=(Bad("file.csv", 94, "2 columns"),)), 0.05)
    quarantine.add(np.arange(94) < 5, "it is odd")
    with pytest.raises(DataError) as raised:
        quarantine.check()
    message = str(raised.value)
    assert message.startswith("6 of 95 rows (6.3%) cannot be used; at most 5% may be bad")
    assert "Most common, 5 times: it is odd." in message and "file.csv, row 0: it is odd" in message
    assert len(raised.value.quarantine.rows) == 6


def test_exactly_the_limit_is_allowed():
    quarantine = Quarantine(source(100), 0.05)
    quarantine.add(np.arange(100) < 5, "bad")
    assert quarantine.check() is None  # it raises above the limit


def test_no_good_row_is_an_error_whatever_the_limit():
    quarantine = Quarantine(source(3), 1.0)
    quarantine.add(np.ones(3, bool), "bad")
    with pytest.raises(DataError):
        quarantine.check()


def test_formulas_are_written_so_that_no_spreadsheet_runs_them(tmp_path):
    names = ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "plain, with comma"]
    rows = [(np.zeros((4, 4), np.uint8), i % 2) for i in range(95)]
    task = load(rows)
    table = task.quarantine
    filled = type(table)(table.title, table.columns, tuple((n, 7, "=1+1") for n in names))
    path = write_quarantine(filled, tmp_path)
    with open(path, newline="") as file:
        found = list(csv.reader(file))
    assert found[0] == ["file", "row", "reason"]
    assert [row[0] for row in found[1:]] == [*("'" + name for name in names[:4]), names[4]]
    assert all(row[1:] == ["7", "'=1+1"] for row in found[1:])
