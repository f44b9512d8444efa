"""The table that D1, D2 and D4 search."""

import itertools

import pytest
import torch

from netwright.claims import _tiny_cells
from netwright.design import Candidate, build_network
from netwright.measure import macs

FULL = (3, 3, 3, 3, 3)  # a 3x3 convolution on every edge


def test_the_table_holds_every_design_once():
    cells, table = _tiny_cells.space(), _tiny_cells.trained()
    codes = itertools.product(*(range(len(d.options)) for d in cells.decisions))
    assert {cells.design(code).name for code in codes} == set(table)
    assert {len(design.curves) for design in table.values()} == {_tiny_cells.SEEDS}
    assert _tiny_cells.PATH.stat().st_size < 1_000_000


@pytest.mark.oracle
def test_costs_in_the_table_are_those_of_the_networks():
    cells, table = _tiny_cells.space(), _tiny_cells.trained()
    for code in ((0, 0, 0, 0, 0), (2, 1, 4, 3, 2), FULL):
        design = cells.design(code)
        network = build_network(design, _tiny_cells.SCHEMA, seed=0).eval()
        counted = macs(network, torch.zeros(1, 1, 8, 8))
        row = table[design.name]
        assert (row.params, row.macs) == (counted.parameters, counted.macs)


def test_a_design_without_a_way_through_guesses_and_the_best_does_not():
    table = _tiny_cells.trained()
    worst = min(table.values(), key=lambda d: d.accuracy)
    best = max(table.values(), key=lambda d: d.accuracy)
    assert worst.accuracy < 0.2 and worst.code == (0, 0, 0, 0, 0)
    assert best.accuracy > 0.95 and best.code.count(3) >= 3


def test_fidelity_is_a_number_of_epochs():
    design = _tiny_cells.space().design(FULL)
    row = _tiny_cells.trained()[design.name]
    for fidelity, place in ((1.0, 4), (0.9, 3), (1 / 3, 2), (1 / 9, 0), (0.001, 0)):
        found = row.measure(Candidate(0, design, fidelity), seed=0)["accuracy"].value
        assert found in [curve[place] for curve in row.curves]


def step(number, fidelity, measured, truth):
    design = _tiny_cells.space().design(FULL)
    return _tiny_cells.Step(Candidate(number, design, fidelity), measured, truth, 1.0)


def test_the_incumbent_is_what_looked_best_among_those_trained_longest():
    steps = [step(0, 0.5, 0.8, 0.1), step(1, 0.5, 0.9, 0.2), step(2, 1.0, 0.7, 0.3),
             step(3, 0.5, 1.0, 0.4), step(4, 1.0, 0.7, 0.5)]  # fmt: skip
    assert _tiny_cells.incumbents(steps) == [0.1, 0.2, 0.3, 0.3, 0.3]


def test_the_curve_is_the_mean_of_the_incumbents():
    up = [step(0, 1.0, 0.1, 0.2), step(1, 1.0, 0.2, 0.4)]
    down = [step(0, 1.0, 0.2, 0.6), step(1, 1.0, 0.1, 0.0)]
    (series,) = _tiny_cells.best_so_far({"both": [up, down]}).series
    assert series.x == (1.0, 2.0) and series.y == pytest.approx((40.0, 50.0))
