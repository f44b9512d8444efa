import datetime

import numpy as np
import pyarrow as pa
import pytest

from netwright.data._cells import Cells


def of(*words):
    return Cells(pa.array(words))


def test_words_are_trimmed_and_missing_ones_have_no_code():
    codes, words = of(" a", "b ", "a", "", "NA", "?", None).coded
    assert [words[c] if c >= 0 else None for c in codes] == ["a", "b", "a", None, None, None, None]


def test_verbatim_words_are_taken_as_they_are():
    codes, words = Cells(pa.array([" a", "NA"]), verbatim=True).coded
    assert [words[c] for c in codes] == [" a", "NA"]


@pytest.mark.parametrize(
    ("word", "number"),
    [
        *[("5", 5), ("-5.", -5), ("+.5", 0.5), ("1e3", 1000), ("1E-2", 0.01), (" 7 ", 7)],
        *[("inf", np.inf), ("1,5", np.nan), ("0x10", np.nan), ("1_0", np.nan), ("=1+1", np.nan)],
        *[("٣", np.nan), ("nan", np.nan), ("1e999", np.inf), ("--1", np.nan)],
    ],
)
def test_numbers(word, number):
    np.testing.assert_equal(of(word, "word").numbers[0], float(number))


@pytest.mark.parametrize(
    ("word", "day"),
    [
        *[("1970-01-02", 1), ("1970/1/2", 1), ("2.1.1970", 1), ("1/2/1970", 1), ("1970-02", 31)],
        *[("1970-01-02T12:00:00", 1.5), ("1970-01-02 06:00", 1.25), ("1970-01-01T12:00Z", 0.5)],
        *[("1970-01-02T01:00:00+01:00", 1), ("1970-02-31", np.nan), ("1970-13-01", np.nan)],
        *[("1969-12-31", -1), ("1970-02-31T00:00:00", np.nan), ("2 Jan 1970", np.nan)],
    ],
)
def test_days(word, day):
    np.testing.assert_equal(of(word, None).days[0], float(day))


def test_one_impossible_moment_does_not_spoil_the_others():
    days = of("1970-01-02T00:00:00", "1970-02-31T00:00:00", "1970-01-03T00:00:00").days
    np.testing.assert_equal(days, [1, np.nan, 2])


def test_day_first_is_read_where_month_first_is_impossible():
    np.testing.assert_equal(of("2/1/1970", "31/1/1970").days, [1, 30])
    np.testing.assert_equal(of("2/1/1970", "3/1/1970").days, [31, 59])


@pytest.mark.parametrize("words", [("yes", "No"), ("TRUE", "false"), ("1", "0"), ("t", "f")])
def test_truths(words):
    np.testing.assert_equal(of(*words, None).truths, [1, 0, np.nan])


def test_words_that_are_no_truths():
    assert np.isnan(of("yes", "true").truths).all()  # two customs mixed are no custom


def test_typed_columns():
    assert Cells(pa.array([1.0, None, np.nan])).missing.tolist() == [False, True, True]
    assert Cells(pa.array([3.0, 4.0])).coded[1] == ["3", "4"]
    assert Cells(pa.array(np.float16([3.0, 4.0]))).coded[1] == ["3", "4"]
    assert Cells(pa.array([0.0, np.nan, 1.0])).coded[0].tolist() == [0, -1, 1]
    zoned = pa.array([datetime.datetime(1970, 1, 1, 6)], pa.timestamp("ns", "Europe/Zurich"))
    assert Cells(zoned).days.tolist() == [0.25]
    assert Cells(pa.array([3.5, 4.0])).coded[1] == ["3.5", "4"]
    assert Cells(pa.array([True, False])).coded[1] == ["true", "false"]
    assert Cells(pa.array([datetime.date(1970, 1, 3)])).days.tolist() == [2]
    assert Cells(pa.array([datetime.datetime(1970, 1, 1, 6)])).days.tolist() == [0.25]
    assert Cells(pa.array(["a", "b", "a"]).dictionary_encode()).coded[1] == ["a", "b"]


def test_chunks_share_their_codes():
    codes, words = Cells(pa.chunked_array([["a", "b"], ["b", "c"], []])).coded
    assert [words[c] for c in codes] == ["a", "b", "b", "c"]


def test_an_empty_column():
    empty = Cells(pa.array([], pa.string()))
    assert len(empty) == 0 and empty.coded[1] == [] and empty.numbers.shape == (0,)


@pytest.mark.oracle
def test_numbers_agree_with_python(rng):
    words = [repr(float(x)) for x in rng.normal(size=500) * 10.0 ** rng.integers(-9, 9, 500)]
    assert Cells(pa.array(words)).numbers.tolist() == [float(word) for word in words]
