"""Every column of the table of operations is proved, for every operation."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from netwright._rng import seeded
from netwright.artefact._export import export_network
from netwright.audits.verify import NetworkError, intervals, linear_bounds, read_bounded
from netwright.compress import (
    channels,
    decode,
    encode,
    filter_norms,
    from_arrays,
    plain_state,
    prune_channels,
    share_weights,
)
from netwright.design.spaces import (
    IMAGE_OPERATIONS,
    ROW_OPERATIONS,
    SEQUENCE_OPERATIONS,
    operation,
    usable,
)
from netwright.design.spaces._operations import halving, resize
from netwright.learn._bounds import bounded
from netwright.measure import macs

# Weights that can be pruned, factorised and quantised, and what is folded into them.
COMPRESSIBLE = {nn.Conv2d, nn.Conv1d, nn.Linear}
FOLDED = {nn.BatchNorm2d, nn.BatchNorm1d}
TABLES = {"image": IMAGE_OPERATIONS, "row": ROW_OPERATIONS, "sequence": SEQUENCE_OPERATIONS}
CASES = [(kind, name) for kind, table in TABLES.items() for name in table]
EVERY = pytest.mark.parametrize(("kind", "name"), CASES)
SHAPES = {"image": (7, 8), "row": (), "sequence": (11,)}
RADIUS = 0.05


def sizes(kind):
    whole = [(4, 4, 1), (4, 6, 1)]
    return whole if kind == "row" else [*whole, (4, 4, 2), (4, 6, 2)]


def inputs(kind, generator, n=6, width=4):
    return torch.randn((n, width, *SHAPES[kind]), generator=generator)


def mapping(kind, n_out):
    """A layer before the operation, with weights."""
    made = {"image": nn.Conv2d, "sequence": nn.Conv1d}
    return made[kind](4, n_out, 1) if kind in made else nn.Linear(4, n_out)


def in_a_network(kind, name, size, generator):
    """The operation between two layers, in eval mode, with statistics as after training."""
    with seeded(0):
        network = nn.Sequential(mapping(kind, size[0]), built(kind, name, *size), nn.Flatten())
        x = inputs(kind, generator, n=20)
        network.append(nn.Linear(network(x).shape[1], 3))
        network.train()(x)
    return network.eval(), x[:3]


def leaves(module):
    return [m for m in module.modules() if not any(True for _ in m.children())
            and not isinstance(m, nn.Sequential)]  # fmt: skip


def built(kind, name, n_in, n_out, stride):
    with seeded(0):
        return operation(name, kind).build(n_in, n_out, stride)


@EVERY
def test_sizes_are_kept_or_halved(kind, name, generator):
    x = inputs(kind, generator)
    for n_in, n_out, stride in sizes(kind):
        out = built(kind, name, n_in, n_out, stride)(x)
        expected = (6, n_out, *[-(-side // stride) for side in x.shape[2:]])
        assert out.shape == expected
    if kind != "row":  # one pixel or step stays one
        single = torch.ones(6, 4, *[1] * (x.ndim - 2))
        assert built(kind, name, 4, 4, 2)(single).shape == single.shape


@EVERY
def test_trains_with_falling_loss(kind, name, generator):
    entry = operation(name, kind)
    for n_in, n_out, stride in sizes(kind):
        with seeded(1):
            first = mapping(kind, n_in)
            network = nn.Sequential(first, entry.build(n_in, n_out, stride), nn.Flatten())
        x = inputs(kind, generator)
        wanted = torch.randn(network(x).shape, generator=generator)
        losses = []
        for _ in range(2):
            loss = (network(x) - wanted).square().mean()
            losses.append(loss.item())
            network.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter -= 0.01 * parameter.grad
        assert all(p.grad.any() for p in network[1].parameters())
        assert (losses[1] < losses[0]) == entry.is_trained
        assert first.weight.grad.any()


@EVERY
def test_layers_are_those_of_the_table(kind, name):
    entry = operation(name, kind)
    found = {type(m) for size in sizes(kind) for m in leaves(built(kind, name, *size))}
    assert found == set(entry.layers)


@EVERY
@pytest.mark.oracle
def test_bounds_of_training_contain_what_samples_give(kind, name, generator):
    for size in sizes(kind):
        network, x = in_a_network(kind, name, size, generator)
        found = bounded(network, x, x - RADIUS, x + RADIUS)
        met = sampled(network, x, generator)
        slack = 1e-5  # float32 sums of some hundred terms
        holds = (found.low <= met.amin(0) + slack).all() and (
            found.high >= met.amax(0) - slack
        ).all()
        assert holds == operation(name, kind).is_verified
        assert (found.high - found.low < 100 * (met.amax(0) - met.amin(0))).all()


def sampled(network, x, generator, n=100):
    """Outputs for inputs of the box around each of `x`, half of them at its corners."""
    moves = 2 * torch.rand((n, *x.shape), generator=generator) - 1
    moves[::2] = moves[::2].sign()
    with torch.no_grad():
        return network((x + RADIUS * moves).flatten(0, 1)).unflatten(0, (n, len(x)))


def test_a_recurrence_has_no_bounds_and_is_in_no_table(generator):
    """Why no space ends in a GRU: it could be trained and exported, but nothing bounds it."""

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrence, self.head = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.recurrence(x.transpose(1, 2))[0][:, -1])

    x = inputs("sequence", generator, n=2)
    with seeded(0):
        network = Last().eval()
    with pytest.raises(ValueError, match="operations without: `gru`"):
        bounded(network, x, x, x)
    weights = {"w": np.ones((1, 15, 4)), "r": np.ones((1, 15, 5))}
    graph = helper.make_graph(
        [helper.make_node("GRU", ["features", "w", "r"], ["", "outputs"], hidden_size=5)],
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [11, "batch", 4])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, [1, "batch", 5])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    with pytest.raises(NetworkError, match="GRU"):
        read_bounded(model.SerializeToString())
    assert not any(nn.GRU in e.layers for table in TABLES.values() for e in table.values())


@EVERY
def test_weights_are_of_kinds_that_can_be_compressed(kind, name):
    weighted = {type(m) for size in sizes(kind) for m in leaves(built(kind, name, *size))
                if list(m.parameters())}  # fmt: skip
    assert operation(name, kind).is_compressed == (weighted <= COMPRESSIBLE | FOLDED)


@EVERY
@pytest.mark.oracle
def test_whole_channels_come_out(kind, name, generator):
    for size in (sizes(kind)[0], sizes(kind)[-1]):
        network, x = in_a_network(kind, name, size, generator)
        found = channels(network, x)
        # Which checks that the smaller network computes what the others gave.
        thinned = prune_channels(network, x, found, filter_norms(network, found), macs=0.7)
        before, after = thinned.macs
        assert 0 < after <= 0.7 * before
        assert list(thinned.untouched) == ["3.weight"]  # the head's, whose outputs are counted
        assert thinned.network(x).shape == (3, 3)


@EVERY
def test_shared_values_survive_the_file(kind, name, generator):
    for size in (sizes(kind)[0], sizes(kind)[-1]):
        network, x = in_a_network(kind, name, size, generator)
        other = copy.deepcopy(network)
        share_weights(network, 4)
        state = plain_state(network)
        weight = state["0.weight"]
        assert len(weight.unique()) == min(4, weight.numel())
        other.load_state_dict(from_arrays(decode(encode(state))))
        assert torch.equal(other(x), network(x))


def bend(layer, x, generator):
    """How far the middle between two neighbours of x is from the mean of theirs: 0 if affine."""
    step = 1e-4 * torch.randn(x.shape, generator=generator).double()
    return (layer(x + step) + layer(x - step) - 2 * layer(x)).abs()


@EVERY
@pytest.mark.oracle
def test_operations_are_affine_between_kinks(kind, name, generator):
    for size in sizes(kind):
        layer = built(kind, name, *size).double().eval()
        bends = bend(layer, inputs(kind, generator).double(), generator)
        # Rounding of float64 is 1e-15 of some ones; a kink lies between with probability 1e-3.
        assert (bends > 1e-12).float().mean() < 0.05


def test_a_smooth_layer_is_seen_to_bend(generator):
    bends = bend(nn.Tanh(), inputs("row", generator).double(), generator)
    assert (bends > 1e-12).float().mean() > 0.9


@EVERY
@pytest.mark.oracle
def test_multiply_accumulates_agree_with_torch(kind, name, generator):
    x = inputs(kind, generator, n=1)
    for size in sizes(kind):
        layer = built(kind, name, *size).eval()
        with FlopCounterMode(display=False) as counter:
            layer(x)
        wrapped = nn.Sequential(layer)
        assert 2 * macs(wrapped, x).macs == counter.get_total_flops()


class Beside(nn.Module):
    """All operations of a table; the mean of each output channel by operation.

    Each reads a layer of its own: a runtime merges and fuses what stands beside something else in
    other ways than what stands in a network.
    """

    def __init__(self, kind):
        super().__init__()
        with seeded(0):
            self.each = nn.ModuleDict(
                {f"{name}_{n}": nn.Sequential(mapping(kind, size[0]), entry.build(*size))
                 for name, entry in TABLES[kind].items() for n, size in enumerate(sizes(kind))}
            )  # fmt: skip

    def forward(self, x):
        found = [layer(x) for layer in self.each.values()]
        return torch.cat([y.flatten(2).mean(dim=2) if y.ndim > 2 else y for y in found], dim=1)


@pytest.fixture(scope="module", params=TABLES)
def shipped(request):
    """All operations of a table in one ONNX file, and the same as a module."""
    kind, generator = request.param, torch.Generator().manual_seed(0)
    network = Beside(kind)
    with seeded(3), torch.no_grad():  # statistics that a batch norm cannot be without
        network.train()(inputs(kind, generator, n=50))
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model = export_network(network.eval(), inputs(kind, generator)[:2], output="outputs")
    return kind, network, model.SerializeToString()


def by_operation(kind):
    """Each operation of a table, and where its outputs stand among all of them."""
    start, width = 0, sum(n_out for _, n_out, _ in sizes(kind))
    for name, entry in TABLES[kind].items():
        yield name, entry, slice(start, start + width)
        start += width


@pytest.mark.oracle
@pytest.mark.slow
def test_exported_operations_agree_in_onnx_runtime(shipped, generator):
    import onnxruntime

    kind, network, content = shipped
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    x = inputs(kind, generator)
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    expected = network(x)
    for name, entry, piece in by_operation(kind):
        # float32 sums of at most 150 terms of size 1
        close = torch.allclose(
            torch.from_numpy(found)[:, piece], expected[:, piece], atol=1e-4, rtol=1e-4
        )
        assert close == entry.is_exported, name


@pytest.mark.oracle
@pytest.mark.slow
def test_bounds_of_what_is_shipped_contain_what_samples_give(shipped, generator):
    kind, network, content = shipped
    program, x = read_bounded(content), inputs(kind, generator, n=2).double()
    box = intervals(program, x - RADIUS, x + RADIUS)
    n = box.least[program.target].shape[1]
    rows = torch.eye(n, dtype=torch.float64)[:, None].expand(n, 2, n)
    least = linear_bounds(box, program.target, rows).T
    met = sampled(copy.deepcopy(network).double(), x, generator).amin(0)
    both = torch.stack([box.least[program.target], least])
    for name, entry, piece in by_operation(kind):
        # float64, which samples at a corner of the box reach exactly
        assert bool((both <= met + 1e-9)[..., piece].all()) == entry.is_verified, name
        assert (met - least)[:, piece].amax() < 3, name  # bounds that say something


def test_what_halves_and_what_resizes(generator):
    for kind in ("image", "sequence"):
        x = inputs(kind, generator)
        assert halving(kind)(x).shape[2:] == tuple((side + 1) // 2 for side in x.shape[2:])
    with pytest.raises(ValueError, match="rows have none"):
        halving("row")
    for kind in TABLES:
        with seeded(0):
            assert resize(kind, 4, 7)(inputs(kind, generator)).shape[1] == 7


@pytest.mark.parametrize("kind", TABLES)
def test_spaces_use_what_can_be_used_throughout(kind):
    assert set(usable(kind)) == set(TABLES[kind])  # all of them can, as proved above


def test_the_page_about_searches_lists_the_table():
    page = (Path(__file__).parents[3] / "docs" / "search.md").read_text(encoding="utf-8")
    for kind, title in (("image", "images"), ("sequence", "steps of"), ("row", "rows of")):
        (line,) = [each for each in page.splitlines() if each.startswith(f"| {title}")]
        assert re.findall("`([^`]+)`", line) == list(TABLES[kind])


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(ValueError, match="No operation on images is called `conv3`. Did you mean"):
        operation("conv3", "image")
    with pytest.raises(ValueError, match="Known: identity, linear, normal, narrow, residual"):
        operation("conv3x3", "row")
    with pytest.raises(ValueError, match="on sequences is called `dil3by3`. Did you mean `dil3by"):
        operation("dil3by3", "sequence")
