import math

import pytest

from netwright.finding import Bars, Heatmap, Lines, Series, Table
from netwright.report._numbers import write_column
from netwright.report._tables import chart_table, view_table
from tests.report import samples


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ((0.9777777, 0.5, 1.0), ["0.978", "0.500", "1.000"]),
        ((3.4, 24.1, 31.24), ["3.40", "24.10", "31.24"]),
        ((0.04214, 0.03), ["0.0421", "0.0300"]),
        ((143.21, -2.5), ["143.2", "−2.5"]),
        ((1.0, 2.0), ["1", "2"]),
        ((1e-9, 1.0), ["1e-09", "1"]),
        ((12345, 1997), ["12,345", "1,997"]),
        ((2024, 1997), ["2024", "1997"]),
        ((0.0296, 12.27), ["0.030", "12.270"]),
        ((None, "text", True), ["–", "text", "yes"]),
        ((math.nan, math.inf, -math.inf), ["not a number", "∞", "−∞"]),
    ],
)
def test_numbers_of_a_column_are_written_alike(column, shown):
    assert write_column(column) == shown


def test_numeric_columns_are_told_from_text():
    view = view_table(Table("t", ("a", "b", "c"), ((1, "x", None), (2.5, 3, None))))
    assert view.numeric == (True, False, False)
    assert [row[0].key for row in view.rows] == ["1", "2.5"]


def test_ragged_table_is_refused_with_its_row():
    with pytest.raises(ValueError, match="Table 't' has 2 columns, but row 1 has 1 cells"):
        view_table(Table("t", ("a", "b"), ((1, 2), (3,))))


def test_series_over_the_same_positions_share_a_table():
    view = chart_table(samples.training_loss())
    assert view.columns == ("epoch", "training", "validation")
    assert len(view.rows) == 40
    apart = chart_table(
        Lines("t", "x", "y", (Series("a", (1.0,), (2.0,)), Series("b", (3.0,), (4.0,))))
    )
    assert [[c.text for c in row] for row in apart.rows] == [["a", "1", "2"], ["b", "3", "4"]]


def test_hover_texts_stand_in_the_table_too():
    view = chart_table(Bars("t", "class", "y", (Series("s", ("a",), (1.0,), ("a: half",)),)))
    assert [c.text for c in view.rows[0]] == ["s", "a", "1", "a: half"]


def test_small_matrix_is_listed_whole_large_one_by_its_mistakes():
    names = ("a", "b")
    small = chart_table(Heatmap("t", "said", "true", names, names, ((5.0, 1.0), (0.0, 7.0))))
    assert small.columns == ("true \\ said", "a", "b")
    heatmap = samples.many_classes().findings[0].evidence[0]
    n_mistakes = sum(v > 0 for row in heatmap.values for v in row) - 100
    large = chart_table(heatmap)
    counts = [int(row[2].text) for row in large.rows]
    assert len(large.rows) == n_mistakes == 187
    assert counts == sorted(counts, reverse=True)
    assert all(row[0].text != row[1].text for row in large.rows)
