import math

import pytest

from netwright.design import binding
from netwright.requirement import Requirement

from .samples import exactly, record

GOOD = Requirement.parse("accuracy >= 0.9")
SMALL = Requirement.parse("size <= 100 kB")
FAST = Requirement.parse("latency_p95 <= 2 ms @batch=1,threads=1")


def trained(number, accuracy, kilobytes, milliseconds=1.0):
    size, seconds = exactly(1000.0 * kilobytes, "bytes"), exactly(milliseconds / 1000, "s")
    return record(number, **{
        "accuracy": accuracy, "size": size, GOOD.text: accuracy, SMALL.text: size,
        FAST.text: seconds,
    })  # fmt: skip


def prices(records, *requirements):
    return {p.requirement: p for p in binding(records, requirements, metric="accuracy")}


def test_price_of_a_bound_on_cost():
    price = prices([trained(0, 0.8, 50), trained(1, 0.95, 200)], SMALL)[SMALL.text]
    assert (price.kept, price.given_up) == (0.8, 0.95)
    assert price.metric == "accuracy"
    assert price.text == (
        "`size <= 100 kB` costs 15.0 points of accuracy: 0.800 with it, 0.950 without."
    )
    assert not price.binds  # it is met


def test_a_bound_that_costs_nothing():
    price = prices([trained(0, 0.95, 50), trained(1, 0.9, 200)], SMALL)[SMALL.text]
    assert price.text == "`size <= 100 kB` costs nothing: accuracy reaches 0.950 with it."


def test_a_bound_that_nothing_meets():
    price = prices([trained(0, 0.95, 150)], SMALL)[SMALL.text]
    assert price.binds
    assert math.isnan(price.kept)
    assert price.text == (
        "No trained candidate meets `size <= 100 kB`; without it, accuracy reaches 0.950."
    )


def test_a_bound_on_the_metric_itself_says_how_far_it_went():
    found = prices([trained(0, 0.85, 50), trained(1, 0.95, 200)], GOOD, SMALL)
    # as far as the other bounds allow
    assert found[GOOD.text].text == "`accuracy >= 0.9`: the best accuracy reached is 0.850."
    assert found[GOOD.text].binds and found[SMALL.text].binds
    # The bound on the metric is left out of the others' prices: it is what they are paid in.
    assert (found[SMALL.text].kept, found[SMALL.text].given_up) == (0.85, 0.95)


def test_what_other_bounds_leave_open_is_the_yardstick():
    records = [trained(0, 0.8, 50), trained(1, 0.85, 200), trained(2, 0.99, 200, 5.0)]
    found = prices(records, SMALL, FAST)
    assert found[SMALL.text].given_up == 0.85  # 0.99 would break the latency
    assert found[FAST.text].kept == found[FAST.text].given_up == 0.8


def test_others_that_nothing_meets():
    found = prices([trained(0, 0.8, 200, 5.0)], SMALL, FAST)
    assert found[SMALL.text].text == "`size <= 100 kB`: no candidate meets the other requirements."
    assert math.isnan(found[SMALL.text].given_up)
    assert not found[SMALL.text].binds


def test_those_that_bind_come_first():
    records = [trained(0, 0.8, 50), trained(1, 0.85, 60)]
    found = binding(records, [SMALL, GOOD, FAST], metric="accuracy")
    assert [(p.requirement, p.binds) for p in found] == [
        (GOOD.text, True), (SMALL.text, False), (FAST.text, False),
    ]  # fmt: skip


def test_prices_in_the_targets_own_units():
    bound = SMALL.text
    records = [
        record(0, rmse=exactly(4.0, "target"), **{bound: 50_000.0}),
        record(1, rmse=exactly(2.5, "target"), **{bound: 200_000.0}),
    ]
    (price,) = binding(records, [SMALL], metric="rmse")
    assert (price.kept, price.given_up) == (4.0, 2.5)
    assert price.text == "`size <= 100 kB` costs 1.5 of rmse: 4 with it, 2.5 without."


def test_nothing_measured_is_an_error():
    with pytest.raises(ValueError, match="`records` is empty"):
        binding([], [SMALL], metric="accuracy")
