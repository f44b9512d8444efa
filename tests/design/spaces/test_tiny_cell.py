"""The 3,125 codes: what they build, and which of them build the same."""

import itertools

import numpy as np
import pytest
import torch

from netwright._rng import seeded
from netwright.data import Schema
from netwright.design import build_network, design_from_json, design_to_json
from netwright.design.families._tiny_cells import EDGES, tiny_cell
from netwright.design.spaces import Space, count, tiny_cell_space

from ..samples import CLASS, INPUTS

SCHEMA = Schema(INPUTS["image 1x8x8"], CLASS)
SPACE = tiny_cell_space(SCHEMA)
OPTIONS = SPACE.decisions[0].options
CODES = list(itertools.product(range(5), repeat=5))
CANONICAL = {code: SPACE.canonical(code) for code in CODES}


def test_space_has_3125_codes_of_five_decisions():
    assert isinstance(SPACE, Space)
    assert count(SPACE) == 3125
    assert [d.options for d in SPACE.decisions] == [
        ("none", "identity", "conv1x1", "conv3x3", "avgpool3x3")
    ] * 5
    assert not any(d.ordered for d in SPACE.decisions)


def test_canonical_is_a_choice_of_one_code_for_each_network():
    assert len(set(CANONICAL.values())) == 1176
    for code, chosen in CANONICAL.items():
        assert CANONICAL[chosen] == chosen
        assert sum(map(bool, chosen)) <= sum(map(bool, code))


def test_equal_networks_alone_share_a_name():
    names = {code: SPACE.design(code).name for code in CODES}
    assert len(set(names.values())) == 1176
    for one, other in itertools.pairwise(CODES):
        assert (names[one] == names[other]) == (CANONICAL[one] == CANONICAL[other])
    assert names[3, 1, 0, 4, 3] == SPACE.design((1, 3, 0, 3, 4)).name  # nodes change places


@pytest.mark.parametrize(
    ("code", "chosen"),
    [
        ((3, 3, 3, 0, 0), (0, 0, 0, 0, 0)),  # nothing reaches the output
        ((0, 0, 3, 3, 3), (0, 0, 0, 0, 0)),  # nothing leaves the input
        ((3, 4, 0, 1, 0), (0, 1, 0, 0, 3)),  # node 2 leads nowhere; identity on either side
        ((3, 0, 2, 0, 3), (3, 0, 2, 0, 3)),  # three in a row stay three
    ],
)
def test_edges_that_compute_nothing_are_folded(code, chosen):
    assert SPACE.canonical(code) == chosen


# What a cell computes, without torch: convolutions are nonlinear maps of their own, means one
# linear map that they share.
RANDOM = np.random.default_rng(0)
MATRICES, OFFSETS = RANDOM.normal(size=(2, 5, 3, 3)), RANDOM.normal(size=(2, 5, 3))  # of each size
MEAN = np.eye(3) / 3
MEAN[0, 1] = 0.4
X = RANDOM.normal(size=3)


def computed(code, order):
    """The output, when the n-th live convolution has the weights of number `order[n]`."""
    apply = {
        "identity": lambda x, edge: x,
        "avgpool3x3": lambda x, edge: MEAN @ x,
        "conv1x1": lambda x, edge: np.tanh(
            MATRICES[0, number[edge]] @ x + OFFSETS[0, number[edge]]
        ),
        "conv3x3": lambda x, edge: np.tanh(
            MATRICES[1, number[edge]] @ x + OFFSETS[1, number[edge]]
        ),
    }
    number = dict(zip(live_convolutions(code), order, strict=False))
    states = {0: X}
    for edge, (source, node) in enumerate(EDGES):
        name = OPTIONS[code[edge]]
        if edge in live(code):
            states[node] = states.get(node, 0) + apply[name](states[source], edge)
    return states.get(3, np.zeros(3))


def live(code):
    ways = [way for way in ([0, 3], [1, 4], [0, 2, 4]) if all(code[edge] for edge in way)]
    return sorted(set(itertools.chain(*ways)))


def live_convolutions(code):
    return [edge for edge in live(code) if code[edge] in (2, 3)]


def all_outputs(code):
    n = len(live_convolutions(code))
    return np.array([computed(code, order) for order in itertools.permutations(range(n))])


@pytest.mark.oracle
def test_folded_codes_compute_the_same_of_the_same_weights():
    # Some order of the same weights must give the same output; rounding is 1e-15 of it.
    for code, chosen in CANONICAL.items():
        found = all_outputs(code)
        assert np.abs(found - computed(chosen, range(5))).max(axis=1).min() < 1e-12, code


@pytest.mark.oracle
def test_codes_that_are_not_folded_compute_something_else():
    seen = {}
    for chosen in sorted(set(CANONICAL.values())):
        for output in all_outputs(chosen):
            # Independent numbers of size 1 agree in nine digits once in 1e27.
            assert seen.setdefault(tuple(output.round(9) + 0.0), chosen) == chosen


def test_cells_are_computed_as_their_edges_say(generator):
    x = torch.randn(2, 3, 4, 4, generator=generator)
    with seeded(0):
        cell = tiny_cell(3, ["conv3x3", "avgpool3x3", "identity", "identity", "conv3x3"]).train()
    first, mean, second = (cell.edges[name] for name in ("0-1", "0-2", "2-3"))
    expected = first(x) + second(mean(x) + first(x))
    torch.testing.assert_close(cell(x), expected)
    with seeded(0):
        dead = tiny_cell(3, ["conv3x3", "conv3x3", "none", "none", "none"])
    assert not cell(x).isnan().any() and torch.equal(dead(x), torch.zeros_like(x))
    assert list(dead.parameters()) == []


def test_every_network_builds_and_names_its_edges(generator):
    x = torch.rand(3, 1, 8, 8, generator=generator)
    for chosen in sorted(set(CANONICAL.values()))[::5]:
        design = SPACE.design(chosen)
        assert design_from_json(design_to_json(design)) == design
        network = build_network(design, SCHEMA, seed=0)
        assert len(network.cell1.edges) == sum(map(bool, chosen))  # none of it is dead
        assert network.eval()(x).shape == (3, 3)
    halved = network.stem(network.normalise(x))
    assert halved.shape == (3, 16, 4, 4) and network.cell1(halved).shape == halved.shape


def test_other_inputs_and_codes_are_refused():
    with pytest.raises(ValueError, match="`tiny_cell_space` needs image inputs; .* `text`"):
        tiny_cell_space(Schema(INPUTS["text"], CLASS))
    with pytest.raises(ValueError, match="has 5 numbers; got 4"):
        SPACE.design((0, 0, 0, 0))
    with pytest.raises(ValueError, match="'input to node 2' has 5 options.*; got 5"):
        SPACE.canonical((0, 5, 0, 0, 0))
