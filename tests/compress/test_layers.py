from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.artefact import Session, to_onnx
from netwright.compress import (
    Layer,
    block_influence,
    prune_depth,
    removable_layers,
    removal_losses,
    remove_layers,
)
from netwright.data import load
from netwright.design.families import residual_cnn
from netwright.measure import macs, parameters
from netwright.nn import TextTransformer


@pytest.fixture
def residual():
    with _rng.seeded(0):
        network = residual_cnn(load("digits").schema, widths=(4, 8), blocks=(2, 2))
        for name, scale in network.named_parameters():
            if name.endswith("branch.1.1.weight"):  # as after training: no branch gives nothing
                nn.init.normal_(scale)
    return network.eval()


@pytest.fixture
def x(generator):
    return torch.rand(8, 1, 8, 8, generator=generator)


def layer(network, x, path, way="pass"):
    return next(e for e in removable_layers(network, x) if (e.path, e.way) == (path, way))


@pytest.mark.oracle
@pytest.mark.parametrize("way", ["pass", "nothing"])
def test_removing_a_layer_is_overruling_it(residual, x, way):
    layers = {each.path: each for each in removable_layers(residual, x) if each.way == way}
    assert "stage2.0" not in layers and "stem" not in layers  # they change the shape
    for path in ("stage1", "stage1.0", "stage1.1.branch", "stage1.1.branch.0.0", "stage2.1"):
        smaller = remove_layers(residual, x, [layers[path]]).network
        overruled = residual.get_submodule(path).register_forward_hook(
            lambda _, given, output: given[0] if way == "pass" else torch.zeros_like(output)
        )
        with torch.no_grad():
            assert torch.equal(smaller(x), residual(x))
        overruled.remove()


@pytest.mark.oracle
def test_a_branch_of_zeros_goes_unnoticed(residual, x):
    last = residual.get_submodule("stage1.1.branch.1.1")
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    with torch.no_grad():
        before = residual(x)
        for path, way in (("stage1.1.branch", "nothing"), ("stage1.1", "pass")):
            smaller = remove_layers(residual, x, [layer(residual, x, path, way)])
            assert torch.equal(smaller.network(x), before)  # what came in was rectified already
            conv = 2 * (4 * 4 * 9)
            assert smaller.macs[0] - smaller.macs[1] == 8 * 8 * conv
            assert smaller.parameters[0] - smaller.parameters[1] == conv + 2 * (4 + 4)


@pytest.mark.oracle
def test_losses_are_those_of_the_networks_without(residual, x):
    y = torch.arange(8)
    layers = [layer(residual, x, p, w) for p, w in (("stage1.0", "pass"), ("stage2.1", "nothing"))]
    batches = [(x[:3], y[:3]), (x[3:], y[3:])]
    found = removal_losses(residual, layers, batches, functional.cross_entropy)
    with torch.no_grad():
        whole = functional.cross_entropy(residual(x), y)
        for rise, each in zip(found, layers, strict=True):
            without = remove_layers(residual, x, [each]).network
            expected = functional.cross_entropy(without(x), y) - whole
            assert rise.item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.oracle
def test_influence_is_an_angle():
    with _rng.seeded(0):
        network = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(3)))
    turns = (0.3, 0.0, 2.0)  # radians
    for module, angle in zip(network, torch.tensor(turns), strict=True):
        c, s = angle.cos().item(), angle.sin().item()
        module.weight.data = 1.7 * torch.tensor([[c, -s], [s, c]])
    x = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])
    layers = removable_layers(network, x)
    found = block_influence(network, layers, x)
    expected = 1 - torch.tensor(turns).cos()
    assert torch.allclose(found[::2], expected, atol=1e-6)
    assert [each.way for each in layers[::2]] == ["pass"] * 3 and bool(found[1::2].isinf().all())
    assert prune_depth(network, x, partial(block_influence, x=x), macs=0.7).removed[0].path == "1"


def test_blocks_of_a_transformer_go_until_it_is_cheap_enough(generator):
    with _rng.seeded(0):
        text = TextTransformer(9, 8, length=12, n_heads=2, n_blocks=3)
        network = nn.Sequential(text, nn.Linear(8, 4))
    x, y = torch.randint(0, 9, (16, 12), generator=generator), torch.arange(16) % 4
    weigh = partial(removal_losses, batches=[(x, y)], loss=functional.cross_entropy)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = prune_depth(network, x, weigh, macs=0.4, keep=["0.blocks.0"])
    assert macs(found.network, x).macs_per_example == found.macs[1] <= 0.4 * found.macs[0]
    assert not any(each.path.startswith("0.blocks.0") for each in found.removed)
    left = dict(found.network.named_parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in left.items())
    assert parameters(found.network) == found.parameters[1] < parameters(network)
    assert network.training
    assert "0.blocks.0.attention.project_in.weight" in left


def test_the_layer_without_which_the_loss_is_lower_goes_first(x):
    with _rng.seeded(0):
        network = nn.Sequential(nn.Flatten(), *(nn.Linear(64, 64, bias=False) for _ in range(3)))
    for place, factor in ((1, 1.0), (2, -5.0), (3, 1.1)):  # planted: the second spoils all
        network[place].weight.data = factor * torch.eye(64)
    y = x.flatten(1)
    weigh = partial(removal_losses, batches=[(x, y)], loss=functional.mse_loss)
    # Without "2" the rest is nearly right; then "3", and "1" does nothing at all.
    assert [e.path for e in prune_depth(network, x, weigh, macs=0.4).removed] == ["2", "3"]


def test_a_network_that_lost_layers_is_exported(residual, x, tmp_path):
    schema = load("digits").schema
    gone = [layer(residual, x, "stage1.0.branch", "nothing"), layer(residual, x, "stage2.1")]
    smaller = remove_layers(residual, x, gone)
    file = to_onnx(smaller.network, schema, sample=x[:2])
    assert len(file) < len(to_onnx(residual, schema, sample=x[:2]))
    (tmp_path / "m.onnx").write_bytes(file)
    with torch.no_grad():
        wanted = smaller.network(x)
    assert torch.allclose(Session(tmp_path / "m.onnx").predict(x), wanted, atol=1e-4)


def test_a_module_that_runs_twice_is_no_layer():
    with _rng.seeded(0):
        shared = nn.Linear(3, 3)
    network = nn.Sequential(shared, nn.ReLU(), shared)
    assert removable_layers(network, torch.ones(1, 3)) == ()


def test_what_cannot_be_removed_is_said(residual, x):
    with _rng.seeded(0):
        two = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    block, branch = layer(residual, x, "stage1.0"), layer(residual, x, "stage1.0.branch")
    with pytest.raises(ValueError, match="names `stage1.0` and, again, what is inside"):
        remove_layers(residual, x, [block, branch])
    with pytest.raises(ValueError, match="no layer `7`; what can be removed is 0, 1"):
        remove_layers(two, torch.ones(1, 1),
                      [Layer("7", "pass", 0.0, 0)])  # fmt: skip
    weigh = partial(block_influence, x=x)
    with pytest.raises(ValueError, match="`macs` of 0.01 cannot be had"):
        prune_depth(residual, x, weigh, macs=0.01)
    with pytest.raises(ValueError, match=r"`macs` is the share that may stay, in \(0, 1\); got 1"):
        prune_depth(residual, x, weigh, macs=1)
    with pytest.raises(ValueError, match="at least one batch"):
        removal_losses(residual, [block], [], functional.cross_entropy)
    with pytest.raises(ValueError, match="`x` must hold at least one row"):
        removable_layers(residual, x[:0])
