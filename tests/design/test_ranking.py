import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.design import pareto_front, shortfall
from netwright.design._ranking import (
    asks_for_learning,
    higher_is_better,
    meets,
    ranking_key,
    size_of,
    usable_records,
)
from netwright.requirement import Requirement

from .samples import record

parse = Requirement.parse
VALUES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), st.floats(0, 1))
SIZES = st.integers(1, 5)


def records_of(pairs, metric="accuracy"):
    return [record(i, size=float(s), **{metric: v}) for i, (s, v) in enumerate(pairs)]


def beats(a, b, sign):
    """Whether a pair (size, value) is at least as good in both, and better in one."""
    (size, value), (other_size, other_value) = a, b
    as_good = size <= other_size and sign * value >= sign * other_value
    return as_good and (size < other_size or value != other_value)


@pytest.mark.oracle
@pytest.mark.parametrize(("metric", "sign"), [("accuracy", 1), ("rmse", -1)])
@settings(deadline=None)
@given(pairs=st.lists(st.tuples(SIZES, VALUES), max_size=8))
def test_front_by_brute_force(metric, sign, pairs):
    found = pareto_front(records_of(pairs, metric), metric=metric)
    finite = [p for p in pairs if math.isfinite(p[1])]
    expected = {p for p in finite if not any(beats(q, p, sign) for q in finite)}
    pairs_found = [(int(size_of(r)), r.measurements[metric].value) for r in found]
    assert pairs_found == sorted(expected)  # smallest first, each pair once


def test_of_equals_the_front_shows_the_one_trained_longest():
    twins = [
        record(0, size=1.0, accuracy=0.5, fidelity=0.1),
        record(1, size=1.0, accuracy=0.5),
        record(2, size=1.0, accuracy=0.5),
    ]
    assert [r.candidate.number for r in pareto_front(twins, metric="accuracy")] == [1]


def test_what_was_never_measured_is_passed_over():
    assert pareto_front([record(0, size=1.0)], metric="accuracy") == ()
    assert pareto_front([], metric="accuracy") == ()


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("size <= 100 kB", 100_000, 0),
        ("size <= 100 kB", 200_000, math.log(2)),
        ("size <= 100 kB", 50_000, 0),
        ("accuracy >= 0.98", 0.99, 0),
        ("accuracy >= 0.98", 0.96, math.log(2)),  # twice the errors
        ("accuracy >= 0.98", 0.0, math.log(50)),
        ("r2 >= 0.5", -1.0, math.log(4)),
        ("rmse <= 2", 8.0, math.log(4)),
        ("gap(accuracy, by=sex) <= 0", 0.25, 0.25),  # nothing is twice nothing
        ("accuracy >= 1", 0.9, 0.1),
        ("r2 >= -1", -3.0, 2.0),
        ("accuracy >= 0.98", math.nan, math.inf),
        ("rmse <= 2", math.inf, math.inf),
    ],
)
def test_shortfall_by_hand(text, value, expected):
    assert shortfall(parse(text), value) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(
    st.sampled_from(
        ["accuracy >= 0.98", "accuracy >= 1", "accuracy >= 0", "r2 >= 0.5", "r2 >= -0.5",
         "r2 >= 1", "size <= 10 kB", "rmse <= 2", "gap(accuracy, by=sex) <= 0", "ece <= 0.1"]
    ),
    st.floats(-3, 1), st.floats(-3, 1),
)  # fmt: skip
def test_a_worse_value_never_falls_shorter_by_less(text, first, second):
    requirement = parse(text)
    if requirement.comparison == "<=":
        first, second = abs(first) * 10_000, abs(second) * 10_000
    elif requirement.quantity == "accuracy":
        first, second = abs(first) / 3, abs(second) / 3
    better, worse = sorted((first, second), reverse=requirement.comparison == ">=")
    assert 0 <= shortfall(requirement, better) <= shortfall(requirement, worse)
    assert (shortfall(requirement, better) == 0) == requirement.holds(better)


def test_direction_comes_from_the_catalogue():
    assert higher_is_better("accuracy")
    assert not higher_is_better("rmse")


def test_key_orders_by_metric_then_training_then_size_then_age():
    ordered = [
        record(7, accuracy=0.9, size=9.0, fidelity=0.1),
        record(6, accuracy=0.8, size=9.0),
        record(5, accuracy=0.8, size=1.0, fidelity=0.5),
        record(2, accuracy=0.8, size=2.0, fidelity=0.5),
        record(4, accuracy=0.8, size=2.0, fidelity=0.5),
        record(0, accuracy=math.nan, size=1.0),
        record(1, accuracy=math.nan, size=2.0),
        record(3, size=3.0),
    ]
    found = sorted(reversed(ordered), key=lambda r: ranking_key(r, "accuracy"))
    assert [r.candidate.number for r in found] == [7, 6, 5, 2, 4, 0, 1, 3]


def test_size_is_bytes_before_parameters():
    assert size_of(record(0, size=10.0, params=3.0)) == 10
    assert size_of(record(0, params=3.0)) == 3
    assert size_of(record(0)) == 0


def test_measured_values_decide_whether_requirements_are_met():
    bounds = [parse("accuracy >= 0.5"), parse("size <= 1 kB")]
    kept = record(0, **{"accuracy >= 0.5": 0.5, "size <= 1 kB": 1000.0})
    assert meets(kept, bounds)
    assert not meets(record(0, **{"accuracy >= 0.5": 0.5, "size <= 1 kB": 1001.0}), bounds)
    assert meets(record(0), [])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], False),
        (["size <= 1 kB", "latency_p95 <= 1 ms @batch=1,threads=1"], False),
        (["gap(accuracy, by=sex) <= 0.1", "ece <= 0.1", "params <= 10", "macs <= 10"], False),
        (["size <= 1 kB", "accuracy >= 0.5"], True),
        (["rmse <= 3"], True),
        (["robust(linf=4/255) >= 0.5"], True),
    ],
)
def test_which_requirements_ask_for_learning(texts, expected):
    assert asks_for_learning([parse(t) for t in texts]) == expected


def test_diverged_candidates_are_left_out():
    records = [
        record(0, accuracy=math.nan),
        record(1, accuracy=0.1, status="diverged"),
        record(2, accuracy=0.5),
    ]
    found = usable_records(records, [], "accuracy")
    assert [r.candidate.number for r in found] == [2]
    with pytest.raises(ValueError, match="None of the 2 trained candidates has a finite"):
        usable_records(records[:2], [], "accuracy")


def test_nothing_to_choose_among_is_an_error():
    with pytest.raises(ValueError, match="`records` is empty: no candidate was trained"):
        usable_records([], [], "accuracy")


def test_what_was_not_measured_is_named():
    bound = parse("ece <= 0.1")
    with pytest.raises(ValueError) as caught:
        usable_records([record(4, accuracy=0.5)], [bound], "accuracy")
    assert str(caught.value) == (
        "Candidate 4 (design 4) has no measurement of `ece <= 0.1`; it has accuracy."
    )


def test_the_front_leaves_out_what_saw_smaller_images_only():
    small = record(0, size=1.0, accuracy=0.99, fidelity=0.25, axis="resolution")
    rows = record(1, size=1.0, accuracy=0.80, fidelity=0.25, axis="rows")
    whole = record(2, size=2.0, accuracy=0.90)
    assert pareto_front([small, rows, whole], metric="accuracy") == (rows, whole)
    assert pareto_front([small], metric="accuracy") == (small,)
