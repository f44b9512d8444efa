import random

import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.claims import claim, optimizer_search
from netwright.claims.optimizer_search import RuleSpace
from netwright.design.spaces import Space
from netwright.learn._update_rules import RuleOptimizer, Term, UpdateRule, formula


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = optimizer_search.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary
    assert "w ← w − rate" in found.summary


def test_it_is_run_by_its_name():
    assert claim("Optimizer-Search").run is optimizer_search.run


@pytest.fixture
def codes():
    source = random.Random(0)
    sizes = [len(d.options) for d in RuleSpace().decisions]
    return [tuple(source.randrange(size) for size in sizes) for _ in range(300)]


def test_every_code_is_a_rule_and_equal_rules_have_one_code(codes):
    space = RuleSpace()
    assert isinstance(space, Space)
    for code in codes:
        canonical = space.canonical(code)
        assert space.canonical(canonical) == canonical
        assert space.rule(canonical) == space.rule(code)
        assert space.design(code).name == formula(space.rule(code))
    names = {space.canonical(code): space.rule(code) for code in codes}
    assert len(set(names.values())) == len(names)


def code_of(*names):
    decisions = RuleSpace().decisions
    return tuple(d.options.index(name) for d, name in zip(decisions, names, strict=True))


def test_signs_and_sums_are_written_in_one_way():
    space = RuleSpace()
    first = code_of("g", "x", "x", "1", "x", "m", "sign", "+", "g³", "sign")
    second = code_of("v", "log", "/", "m", "x", "g", "sign", "+", "sign(m)", "sign")
    assert space.canonical(first) == space.canonical(second)
    assert space.design(first).name == "sign(g) + sign(m)"


@pytest.mark.oracle
def test_rules_that_train_together_train_as_they_would_alone(monkeypatch):
    monkeypatch.setattr(optimizer_search, "_STEPS", 12)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(100, 64, generator=generator), torch.arange(100) % 10
    rows = optimizer_search._Rows(x, y)
    rules = [UpdateRule((Term("g"),)), UpdateRule((Term("m", "v", "x", "sqrt", "/"),))]
    rates = [0.3, 0.01]
    together, _ = optimizer_search._losses(
        [r for r in rules for _ in range(2)], [rates[0]] * 2 + [rates[1]] * 2, rows, rows, 5, "t"
    )
    for place, (rule, rate) in enumerate(zip(rules, rates, strict=True)):
        for k in range(2):
            which = 2 * place + k
            network = alone(_rng.child(5, f"t/weights/{which}"))
            optimizer = RuleOptimizer(network.parameters(), rule, learning_rate=rate)
            order = _rng.child(5, f"t/batches/{which}")
            for _ in range(12):
                drawn = torch.randint(100, (64,), generator=order)
                optimizer.zero_grad()
                functional.cross_entropy(network(x[drawn]), y[drawn]).backward()
                optimizer.step()
            with torch.no_grad():
                loss = functional.cross_entropy(network(x), y).item()
            assert loss == pytest.approx(together[which], rel=1e-3)


def alone(generator):
    with _rng.seeded(0):
        layers = [nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10)]
    weights = optimizer_search._first_weights(generator)
    begin = 0
    for layer in layers[::2]:
        n = layer.weight.numel()
        with torch.no_grad():
            layer.weight.copy_(weights[begin : begin + n].view(layer.in_features, -1).T)
            layer.bias.copy_(weights[begin + n : begin + n + layer.out_features])
        begin += n + layer.out_features
    return nn.Sequential(*layers)


def test_a_rule_that_diverges_costs_the_others_nothing(monkeypatch):
    monkeypatch.setattr(optimizer_search, "_STEPS", 5)
    rows = optimizer_search._Rows(torch.ones(20, 64), torch.arange(20) % 10)
    wild, tame = UpdateRule((Term("1", on_left="exp"),)), UpdateRule((Term("g"),))
    losses, _ = optimizer_search._losses([wild, tame], [1e38, 0.1], rows, rows, 0, "search")
    assert losses[0] == float("inf")
    assert losses[1] < 3
