import itertools

import pytest

from netwright.design import Design
from netwright.design.strategies import PortfolioEvolution
from netwright.finding import Measurement
from netwright.requirement import Requirement

from .hills import BEST, Hill, exactly, measured, search

DEFAULTS = tuple(Design(f"default {n}", "small_cnn", {"code": [n, 0, 3, 1, 4, 2]}) for n in (0, 1))


def by_rung(asked):
    return [
        (fidelity, [c.design.name for c in group])
        for fidelity, group in itertools.groupby(asked, key=lambda c: c.fidelity)
    ]


@pytest.mark.oracle
def test_the_plan_to_the_unit():
    asked = search(PortfolioEvolution(Hill(), n_candidates=20, portfolio=DEFAULTS))
    rungs = by_rung(asked)
    assert [(fidelity, len(names)) for fidelity, names in rungs] == [(0.02, 20), (0.2, 2), (1, 1)]
    assert rungs[0][1][:2] == ["default 0", "default 1"]
    # At least half of the budget goes into the network that is handed over.
    assert asked[-1].fidelity / sum(c.fidelity for c in asked) > 0.5


def test_a_single_candidate_is_trained_in_full():
    assert by_rung(search(PortfolioEvolution(Hill(), n_candidates=1, portfolio=DEFAULTS))) == [
        (1.0, ["default 0"])
    ]


def test_a_good_default_wins_and_a_good_start_is_evolved_from():
    best = Design("the best", "small_cnn", {"code": list(BEST)})
    asked = search(PortfolioEvolution(Hill(), n_candidates=9, portfolio=[*DEFAULTS, best]))
    assert asked[-1].design == best
    near = tuple(BEST[:5]) + (1,)
    asked = search(PortfolioEvolution(Hill(), n_candidates=30, start=[near], population=1))
    assert asked[0].design == Hill().design(near)
    second = asked[1].design.parameters["code"]
    assert sum(a != b for a, b in zip(second, near, strict=True)) <= 2


def test_the_smallest_that_surely_meets_every_requirement_is_trained_in_full():
    enough = Requirement.parse("accuracy >= 0.6")

    def measure(candidate):
        found = measured(candidate, fidelity=False)
        value = found["accuracy"].value
        around = Measurement(value, value - 0.02, value + 0.02, 100)
        return found | {enough.text: around, "accuracy": around}

    asked = search(PortfolioEvolution(Hill(), n_candidates=40, requirements=[enough]), measure)
    tried = [(c, measure(c)) for c in asked[:40]]
    meet = [found["params"].value for _, found in tried if found["accuracy"].low >= 0.62]
    assert measured(asked[-1])["params"].value == min(meet)


def test_the_next_rung_waits_for_the_last():
    strategy = PortfolioEvolution(Hill(), n_candidates=2)
    first, second = strategy.ask(), strategy.ask()
    strategy.tell(second, {"accuracy": exactly(0.5)})
    with pytest.raises(RuntimeError, match="Tell candidates 0 before asking for the next rung"):
        strategy.ask()
    strategy.tell(first, {"accuracy": exactly(0.6)})
    assert strategy.ask().fidelity == pytest.approx(0.2)


def test_weights_may_be_inherited():
    asked = search(PortfolioEvolution(Hill(), n_candidates=4, inherit=True))
    by_number = {c.number: c for c in asked}
    higher = asked[4:]
    assert [by_number[c.parent].design for c in higher] == [c.design for c in higher]


@pytest.mark.parametrize(
    "arguments", [{"n_finalists": 0}, {"explore": 0.0}, {"explore": 9.0}, {"compare": -1.0}]
)
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match="must be"):
        PortfolioEvolution(Hill(), n_candidates=3, **arguments)
