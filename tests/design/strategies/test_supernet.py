import pytest
import torch

from netwright.data import Schema
from netwright.design import build_network
from netwright.design.spaces import cell_space
from netwright.design.strategies._supernet import Supernet, edges_of

from ..samples import CLASS, INPUTS, rows_for

SCHEMA = Schema(INPUTS["image 1x8x8"], CLASS)
OPERATIONS = ("identity", "avgpool3x3", "conv3x3")
SPACE = cell_space(SCHEMA, n_nodes=2, operations=OPERATIONS, widths=(4,))
STEPS = ("identity", "maxpool3", "conv3")
SPACES = {"image 1x8x8": SPACE}
for where, operations, n_reductions in (
    ("sequence 2x24", STEPS, 2),
    ("text", STEPS, 1),
    ("table mixed", ("identity", "normal"), 0),
):
    SPACES[where] = cell_space(
        Schema(INPUTS[where], CLASS), n_nodes=2, operations=operations, widths=(4,),
        n_reductions=n_reductions,
    )  # fmt: skip


def draw(generator, space=SPACE):
    return tuple(
        int(torch.randint(len(d.options), (), generator=generator)) for d in space.decisions
    )


@pytest.fixture(scope="module")
def network():
    return Supernet(SPACE, SCHEMA, seed=0)


def alone(network, code, schema=SCHEMA):
    """The network of a code as a family builds it, with the weights of the shared one."""
    space = network.space
    built = build_network(space.design(code), schema, seed=1)
    length = 4 * space.n_nodes
    if schema.input.kind in ("text", "sequence"):
        built.encode.front.load_state_dict(network.stem.state_dict())
        stack = built.encode.stack
    else:
        for name, part in zip(list(dict(built.named_children()))[:2], network.stem, strict=True):
            built.get_submodule(name).load_state_dict(part.state_dict())
        stack = built.stack
    built.head.load_state_dict(network.head[0].state_dict())
    for cell, shared, halves in zip(stack.cells, network.cells, network.plan, strict=True):
        place = space.kinds.index("reduction" if halves else "normal")
        numbers = code[place * length : (place + 1) * length]
        for state, layer in cell.adapt.items():
            layer.load_state_dict(shared.adapt[int(state)].state_dict())
        for node, pair in enumerate(cell.nodes):
            for which, layer in enumerate(pair):
                state, operation = numbers[4 * node + 2 * which : 4 * node + 2 * which + 2]
                source = shared.edges[shared.places[state, node]][operation]
                layer.load_state_dict(source.state_dict())
    return built


@pytest.mark.oracle
@pytest.mark.parametrize("where", SPACES)
def test_called_with_a_code_it_is_the_network_of_that_code(where, generator):
    space, schema = SPACES[where], Schema(INPUTS[where], CLASS)
    network = Supernet(space, schema, seed=0)
    x = rows_for(schema, 5, generator)
    for _ in range(4):
        code = space.canonical(draw(generator, space))  # the order in which a family has the nodes
        with torch.no_grad():
            found = network.eval()(x, code)
            expected = alone(network, code, schema).eval()(x)
        # the same float32 operations; channels may be laid out differently
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.oracle
def test_mixed_with_all_weight_on_a_code_is_that_code(network, generator):
    x = torch.rand(3, 1, 8, 8, generator=generator)
    code = (0, 2, 1, 0, 1, 1, 2, 2, 0, 0, 1, 2, 0, 1, 2, 0)  # two different inputs a node
    weights = {}
    for place, kind in enumerate(SPACE.kinds):
        weights[kind] = torch.zeros(5, 4)
        for node in range(2):
            for which in range(2):
                start = 8 * place + 4 * node + 2 * which
                edge = edges_of(2).index((code[start], node))
                weights[kind][edge, code[start + 1]] = 1.0
    with torch.no_grad():
        found = network.eval().mixed(x, weights)
        torch.testing.assert_close(found, network(x, code), atol=1e-5, rtol=1e-5)


def test_weight_on_no_operation_counts_for_nothing(network, generator):
    x = torch.rand(3, 1, 8, 8, generator=generator)
    weights = {kind: torch.rand(5, 4, generator=generator) for kind in SPACE.kinds}
    other = {kind: w.clone() for kind, w in weights.items()}
    for w in other.values():
        w[:, -1] = 7.0
    with torch.no_grad():
        assert torch.equal(network.eval().mixed(x, weights), network.mixed(x, other))


def test_gradients_reach_only_what_a_code_uses(network, generator):
    x = torch.rand(4, 1, 8, 8, generator=generator)
    network.train().zero_grad()
    network(x, (0, 2, 1, 2, 0, 2, 1, 2) * 2).square().sum().backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None}
    used = [edges_of(2).index(edge) for edge in ((0, 0), (1, 0), (0, 1), (1, 1))]
    for number in range(3):
        for edge in range(5):
            names = {n for n in reached if n.startswith(f"cells.{number}.edges.{edge}.2.")}
            assert bool(names) == (edge in used)


def test_edges_are_all_earlier_states_of_each_node():
    assert edges_of(2) == ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1))
