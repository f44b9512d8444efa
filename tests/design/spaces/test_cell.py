import itertools

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.data import Schema
from netwright.design import build_network, design_from_json, design_to_json
from netwright.design.families._cell_graph import build_cell, plan_cells
from netwright.design.spaces import Space, cell_space, codes_of_cells, count, fold_cell

from ..samples import CLASS, INPUTS, rows_for

SCHEMA = Schema(INPUTS["image 1x8x8"], CLASS)


def sample(space, n, generator):
    for _ in range(n):
        yield tuple(
            int(torch.randint(len(d.options), (), generator=generator)) for d in space.decisions
        )


def test_decisions_are_two_inputs_and_two_operations_a_node():
    space = cell_space(SCHEMA, n_nodes=2, operations=("identity", "conv3x3"), widths=(4, 8))
    assert isinstance(space, Space)
    assert [len(d.options) for d in space.decisions] == [2, 2, 2, 2, 3, 2, 3, 2] * 2 + [2]
    assert space.decisions[-1].ordered
    assert count(space) == (16 * 36) ** 2 * 2
    flat = cell_space(SCHEMA, n_nodes=2, operations=("conv3x3",), n_reductions=0)
    assert {d.name.split()[0] for d in flat.decisions} == {"normal"}


@pytest.mark.parametrize(
    ("where", "family"),
    [
        ("image 1x8x8", "cells"),
        ("sequence 2x24", "sequence_cells"),
        ("table mixed", "table_cells"),
        ("text", "text_cells"),
    ],
)
def test_every_code_builds_and_equal_networks_alone_share_a_name(where, family, generator):
    schema = Schema(INPUTS[where], CLASS)
    space = cell_space(schema, n_nodes=3, widths=(4, 8))
    assert space.family == family
    names = {}
    for code in sample(space, 25 if where.startswith("image") else 8, generator):
        design = space.design(code)
        chosen = space.canonical(code)
        assert space.canonical(chosen) == chosen
        assert names.setdefault(design.name, chosen) == chosen
        assert design == space.design(chosen) == design_from_json(design_to_json(design))
        network = build_network(design, schema, seed=0).eval()
        assert network(rows_for(schema, 2, generator)).shape == (2, 3)
        assert codes_of_cells(space, design.parameters)[:-1] == chosen[:-1]


def test_inputs_and_nodes_may_change_places():
    one = (0, 1, 1, 2, 1, 3, 0, 0, 2, 1, 3, 2)
    inputs_swapped = (1, 2, 0, 1, 0, 0, 1, 3, 3, 2, 2, 1)
    nodes_swapped = (0, 0, 1, 3, 1, 2, 0, 1, 3, 1, 2, 2)
    assert fold_cell(one) == fold_cell(inputs_swapped) == fold_cell(nodes_swapped)
    other = (0, 1, 1, 2, 1, 3, 0, 0, 2, 2, 3, 1)  # operations on the nodes swapped, not the nodes
    assert fold_cell(one) != fold_cell(other)


@pytest.mark.oracle
def test_folded_cells_are_equal_up_to_the_order_of_nodes(generator):
    # Each operation is multiplication by a constant of its own kind, on a different input each:
    # then the multiset of the nodes' values tells cells apart and does not see their order.
    factors = (0.37, 1.71, -0.83)

    def values(numbers):
        states = [1.0, 2.4]
        for i in range(0, len(numbers), 4):
            a, one, b, other = numbers[i : i + 4]
            states.append(factors[one] * states[a] + factors[other] * states[b])
        return tuple(sorted(round(v, 9) for v in states[2:]))

    def all_cells():
        first = list(itertools.product(range(2), range(3), range(2), range(3)))
        second = list(itertools.product(range(3), range(3), range(3), range(3)))
        return [(*a, *b) for a in first for b in second]

    classes = {}
    for cell in all_cells():
        folded = fold_cell(cell)
        assert values(folded) == values(cell)
        classes.setdefault(values(cell), set()).add(folded)
    assert all(len(found) == 1 for found in classes.values())


