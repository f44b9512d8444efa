import numpy as np
import pytest

from netwright.data import Column, Input
from netwright.data._arrow import write_rows
from netwright.data._duplicates import find_duplicates
from netwright.data._text import number_tokens

PICTURES = Input("image", (1, 8, 8))
NUMBERS = Input("table", (4,), columns=tuple(Column(n, "number") for n in "abcd"))


def find(x, split, inputs=PICTURES, y=None, **others):
    n = len(x)
    given = {"split": np.array(split), "y": np.zeros(n, int) if y is None else y}
    return find_duplicates(x, inputs, **given, rows=np.arange(n) + 100, **others)


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 255, (200, 1, 8, 8)).astype(np.uint8)


def test_a_leaked_row_is_found_with_its_source_and_target(pictures):
    pictures[150] = pictures[7]
    y = np.zeros(200, int)
    y[150] = 1
    found = find(pictures, [0] * 100 + [3] * 100, y=y)
    assert found.table.rows == (("exact", "test", 250, "train", 107, "no"),)
    assert found.notes[0].startswith("1 rows occur in an earlier split too (1 exactly, 0 nearly; 1")


def test_nothing_planted_nothing_found(pictures):
    found = find(pictures, np.arange(200) % 4)
    assert found.table.rows == () and found.notes == ()


def test_each_row_is_named_once_however_often_it_recurs(pictures):
    pictures[:] = pictures[0]
    found = find(pictures, [0] * 50 + [1] * 50 + [2] * 50 + [3] * 50)
    assert len(found.table.rows) == 150
    assert {row[3] for row in found.table.rows} == {"train"}
    assert len({row[2] for row in found.table.rows}) == 150


def test_a_row_of_test_that_recurs_in_calibration_alone(pictures):
    pictures[3] = pictures[2]
    found = find(pictures[:4], [0, 0, 3, 2])
    assert found.table.rows == (("exact", "test", 102, "calibration", 103, "yes"),)


def test_at_most_a_thousand_are_listed_but_all_are_counted(rng):
    x = np.repeat(rng.normal(size=(1500, 4)).astype(np.float32), 2, axis=0)
    found = find(x, [0, 3] * 1500, NUMBERS)
    assert len(found.table.rows) == 1000 and found.notes[0].startswith("1,500 rows")


def test_missing_cells_are_equal(rng):
    x = rng.normal(size=(50, 4)).astype(np.float32)
    x[:, 0] = np.nan
    x[40] = x[3]
    assert find(x, [0] * 25 + [3] * 25, NUMBERS).table.rows[0][:3] == ("exact", "test", 140)


def test_texts_are_compared_whole_not_as_they_were_cut():
    inputs = Input("text", (2,), text_columns=("text",), vocabulary=("a",))
    texts = [
        "a a one ending of many words",
        "a a quite another one that goes on",
        "A a  one ending of many words",
    ]
    x = np.full((3, 2), 2)  # equal after the cut
    found = find(x, [0, 3, 3], inputs, corpus=number_tokens(texts))
    assert [row[:3] for row in found.table.rows] == [("exact", "test", 102)]


def test_the_same_in_a_file(tmp_path, pictures):
    pictures[150] = pictures[7]
    pictures[160] = np.clip(pictures[8].astype(int) + 3, 0, 255)
    split = [0] * 100 + [3] * 100
    rows = write_rows(tmp_path / "x.arrow", iter([pictures]), (1, 8, 8), np.dtype(np.uint8))
    wanted = find(pictures, split).table.rows
    assert find(rows, split).table.rows == wanted and len(wanted) == 2
