import numpy as np
import pyarrow as pa
import pytest

from netwright.data._cells import Cells
from netwright.data._infer import read_column, target_kind

SENTENCES = [f"this is the sentence number {i} of many" for i in range(40)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1.5", "2", "", "x"] * 1 + ["3"] * 60, "number"),
        ([1, 2, 3.5, None], "number"),
        ([0, 1, 1, None], "boolean"),
        (["yes", "no", "yes"], "boolean"),
        ([True, False], "boolean"),
        (["2024-01-31", "2024-02-01"], "date"),
        (["red", "green", "red"], "category"),
        ([f"id{i}" for i in range(40)], "ignore"),
        (list(range(40)), "ignore"),
        ([i * 1.5 for i in range(40)], "number"),
        ([None, None], "ignore"),
        (SENTENCES, "text"),
        ([[1, 2], [3]], "ignore"),
        ([str(i) for i in range(60)] + ["a", "b", "c", "d", "e"] * 5, "mixed"),
        (["1", "2", "3", "3A"] * 10, "category"),
    ],
)
def test_kinds(values, kind):
    assert read_column(Cells(pa.array(values))).kind == kind


def test_the_odd_cell_of_a_numeric_column_is_bad():
    found = read_column(Cells(pa.array(["1.5"] * 99 + ["=SUM(A1)"])))
    assert (found.kind, np.flatnonzero(found.bad).tolist()) == ("number", [99])


def test_an_infinite_number_is_bad():
    found = read_column(Cells(pa.array([1.0, 2.5, np.inf, np.nan])))
    assert found.bad.tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("kind", "values", "bad"),
    [
        ("number", ["1", "x", ""], [False, True, False]),
        ("category", [1, 2, None], [False, False, False]),
        ("date", ["2024-01-01", "soon"], [False, True]),
        ("boolean", ["1", "2"], [False, True]),
        ("ignore", ["1", "2"], [False, False]),
    ],
)
def test_a_forced_kind_says_which_cells_do_not_fit(kind, values, bad):
    found = read_column(Cells(pa.array(values)), kind)
    assert (found.kind, found.bad.tolist()) == (kind, bad)


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ([["a", "b", "a"]], "class"),
        ([[True, False]], "class"),
        ([[0, 1, 2, 1]], "class"),
        ([list(range(30))], "value"),
        ([[0.5, 1.0]], "value"),
        ([["1.5", "2.5"]], "value"),
        ([["a|b", "a", "b|c"]], "labels"),
        ([["a; b", "a"]], "labels"),
        ([["either|or"] + ["a", "b"] * 30], "class"),
        ([[["a"], ["a", "b"]]], "labels"),
        ([[0, 1], [1, 1]], "labels"),
        ([[0.5, 1], [1, 2]], "values"),
    ],
)
def test_target_kinds(columns, kind):
    assert target_kind([Cells(pa.array(c)) for c in columns], pictures=False) == kind


def test_whole_numbers_beside_pictures_are_classes():
    assert target_kind([Cells(pa.array(list(range(300)) * 2))], pictures=True) == "class"