@pytest.mark.parametrize(
    ("where", "kinds", "n_operations"),
    [
        ("sequence 2x24", ("normal", "reduction"), 11),
        ("table mixed", ("normal",), 5),
        ("text", ("normal",), 11),
    ],
)
def test_rows_and_words_are_not_halved_unless_that_is_asked_for(where, kinds, n_operations):
    schema = Schema(INPUTS[where], CLASS)
    space = cell_space(schema)
    assert space.kinds == kinds and len(space.operations) == n_operations
    if where == "text":
        assert cell_space(schema, n_reductions=2).kinds == ("normal", "reduction")


def test_steps_are_halved_by_operations_on_inputs_only(generator):
    nodes = ((0, "conv3", 1, "identity"), (2, "maxpool3", 1, "dil3by2"))
    with seeded(0):
        cell = build_cell(nodes, (5, 6), 4, kind="sequence", halves=True, shrinks_first=True).eval()
    before = torch.randn(2, 5, 14, generator=generator)
    last = torch.randn(2, 6, 7, generator=generator)
    assert cell(before, last).shape == (2, 8, 4)


def test_reductions_stand_evenly_among_normal_cells():
    assert plan_cells(2, 1) == (False, False, True, False, False)
    assert plan_cells(0, 2) == (True, True)
    assert plan_cells(1, 0) == (False,)


def test_cell_adds_in_nodes_and_joins_all_of_them(generator):
    nodes = ((0, "conv3x3", 1, "identity"), (2, "avgpool3x3", 2, "conv1x1"))
    with seeded(0):
        cell = build_cell(nodes, (5, 6), 4, halves=True, shrinks_first=True).eval()
    before = torch.randn(2, 5, 8, 8, generator=generator)
    last = torch.randn(2, 6, 4, 4, generator=generator)
    one, two = cell.adapt["0"](before), cell.adapt["1"](last)
    first = cell.nodes[0][0](one) + cell.nodes[0][1](two)
    second = cell.nodes[1][0](first) + cell.nodes[1][1](first)
    assert cell(before, last).shape == (2, 8, 2, 2)
    torch.testing.assert_close(cell(before, last), torch.cat([first, second], dim=1))


def test_a_state_that_no_node_reads_costs_nothing():
    with seeded(0):
        cell = build_cell(
            ((1, "identity", 1, "conv1x1"),), (5, 6), 4, halves=False, shrinks_first=False
        )
    assert list(cell.adapt) == ["1"]
    assert isinstance(cell.nodes[0][0], nn.Identity)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operations": ("conv3x4",)}, "called `conv3x4`. Did you mean `conv3x3`"),
        ({"n_nodes": 0}, "must not be empty; got 0 nodes"),
        ({"n_normal": 0, "n_reductions": 0}, "0 normal cells and 0 reductions"),
    ],
)
def test_arguments_must_make_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        cell_space(SCHEMA, **arguments)


def test_what_does_not_fit_the_input_and_foreign_cells_are_refused():
    rows = Schema(INPUTS["table mixed"], CLASS)
    with pytest.raises(ValueError, match="`n_reductions` must be 0 for rows.* got 1"):
        cell_space(rows, n_reductions=1)
    with pytest.raises(ValueError, match="No operation on rows is called `conv3x3`"):
        cell_space(rows, operations=("conv3x3",))
    space = cell_space(SCHEMA, n_nodes=1, operations=("conv3x3",), n_reductions=0)
    with pytest.raises(
        ValueError, match="must have operations of the space, conv3x3; got 'sep3x3'"
    ):
        codes_of_cells(space, {"normal": [[0, "sep3x3", 1, "conv3x3"]]})
    with pytest.raises(ValueError, match="has 2 options, numbered from 0; got 2"):
        codes_of_cells(space, {"normal": [[2, "conv3x3", 1, "conv3x3"]]})
