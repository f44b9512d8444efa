import gzip
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.audits.verify import PropertyError, format_witness, read_vnnlib

HEAD = "(declare-const X_0 Real)\n(declare-const X_1 Real)\n(declare-const Y_0 Real)\n"
BOX = "(assert (>= X_0 -1)) (assert (<= X_0 0.5)) (assert (>= X_1 0)) (assert (<= X_1 1e-3))\n"


@pytest.fixture
def read(tmp_path):
    def read(text, head=HEAD):
        path = tmp_path / "p.vnnlib"
        path.write_text(head + text)
        return read_vnnlib(path)

    return read


def test_numbers_are_read_exactly(read):
    (region,) = read(BOX + "(assert (<= Y_0 0.1))").regions
    assert region.low == (Fraction(-1), Fraction(0))
    assert region.high == (Fraction(1, 2), Fraction(1, 1000))
    ((row,),) = region.alternatives
    assert (row.inputs, row.outputs, row.bound) == ((), ((0, Fraction(1)),), Fraction(1, 10))


def test_the_box_in_float64_holds_the_exact_one(read):
    (region,) = read(BOX).regions
    low, high = region.box()
    for i in range(2):
        assert Fraction(low[i]) <= region.low[i] and region.high[i] <= Fraction(high[i])


@pytest.mark.parametrize(
    ("written", "outputs", "inputs", "bound"),
    [
        ("(<= Y_0 3)", {0: 1}, {}, 3),
        ("(>= Y_0 3)", {0: -1}, {}, -3),
        ("(< Y_0 3)", {0: 1}, {}, 3),
        ("(<= 3 Y_0)", {0: -1}, {}, -3),
        ("(<= Y_0 X_0)", {0: 1}, {0: -1}, 0),
        ("(<= (+ Y_0 X_0 1) 3)", {0: 1}, {0: 1}, 2),
        ("(<= (- Y_0 X_0) (- 1))", {0: 1}, {0: -1}, -1),
        ("(<= (* 2 Y_0) (/ X_1 4))", {0: 2}, {1: Fraction(-1, 4)}, 0),
        ("(<= (* Y_0 -0.5) 1)", {0: Fraction(-1, 2)}, {}, 1),
        ("(<= (+ Y_0 (* 0 X_0)) 1)", {0: 1}, {}, 1),
    ],
)
def test_linear_terms(read, written, outputs, inputs, bound):
    (region,) = read(BOX + f"(assert {written})").regions
    ((row,),) = region.alternatives
    assert (dict(row.outputs), dict(row.inputs), row.bound) == (outputs, inputs, bound)


def test_an_equation_is_two_rows(read):
    ((alternative,),) = [r.alternatives for r in read(BOX + "(assert (= Y_0 1))").regions]
    assert {(dict(r.outputs)[0], r.bound) for r in alternative} == {(1, 1), (-1, -1)}


def test_or_of_ands_over_outputs_are_alternatives_of_one_region(read):
    made = read(BOX + "(assert (or (and (<= Y_0 0) (<= X_0 Y_0)) (and (>= Y_0 5))))")
    assert [len(a) for r in made.regions for a in r.alternatives] == [2, 1]
    assert len(made.regions) == 1


def test_or_over_inputs_makes_regions(read):
    text = """
      (assert (or (and (>= X_0 0) (<= X_0 1) (<= Y_0 0)) (and (>= X_0 2) (<= X_0 3) (>= Y_0 0))))
      (assert (>= X_1 0)) (assert (<= X_1 1))"""
    made = read(text)
    assert [(r.low[0], r.high[0]) for r in made.regions] == [(0, 1), (2, 3)]
    assert [r.alternatives[0][0].outputs[0][1] for r in made.regions] == [1, -1]


def test_bounds_given_twice_are_joined(read):
    (region,) = read(BOX + "(assert (<= X_0 0.25)) (assert (<= X_0 7))").regions
    assert region.high[0] == Fraction(1, 4)


def test_empty_boxes_are_left_out_and_counted(read):
    text = "(assert (or (and (<= X_0 -2)) (and (<= X_0 0))))"
    made = read(BOX + text)
    assert (len(made.regions), made.n_empty) == (1, 1)


def test_comments_case_and_compression(tmp_path):
    path = tmp_path / "p.vnnlib.gz"
    path.write_bytes(gzip.compress(("; all of it\n" + HEAD + BOX + "; end").encode()))
    assert read_vnnlib(path).n_inputs == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(assert (<= X_0 1)", "cut off"),
        ("(assert (<= X_0 1)))", "closing"),
        ("(assert (<= X_0 1))", "X_0"),  # no lower bound
        (BOX + "(assert (<= Y_0 one))", "one"),
        (BOX + "(assert (<= Y_0 nan))", "nan"),
        (BOX + "(assert (<= (* Y_0 Y_0) 1))", "not linear"),
        (BOX + "(assert (<= (* X_0 Y_0) 1))", "not linear"),
        (BOX + "(assert (<= (/ Y_0 0) 1))", "not linear"),
        (BOX + "(assert (not (<= Y_0 1)))", "not"),
        (BOX + "(assert (<= Y_7 1))", "declared"),
        (BOX + "(check-sat-please)", "check-sat-please"),
        (BOX + "(assert (<= X_0 -2))", "empty|no input"),
        (BOX + "(assert (<= X_0 1e999999999))", "number"),
        (BOX + "(assert (<= Y_0 1_000))", "number"),
    ],
)
def test_what_cannot_be_read_is_refused(read, text, says):
    with pytest.raises(PropertyError, match=says):
        read(text)


def test_disjunctions_that_explode_are_refused(read):
    text = "(assert (or (<= Y_0 0) (>= Y_0 1)))" * 20
    with pytest.raises(PropertyError, match="cases"):
        read(BOX + text)


def test_binary_files_are_refused(tmp_path):
    path = tmp_path / "p.vnnlib"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(PropertyError, match="not a VNN-LIB text file"):
        read_vnnlib(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_vnnlib(tmp_path / "none.vnnlib")


def test_witness_has_the_competition_format():
    text = format_witness([0.5, -1e-7], [1.0])
    assert text == "((X_0 0.5)\n(X_1 -1e-07)\n(Y_0 1.0))"
    assert text.count("(") == text.count(")")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_witness_numbers_are_read_back_as_they_were(values):
    lines = format_witness(values, []).splitlines()
    assert [float(line.strip("()").split()[1]) for line in lines] == values
