"""Zonotopes hold what the network computes, are exact on affine layers, and never lose to boxes."""

import numpy as np
import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.artefact import Session
from netwright.audits.verify import _zonotope as module
from netwright.audits.verify import intervals, linear_bounds, read_bounded, tighten, zonotopes

from .test_operators import CASES, network


def outside(box, path, low, high, draw):
    target = box.program.target
    shares = torch.rand(1000, *low.shape[1:], generator=draw, dtype=torch.float64)
    shares[:500] = shares[:500].round()
    points = (low + shares * (high - low)).float()
    points = points[((points >= low) & (points <= high)).flatten(1).all(1)]
    y = Session(path).predict(points).double()
    assert len(y) > 300
    return int((y < box.least[target]).sum() + (y > box.most[target]).sum())


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_no_point_leaves_a_zonotope(name, tmp_path, generator):
    path = network(tmp_path / "n.onnx", name)
    program = read_bounded(path)
    x = torch.rand(1, 6, generator=generator, dtype=torch.float64)
    low, high = x - 0.3, x + 0.3
    with torch.no_grad():
        box, plain = zonotopes(program, low, high), intervals(program, low, high)
    assert outside(box, path, low, high, generator) == 0
    for value in box.least:
        assert (box.least[value] >= plain.least[value]).all()
        assert (box.most[value] <= plain.most[value]).all()


def mlp(activation, layers=4):
    with seeded(3):
        parts = [m for _ in range(layers) for m in (nn.Linear(8, 8), activation())]
        return nn.Sequential(*parts, nn.Linear(8, 3)).double()


@pytest.mark.oracle
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.GELU])
def test_zonotopes_stand_between_intervals_and_backward_bounds(activation):
    program = read_bounded(mlp(activation), sample=torch.zeros(1, 8, dtype=torch.float64))
    x = torch.full((1, 8), 0.3, dtype=torch.float64)
    unit = torch.eye(3, dtype=torch.float64)[:, None]
    with torch.no_grad():
        made = [f(program, x - 0.1, x + 0.1) for f in (intervals, zonotopes)]
        widths = [float((b.most["outputs"] - b.least["outputs"]).sum()) for b in made]
        tighten(made[0])
        back = -linear_bounds(made[0], "outputs", -unit) - linear_bounds(made[0], "outputs", unit)
    assert widths[1] < 0.8 * widths[0]
    assert float(back.sum()) < 1.1 * widths[1]


@pytest.mark.oracle
def test_affine_layers_are_exact():
    """Of y = A B x each bound is reached by a corner; intervals lose in between."""
    draw = np.random.default_rng(0)
    first, second = (torch.tensor(draw.normal(size=(8, 8))) for _ in range(2))
    chain = nn.Sequential(*(nn.utils.skip_init(nn.Linear, 8, 8, False) for _ in range(2))).double()
    chain[0].weight.data, chain[1].weight.data = first, second
    program = read_bounded(chain, sample=torch.zeros(1, 8, dtype=torch.float64))
    x = torch.tensor(draw.random((1, 8)))
    box, plain = (f(program, x - 0.1, x + 0.1) for f in (zonotopes, intervals))
    reach = 0.1 * (second @ first).abs().sum(1)
    width = (box.most["outputs"] - box.least["outputs"])[0]
    torch.testing.assert_close(width, 2 * reach, rtol=1e-9, atol=1e-9)  # float64 is rounded outward
    assert (width < (plain.most["outputs"] - plain.least["outputs"])[0]).all()


@pytest.mark.parametrize("activation", [nn.GELU, nn.ReLU, nn.Sigmoid, nn.Softplus])
def test_a_missing_generator_is_caught(activation, monkeypatch):
    """Planted fault: what an activation bends is left out."""
    with seeded(0):
        module_ = nn.Sequential(nn.Linear(1, 1), activation(), nn.Linear(1, 1)).double()
    for layer in (module_[0], module_[2]):
        layer.weight.data.fill_(1.0), layer.bias.data.zero_()
    program = read_bounded(module_, sample=torch.zeros(1, 1, dtype=torch.float64))
    low, high = torch.tensor([[-1.0]]).double(), torch.tensor([[2.0]]).double()
    y = program.run(torch.linspace(-1, 2, 1001, dtype=torch.float64)[:, None])

    def inside():
        box = zonotopes(program, low, high)
        return bool(((y >= box.least["outputs"]) & (y <= box.most["outputs"])).all())

    assert inside()
    right = module._parallel

    def straight(step, least, most):
        slope, below, above = right(step, least, most)
        return slope, (below + above) / 2, (below + above) / 2

    monkeypatch.setattr(module, "_parallel", straight)
    assert not inside()
