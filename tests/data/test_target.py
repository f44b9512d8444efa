import numpy as np
import pyarrow as pa
import pytest

from netwright.data import DataError
from netwright.data._cells import Cells
from netwright.data._target import only_examples, only_trained, read_target, strata, with_statistics


def read(values, kind="class", **others):
    return read_target([Cells(pa.array(values))], ("goal",), kind, **others)


def bad(goals):
    return np.flatnonzero(np.any(list(goals.bad.values()), axis=0)).tolist()


def test_classes_are_sorted_by_size_if_numbers_else_by_letter():
    assert read(["10", "9", "10"]).target.classes == ("9", "10")
    assert read(["b", "a10", "a9"] * 2).target.classes == ("a10", "a9", "b")


def test_markup_in_class_names_is_kept():
    assert read(["<script>alert(1)</script>", "b", "b"]).target.classes[0].startswith("<script>")


def test_codes_get_the_names_of_the_source_in_its_order():
    goals = read([1, 0, 1, -1], of_codes=("zebra", "ape"))
    assert goals.target.classes == ("zebra", "ape")
    assert (goals.y[:3].tolist(), bad(goals)) == ([1, 0, 1], [3])


def test_a_code_without_a_name_is_an_error():
    with pytest.raises(DataError, match="`goal` holds the code '2', but only 2 classes are named"):
        read([0, 2], of_codes=("a", "b"))


def test_a_given_list_of_classes_is_kept_and_others_are_bad():
    goals = read(["b", "x", "a", None], classes=("c", "b", "a"))
    assert goals.target.classes == ("c", "b", "a")
    assert (goals.y[[0, 2]].tolist(), bad(goals)) == ([1, 2], [1, 3])


def test_a_target_of_names_is_refused():
    with pytest.raises(DataError, match="100 distinct values in 100 rows, too many for classes"):
        read([f"name {i}" for i in range(100)])


def test_an_empty_target_is_refused():
    with pytest.raises(DataError, match="The target `goal` is empty in every row"):
        read([None, None])


def test_labels_in_one_cell():
    goals = read(["b|a", "a ; c", "", None], "labels")
    assert goals.target.classes == ("a", "b", "c")
    assert goals.y.tolist() == [[1, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert goals.notes == ("2 rows have an empty `goal`: they carry no label.",)


def test_labels_in_lists():
    goals = read([["x", "y"], [], None], "labels")
    assert goals.y[:2].tolist() == [[1, 1], [0, 0]]
    assert bad(goals) == [2]


def test_labels_as_lists_of_codes():
    goals = read([[0, 1], [1], [0]], "labels", of_codes=("red", "blue"))
    assert goals.target.classes == ("red", "blue")
    assert goals.y.tolist() == [[1, 1], [0, 1], [1, 0]]


def test_labels_in_columns():
    columns = [Cells(pa.array([0, 1, None])), Cells(pa.array(["yes", "no", "no"]))]
    goals = read_target(columns, ("a", "b"), "labels")
    assert goals.y[:2].tolist() == [[0, 1], [1, 0]]
    assert (goals.target.classes, bad(goals)) == (("a", "b"), [2])


def test_values_that_are_missing_words_or_infinite_are_bad():
    goals = read(["1.5", "", "word", "inf", "1e39", "-2"], "value")
    assert bad(goals) == [1, 2, 3, 4]  # 1e39 is beyond float32
    assert goals.y.dtype == np.float32 and goals.y.shape == (6, 1)


def test_statistics_are_those_of_the_rows_given():
    goals = read([1.0, 3.0, 500.0], "value")
    target = with_statistics(goals.target, goals.y[:2])
    assert (target.mean, target.std) == ((2.0,), (1.0,))


def test_a_class_of_one_row_is_found_and_dropped():
    goals, lonely = only_examples(read(["a", "b", "c", "a", "c"]), np.ones(5, bool))
    assert goals.target.classes == ("a", "c")
    assert lonely.tolist() == [False, True, False, False, False]
    assert goals.y[[0, 2, 3, 4]].tolist() == [0, 1, 0, 1]


def test_bad_rows_do_not_count_as_examples():
    _, lonely = only_examples(read(["a", "b", "b", "a"]), np.array([True, True, True, False]))
    assert lonely.tolist() == [True, False, False, False]


def test_a_class_without_training_rows_is_found():
    goals, unseen = only_trained(read(["a", "b", "c", "a"]), np.array([0, 0, 3, 3]))
    assert goals.target.classes == ("a", "b")
    assert unseen.tolist() == [False, False, True, False]


def test_strata_of_labels_are_their_combinations():
    goals = read(["a|b"] * 12 + ["a"] * 12 + ["b"] * 3, "labels")
    assert [len(set(strata(goals)[part])) for part in (slice(12), slice(12, 24))] == [1, 1]
    assert len(set(strata(goals))) == 3
