"""Every column of the table of operations is proved, for every operation."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from netwright._rng import seeded
from netwright.artefact import Session, write
from netwright.data import Column, Input, Schema, Target
from netwright.design.spaces import IMAGE_OPERATIONS, ROW_OPERATIONS, operation, usable
from netwright.measure import macs

# Layers with exact linear bounds: affine maps and ReLU. Sums and concatenations join them.
VERIFIABLE = {
    nn.Conv2d, nn.BatchNorm2d, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.AvgPool2d, nn.Identity,
}  # fmt: skip
COMPRESSIBLE = {nn.Conv2d, nn.Linear}
FOLDED = {nn.BatchNorm2d, nn.BatchNorm1d}  # into the convolution or linear layer before
TABLES = {"image": IMAGE_OPERATIONS, "row": ROW_OPERATIONS}
CASES = [(kind, name) for kind, table in TABLES.items() for name in table]
EVERY = pytest.mark.parametrize(("kind", "name"), CASES)


def sizes(kind):
    return (
        [(4, 4, 1), (4, 6, 1), (4, 4, 2), (4, 6, 2)] if kind == "image" else [(4, 4, 1), (4, 6, 1)]
    )


def inputs(kind, generator, n=6, width=4):
    shape = (n, width, 7, 8) if kind == "image" else (n, width)
    return torch.randn(shape, generator=generator)


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
    if kind == "image":  # one pixel stays one
        assert built(kind, name, 4, 4, 2)(x[:, :, :1, :1]).shape == (6, 4, 1, 1)


@EVERY
def test_trains_with_falling_loss(kind, name, generator):
    entry = operation(name, kind)
    for n_in, n_out, stride in sizes(kind):
        with seeded(1):
            first = nn.Conv2d(4, n_in, 1) if kind == "image" else nn.Linear(4, n_in)
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
def test_verified_and_compressed_are_what_the_layers_allow(kind, name):
    entry = operation(name, kind)
    assert entry.is_verified == (set(entry.layers) <= VERIFIABLE)
    weighted = {type(m) for size in sizes(kind) for m in leaves(built(kind, name, *size))
                if list(m.parameters())}  # fmt: skip
    assert entry.is_compressed == (weighted <= COMPRESSIBLE | FOLDED)


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
    """All operations of a table on the same input; the mean of each output channel by operation."""

    def __init__(self, kind):
        super().__init__()
        with seeded(0):
            self.each = nn.ModuleDict(
                {f"{name}_{n}": entry.build(*size)
                 for name, entry in TABLES[kind].items() for n, size in enumerate(sizes(kind))}
            )  # fmt: skip

    def forward(self, x):
        found = [layer(x) for layer in self.each.values()]
        return torch.cat([y.mean(dim=(2, 3)) if y.ndim == 4 else y for y in found], dim=1)


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("kind", TABLES)
def test_exported_operations_agree_in_onnx_runtime(kind, tmp_path, generator):
    network = Beside(kind)
    with seeded(3), torch.no_grad():  # statistics that a batch norm cannot be without
        network.train()(inputs(kind, generator, n=50))
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    network.eval()
    x = inputs(kind, generator)
    if kind == "image":
        x = x.sigmoid()
        read = Input("image", (4, 7, 8))
    else:
        columns = tuple(Column(f"c{i}", "number", mean=0.0, std=1.0) for i in range(4))
        read = Input("table", (4,), columns=columns)
    names = tuple(f"v{i}" for i in range(network(x).shape[1]))
    schema = Schema(
        read, Target("values", names, mean=(0.0,) * len(names), std=(1.0,) * len(names))
    )
    written = write(network, schema, design="{}", folder=tmp_path, sample=x[:2])
    found, expected = Session(written.onnx).predict(x), network(x)
    start = 0
    for name, entry in TABLES[kind].items():
        width = sum(n_out for _, n_out, _ in sizes(kind))
        piece = slice(start, start + width)
        # float32 sums of at most 150 terms of size 1
        close = torch.allclose(found[:, piece], expected[:, piece], atol=1e-4, rtol=1e-4)
        assert close == entry.is_exported, name
        start += width


def test_spaces_use_what_can_be_used_throughout():
    assert "maxpool3x3" not in usable("image")
    assert set(usable("image")) == set(IMAGE_OPERATIONS) - {"maxpool3x3"}
    assert set(usable("row")) == set(ROW_OPERATIONS)


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(ValueError, match="No operation on images is called `conv3`. Did you mean"):
        operation("conv3", "image")
    with pytest.raises(ValueError, match="Known: identity, linear, normal, narrow, residual"):
        operation("conv3x3", "row")
