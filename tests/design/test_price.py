import math
from dataclasses import replace

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
        "`size <= 100 kB` costs 15.0 points of accuracy: 0.800 with it, 0.950 without; "
        "200.0 kB costs nothing."
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
        "No trained candidate meets `size <= 100 kB`; without it, accuracy reaches 0.950: "
        "150.0 kB costs nothing."
    )


def test_price_list_names_looser_bounds_and_what_they_cost():
    sizes = {0: (0.968, 20), 1: (0.979, 35), 2: (0.975, 60), 3: (0.981, 172), 4: (0.98, 655)}
    records = [trained(number, *both) for number, both in sizes.items()]
    tight = Requirement.parse("size <= 20 kB")
    records = [replace(r, measurements={**r.measurements, tight.text: r.measurements["size"]})
               for r in records]  # fmt: skip
    price = prices(records, tight)[tight.text]
    assert price.text == (
        "`size <= 20 kB` costs 1.3 points of accuracy: 0.968 with it, 0.981 without; "
        "35.0 kB costs 0.2 points, 172.0 kB nothing."
    )
    # 60 kB buys less than 35 kB does, 655 kB less than 172 kB: neither is offered.
    assert [(r.bound, round(r.lost, 3)) for r in price.ladder] == [(35e3, 0.002), (172e3, 0.0)]


def test_a_step_that_was_trained_briefly_says_so():
    brief = trained(1, 0.94, 120)
    brief = replace(brief, candidate=replace(brief.candidate, fidelity=0.1))
    price = prices([trained(0, 0.8, 50), brief, trained(2, 0.95, 200)], SMALL)[SMALL.text]
    assert price.text.endswith("120.0 kB costs 1.0 points (trained briefly), 200.0 kB nothing.")


def test_a_long_price_list_is_thinned_and_keeps_its_ends():
    records = [trained(k, 0.5 + 0.04 * k, 90 + 20 * k) for k in range(10)]
    ladder = prices(records, SMALL)[SMALL.text].ladder
    assert len(ladder) == 4
    assert (ladder[0].bound, ladder[-1].bound, ladder[-1].lost) == (110e3, 270e3, 0.0)


def test_what_a_share_that_must_be_large_costs():
    robust = Requirement.parse("robust(linf=4/255) >= 0.8")
    records = [
        record(k, **{"accuracy": a, "size": 1.0, robust.text: r})
        for k, (a, r) in enumerate([(0.9, 0.85), (0.94, 0.7), (0.95, 0.2)])
    ]
    price = prices(records, robust)[robust.text]
    assert price.text.endswith("0.950 without; 0.700 costs 1.0 points, 0.200 nothing.")


def test_a_bound_on_the_metric_itself_says_how_far_it_went():
    found = prices([trained(0, 0.85, 50), trained(1, 0.95, 200)], GOOD, SMALL)
    # as far as the other bounds allow
    assert found[GOOD.text].text == (
        "`accuracy >= 0.9`: the best accuracy reached is 0.850, and 0.950 if nothing else is "
        "required."
    )
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
    assert price.text == (
        "`size <= 100 kB` costs 1.5 of rmse: 4 with it, 2.5 without; 200.0 kB costs nothing."
    )


def test_nothing_measured_is_an_error():
    with pytest.raises(ValueError, match="`records` is empty"):
        binding([], [SMALL], metric="accuracy")
