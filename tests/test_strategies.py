"""Which search `build` takes when nobody names one."""

import pytest

import netwright as nw
from netwright._strategies import strategy_for
from netwright.design import SuccessiveHalving, build_network, portfolio
from netwright.design._harden import HardenedSpace
from netwright.design.spaces import joined, macro_space, recipe_decisions
from netwright.design.strategies import PortfolioEvolution
from netwright.learn import Budget
from netwright.measure import proportion
from netwright.requirement import Requirement


@pytest.fixture(scope="module", params=["digits", "iris"])
def task(request):
    return nw.load(request.param, seed=0)


@pytest.mark.parametrize("limit", [Budget(seconds=60.0), Budget(seconds=900.0), Budget(steps=9)])
def test_short_searches_stay_with_the_defaults(task, limit):
    assert strategy_for(task, limit, 0) is SuccessiveHalving


def test_long_searches_evolve_from_the_defaults(task):
    designs = portfolio(task.schema, len(task.train))
    make = strategy_for(task, Budget(seconds=1800.0), 0)
    found = make(designs, requirements=(), metric="accuracy")
    assert isinstance(found, PortfolioEvolution)
    asked = []
    while (candidate := found.ask()) is not None:
        asked.append(candidate)
        score = proportion(50 + len(asked), 100)
        found.tell(candidate, {"accuracy": score, "params": proportion(1, 2)})
    assert tuple(c.design for c in asked[: len(designs)]) == designs
    new = {c.design.name for c in asked} - {d.name for d in designs}
    assert len(new) == 20 and asked[-1].fidelity == 1.0
    # The glances, the comparison and the last training are in the shares that were planned.
    assert sum(c.fidelity for c in asked) == pytest.approx(1.8, abs=0.01)
    for candidate in asked[len(designs) :: 5]:
        build_network(candidate.design, task.schema, seed=0)


def test_evolved_designs_are_hardened_as_the_defaults_are():
    schema = nw.load("digits", seed=0).schema
    space = joined(macro_space(schema), recipe_decisions(schema))
    hard = HardenedSpace(space, [Requirement.parse("robust(linf=4/255) >= 0.5")])
    code = tuple(0 for _ in space.decisions)
    assert hard.decisions == space.decisions and hard.canonical(code) == space.canonical(code)
    assert hard.design(code).name == space.design(code).name
    assert not space.design(code).recipe.adversarial and hard.design(code).recipe.adversarial
