"""Which search `build` takes, when nobody names one and by name."""

from dataclasses import replace

import pytest
import torch

import netwright as nw
from netwright import _strategies
from netwright._strategies import STRATEGIES, strategy_for
from netwright.data import Schema, TensorSplit
from netwright.design import SuccessiveHalving, build_network, portfolio
from netwright.design._harden import HardenedSpace
from netwright.design.spaces import joined, macro_space, recipe_decisions
from netwright.design.strategies import PortfolioEvolution
from netwright.learn import Budget
from netwright.measure import proportion
from netwright.requirement import Requirement

from .design.samples import CLASS, INPUTS, rows_for


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


def asked_of(search, value=lambda candidate: 60 + candidate.number % 7):
    """Ask and tell until the search ends."""
    asked = []
    while (candidate := search.ask()) is not None:
        asked.append(candidate)
        score = proportion(value(candidate), 100)
        search.tell(candidate, {"accuracy": score, "params": proportion(1, 2)})
    return asked


@pytest.fixture
def few_shared_steps(monkeypatch):
    monkeypatch.setattr(_strategies, "_FEWEST_SHARED", 2)
    monkeypatch.setattr(_strategies, "_SHARED_A_SECOND", 0.005)


@pytest.mark.parametrize("name", list(STRATEGIES))
@pytest.mark.parametrize("limit", [Budget(seconds=400.0), Budget(steps=9)], ids=["s", "steps"])
def test_every_strategy_ends_with_one_full_training(name, limit, few_shared_steps):
    digits = nw.load("digits", seed=0)
    make = strategy_for(digits, limit, 0, name=name)
    designs = portfolio(digits.schema, len(digits.train))
    search = make(designs, requirements=(), metric="accuracy")
    planned = search.remaining
    asked = asked_of(search)
    assert sum(c.fidelity for c in asked) == pytest.approx(planned, rel=0.02)
    assert asked[-1].fidelity == 1.0 and sum(c.fidelity == 1.0 for c in asked) == 1
    build_network(asked[-1].design, digits.schema, seed=0)
    families = {c.design.family for c in asked}
    if name in ("darts", "enas"):
        assert families == {"cells"}
    elif name != "portfolio":
        assert families == {"macro_cnn"} and len({c.design.name for c in asked}) == 16


def test_cells_can_be_searched_by_name():
    make = strategy_for(nw.load("digits", seed=0), Budget(steps=90), 0, name="ppo", space="cells")
    asked = asked_of(make((), requirements=(), metric="accuracy"))
    assert {c.design.family for c in asked} == {"cells"}
    assert len({c.design.recipe for c in asked}) > 8  # training is searched with the architecture


@pytest.mark.parametrize("name", ["random", "darts"])
def test_named_searches_train_robustly_where_that_is_asked_for(name, few_shared_steps):
    asks = [Requirement.parse("robust(linf=4/255) >= 0.5")]
    make = strategy_for(nw.load("digits", seed=0), Budget(steps=9), 0, name=name)
    assert make((), requirements=asks, metric="accuracy").ask().design.recipe.adversarial


@pytest.mark.parametrize(
    ("name", "space", "says"),
    [
        ("controler", None, "Did you mean controller"),
        ("random", "cell", "Did you mean cells"),
        ("darts", "macro", "must be cells"),
        ("portfolio", "cells", "must be macro"),
    ],
)
def test_what_does_not_fit_is_said(name, space, says):
    with pytest.raises(ValueError, match=says):
        strategy_for(nw.load("digits", seed=0), Budget(steps=90), 0, name=name, space=space)


@pytest.mark.parametrize("name", ["random", "darts"])
def test_tables_have_cells_too(name, few_shared_steps):
    make = strategy_for(nw.load("iris", seed=0), Budget(steps=9), 0, name=name, space="cells")
    asked = asked_of(make((), requirements=(), metric="accuracy"))
    assert {c.design.family for c in asked} == {"table_cells"}


@pytest.mark.parametrize(
    ("name", "space"), [("evolution", "macro"), ("bayesian", "cells"), ("enas", "cells")]
)
def test_sequences_and_texts_are_searched_as_images_are(name, space, few_shared_steps):
    families = {"sequence": {"macro": "macro_sequence", "cells": "sequence_cells"},
                "text": {"macro": "text_", "cells": "text_cells"}}  # fmt: skip
    for where in ("sequence 2x24", "text"):
        schema = Schema(INPUTS[where], CLASS)
        x = rows_for(schema, 12, torch.Generator().manual_seed(0))
        train = TensorSplit(x, torch.arange(12) % 3, torch.arange(12))
        drawn = replace(nw.load("iris", seed=0), schema=schema, train=train)
        make = strategy_for(drawn, Budget(steps=9), 0, name=name, space=space)
        asked = asked_of(make((), requirements=(), metric="accuracy"))
        wanted = families[schema.input.kind][space]
        assert all(c.design.family.startswith(wanted) for c in asked)
        build_network(asked[-1].design, schema, seed=0)


@pytest.mark.parametrize("name", ["darts", "enas"])
def test_what_trains_all_cells_at_once_needs_minutes(name):
    with pytest.raises(ValueError, match="give `budget` at least 300s"):
        strategy_for(nw.load("digits", seed=0), Budget(seconds=60.0), 0, name=name)
