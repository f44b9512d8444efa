"""What all strategies promise, one row each in `hills.STRATEGIES`."""

import statistics

import pytest
import torch

from netwright.data import Schema
from netwright.design import Candidate, Strategy, build_network
from netwright.design.spaces import cell_space, joined, macro_space, recipe_decisions
from netwright.design.strategies import RandomCodes
from tests.design.samples import CLASS, INPUTS, rows_for

from .hills import BEST, SMALL, STRATEGIES, Hill, Nut, accuracy, exactly, found_by, measured, search

ONE_FIDELITY = [n for n in STRATEGIES if n not in ("asha", "portfolio evolution")]
EVERY = pytest.mark.parametrize("name", STRATEGIES)
LEARNERS = pytest.mark.parametrize(
    "name", [name for name in STRATEGIES if name not in ("random", "asha", "prefiltered")]
)


@EVERY
def test_a_strategy_is_one(name):
    strategy = STRATEGIES[name](Hill(), n_candidates=3)
    assert isinstance(strategy, Strategy)
    assert strategy.remaining > 0


@EVERY
def test_candidates_are_numbered_and_remaining_falls_by_their_fidelity(name):
    strategy = STRATEGIES[name](Hill(), n_candidates=12, seed=3)
    left, asked = strategy.remaining, []
    while (candidate := strategy.ask()) is not None:
        asked.append(candidate)
        assert strategy.remaining == pytest.approx(left)
        strategy.tell(candidate, measured(candidate))
        left -= candidate.fidelity
        assert strategy.remaining == pytest.approx(left, abs=1e-9)
    assert [c.number for c in asked] == list(range(len(asked)))
    assert strategy.remaining == pytest.approx(0, abs=1e-9)
    assert strategy.ask() is None


@pytest.mark.parametrize("name", ONE_FIDELITY)
def test_as_many_candidates_as_wanted_and_none_twice(name):
    asked = search(STRATEGIES[name](Hill(), n_candidates=40, seed=1, fidelity=0.5))
    assert len({c.design.name for c in asked}) == len(asked) == 40
    assert {c.fidelity for c in asked} == {0.5}


@EVERY
def test_same_seed_same_search_and_another_seed_another(name):
    first, again, other = (
        search(STRATEGIES[name](Hill(), n_candidates=25, seed=seed)) for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


@LEARNERS
@pytest.mark.slow
def test_it_finds_what_random_search_does_not(name):
    by_chance = [found_by(search(RandomCodes(Hill(), n_candidates=50, seed=s))) for s in range(5)]
    by_plan = [
        found_by(search(STRATEGIES[name](Hill(), n_candidates=50, seed=s))) for s in range(5)
    ]
    assert statistics.median(by_plan) > statistics.median(by_chance)


@LEARNERS
def test_requirements_come_before_the_metric(name):
    # The best designs of all are too large: 130 parameters, where 120 are allowed.
    def loud(candidate):
        found = measured(candidate)
        wide = candidate.design.parameters["code"][5] == 3
        return found | {"accuracy": exactly(0.99)} if wide else found

    strategy = STRATEGIES[name](Hill(), n_candidates=60, seed=0, requirements=[SMALL])
    asked = search(strategy, loud)
    late = asked[len(asked) // 2 :]
    too_wide = sum(c.design.parameters["code"][5] == 3 for c in late) / len(late)
    assert too_wide < 0.2  # a quarter by chance


# A filter passes over what its score thinks little of.
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "prefiltered"])
def test_a_small_space_is_tried_whole_and_ends(name):
    asked = search(
        STRATEGIES[name](Nut(), n_candidates=9),
        lambda c: {"accuracy": exactly(sum(c.design.parameters["code"]) / 4)},
    )
    assert len({c.design.name for c in asked}) == 4


@EVERY
def test_a_search_in_which_all_fail_still_ends(name):
    strategy = STRATEGIES[name](Hill(), n_candidates=10)
    assert len(search(strategy, lambda c: {})) >= 10


@EVERY
def test_nothing_is_told_twice_or_unasked(name):
    strategy = STRATEGIES[name](Hill(), n_candidates=5)
    first = strategy.ask()
    strategy.tell(first, measured(first))
    with pytest.raises(ValueError, match="Candidate 0 was not asked for, or was told before"):
        strategy.tell(first, measured(first))
    second = strategy.ask()
    stranger = Candidate(second.number, Hill().design((0, 0, 0, 0, 0, 0)), 0.123)
    with pytest.raises(ValueError, match="was not asked for"):
        strategy.tell(stranger, {})


@EVERY
def test_several_candidates_may_be_out_and_come_back_in_any_order(name):
    strategy = STRATEGIES[name](Hill(), n_candidates=12, seed=2)
    asked = []
    while True:
        out = [strategy.ask() for _ in range(min(4, 12 - len(asked)))] if len(asked) < 12 else []
        if not out:
            break
        asked += out
        for candidate in reversed(out):
            strategy.tell(candidate, measured(candidate))
    rest = search(strategy)
    numbers = [c.number for c in asked + rest]
    assert sorted(numbers) == list(range(len(numbers)))


@EVERY
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_candidates": 0}, "must be"),
        ({"n_candidates": 3, "fidelity": 0.0}, "`fidelity` is a share"),
        ({"n_candidates": 3, "metric": "acuracy"}, "none is called 'acuracy'"),
    ],
)
def test_what_no_search_can_use_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        STRATEGIES[name](Hill(), **arguments)


def test_the_hill_has_one_top():
    from itertools import product

    codes = product(*(range(len(d.options)) for d in Hill.decisions))
    ranked = sorted({Hill().canonical(c): accuracy(c) for c in codes}.items(), key=lambda p: -p[1])
    assert ranked[0][0] == Hill().canonical(BEST)
    assert ranked[0][1] > ranked[1][1]


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "prefiltered"])
@pytest.mark.parametrize("where", ["image 1x8x8", "table mixed", "text", "sequence 2x24"])
def test_whole_networks_and_cells_of_every_input_are_searched(name, where, generator):
    schema = Schema(INPUTS[where], CLASS)
    x = rows_for(schema, 3, generator)
    spaces = [joined(macro_space(schema), recipe_decisions(schema)), cell_space(schema)]

    def by_rate(candidate):
        return {"accuracy": exactly(0.5 + candidate.design.recipe.learning_rate)}

    for space in spaces:
        strategy = STRATEGIES[name](space, n_candidates=3, seed=0)
        asked = search(strategy, by_rate)
        assert len({c.design.name for c in asked}) >= 3 and strategy.remaining == 0
        network = build_network(asked[-1].design, schema, seed=0).eval()
        with torch.no_grad():
            assert network(x).shape == (3, 3)
