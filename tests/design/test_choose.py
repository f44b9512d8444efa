import math
from dataclasses import replace

import pytest

from netwright.design import choose
from netwright.finding import Measurement
from netwright.requirement import Requirement

from .samples import about, exactly, record

GOOD = Requirement.parse("accuracy >= 0.9")
SMALL = Requirement.parse("size <= 100 kB")
FAIR = Requirement.parse("gap(accuracy, by=sex) <= 0.05")
BOTH = [GOOD, SMALL]


def trained(number, accuracy, kilobytes, *, gap=0.0, **kwargs):
    accuracy = accuracy if isinstance(accuracy, Measurement) else exactly(accuracy)
    size = exactly(1000.0 * kilobytes, "bytes")
    found = {"accuracy": accuracy, "size": size, GOOD.text: accuracy, SMALL.text: size}
    return record(number, **found, **{FAIR.text: gap}, **kwargs)


def chosen(records, requirements):
    choice = choose(records, requirements, metric="accuracy")
    return choice.record.candidate.number, choice


def test_the_smallest_that_surely_meets_every_requirement():
    records = [
        trained(0, about(0.91, 0.05), 5),  # smallest, but not sure
        trained(1, about(0.95, 0.01), 50),
        trained(2, about(0.93, 0.01), 40),
        trained(3, 0.99, 200),  # best, but too large
        trained(4, about(0.92, 0.015), 30),  # its interval clears the bound, with little room
    ]
    number, choice = chosen(records, BOTH)
    assert number == 2
    assert choice.qualified
    assert choice.unreachable == ""
    assert choice.reason == (
        "candidate 2 (design 2) is the smallest of 2 that meet every requirement on the validation "
        "split with twice the room of their intervals."
    )


def test_of_one_size_the_one_trained_longest_then_the_first():
    records = [trained(0, 0.95, 5, fidelity=0.1), trained(1, 0.91, 5), trained(2, 0.97, 5)]
    assert chosen(records, BOTH)[0] == 1


def test_without_a_sure_one_the_surest():
    records = [
        trained(0, about(0.91, 0.05), 5),
        trained(1, about(0.92, 0.03), 50),
        trained(2, about(0.95, 0.09), 60),
    ]
    number, choice = chosen(records, BOTH)
    assert number == 1
    assert choice.qualified
    assert "of 3 such candidates it is the surest" in choice.reason


def test_a_number_that_must_not_be_trusted_is_not_sure():
    doubtful = Measurement(0.95, 0.95, 0.95, 100, unresolved="masked gradients")
    records = [trained(0, doubtful, 5), trained(1, 0.92, 50)]
    assert chosen(records, BOTH)[0] == 1


def test_when_none_will_do_the_nearest_and_what_binds():
    records = [trained(0, 0.7, 50), trained(1, 0.88, 90), trained(2, 0.95, 400)]
    number, choice = chosen(records, BOTH)
    assert number == 1  # 1.2 times the errors, against three times them, or four times the bytes
    assert not choice.qualified
    assert choice.unreachable.splitlines() == [
        "The requirements cannot be met by any candidate that was trained. Candidate 1 (design 1) "
        "comes nearest and misses `accuracy >= 0.9`.",
        "All other requirements could be met without `accuracy >= 0.9` or without "
        "`size <= 100 kB`.",
        "`accuracy >= 0.9`: the best accuracy reached is 0.880, and 0.950 if nothing else is "
        "required.",
        "`size <= 100 kB` costs 7.0 points of accuracy: 0.880 with it, 0.950 without; 400.0 kB "
        "costs nothing.",
    ]
    assert [p.requirement for p in choice.prices] == [q.text for q in BOTH]


def test_when_none_will_do_bounds_on_costs_are_kept_if_any_keeps_them():
    records = [trained(0, 0.5, 90), trained(1, 0.899, 110)]
    assert chosen(records, BOTH)[0] == 0  # 110 kB would nearly fit, and nearly is not at all
    assert chosen(records[1:], BOTH)[0] == 1


def test_what_misses_two_bounds_says_so():
    records = [trained(0, 0.7, 300)]
    _, choice = chosen(records, BOTH)
    assert "misses `accuracy >= 0.9` and `size <= 100 kB`." in choice.unreachable
    assert "could be met without" not in choice.unreachable


@pytest.mark.parametrize("requirements", [[], [SMALL], [FAIR], [SMALL, FAIR]])
def test_the_constant_network_is_not_shipped_when_nothing_asks_for_learning(requirements):
    records = [
        trained(0, 0.5, 1, gap=0.0),  # always gives one answer: tiny and perfectly fair
        trained(1, 0.9, 90, gap=0.04),
        trained(2, 0.99, 90 if SMALL not in requirements else 300, gap=0.04),
    ]
    number, choice = chosen(records, requirements)
    assert number == (1 if SMALL in requirements else 2)
    assert choice.qualified
    assert "has the best accuracy on the validation split" in choice.reason


def test_best_of_several_that_meet_a_gap_alone_is_not_the_unfair_one():
    records = [trained(0, 0.5, 1, gap=0.0), trained(1, 0.8, 9, gap=0.01), trained(2, 1.0, 9, gap=1)]
    assert chosen(records, [FAIR])[0] == 1


def test_a_metric_of_which_less_is_better():
    records = [record(i, rmse=e, size=1.0) for i, e in enumerate((3.0, 1.0, 2.0))]
    assert choose(records, [], metric="rmse").record.candidate.number == 1


@pytest.mark.parametrize("requirements", [[], [SMALL], BOTH])
def test_what_diverged_is_never_shipped(requirements):
    records = [
        trained(0, math.nan, 1),
        trained(1, 0.95, 2, status="diverged"),
        trained(2, 0.93, 50),
    ]
    assert chosen(records, requirements)[0] == 2


@pytest.mark.parametrize("status", ["pruned", "died"])
def test_what_was_never_trained_is_passed_over(status):
    pruned = record(0, status=status, size=1.0)
    assert chosen([pruned, trained(1, 0.95, 50)], BOTH)[0] == 1
    with pytest.raises(ValueError, match="None of the 0 trained"):
        choose([pruned], BOTH, metric="accuracy")


def test_nothing_to_choose_from():
    with pytest.raises(ValueError, match="`records` is empty"):
        choose([], [], metric="accuracy")
    with pytest.raises(ValueError, match="every one diverged"):
        choose([trained(0, math.nan, 1)], BOTH, metric="accuracy")
    with pytest.raises(ValueError, match="has no measurement of `accuracy >= 0.9`"):
        choose([record(0, accuracy=0.5)], [GOOD], metric="accuracy")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_order_of_the_records_changes_nothing(order):
    records = [trained(0, 0.95, 50), trained(1, 0.95, 50), trained(2, 0.95, 50)]
    for requirements in ([], BOTH):
        assert chosen([records[i] for i in order], requirements)[0] == 0


def test_what_saw_smaller_images_only_is_shipped_where_there_is_nothing_else():
    small = trained(0, 0.99, 5, fidelity=0.25, axis="resolution")
    whole = trained(1, 0.91, 5)
    assert chosen([small, whole], BOTH)[0] == 1
    assert chosen([small], BOTH)[0] == 0
    lost = replace(whole, status="diverged")
    assert chosen([small, lost], BOTH)[0] == 0
