"""Bounds of training: they contain what the network gives, and are those of the prover."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.audits.verify import intervals, read_bounded
from netwright.audits.verify import linear_bounds as prover
from netwright.learn._bound_rules import Recorder
from netwright.learn._bounds import bounded, linear_bounds, margins, require_bounds
from netwright.nn import ConvNorm, GlobalPool, Normalise, Residual, Separable, SqueezeExcitation

RADIUS = 0.05


class Odds(nn.Module):
    """Operations that modules of torch do not make."""

    def forward(self, x):
        a, b = x[:, :3], x[:, 3:]
        joined = torch.cat([1 - a, b, torch.ones_like(a)], dim=1)
        return -(joined - 0.5) * 2 + joined.clone().unsqueeze(1).mean(dim=1) / -3


class Gate(nn.Module):
    """A sum of two values and a product of two values."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(6, 5)

    def forward(self, x):
        a, b = self.first(x), self.second(x)
        return a * b + a - b


def images(*layers):
    return nn.Sequential(Normalise([0.3], [0.4]), *layers, nn.Linear(8, 4)), (1, 8, 8)


def rows(*layers):
    return nn.Sequential(*layers), (6,)


NETWORKS = {
    "convolutions": lambda: images(
        ConvNorm(1, 4, stride=2), nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), GlobalPool()
    ),
    "residual": lambda: images(ConvNorm(1, 4), Residual(4, 8, stride=2), GlobalPool()),
    "separable": lambda: images(ConvNorm(1, 4), Separable(4, 8, stride=2), GlobalPool()),
    "squeeze": lambda: images(ConvNorm(1, 8), SqueezeExcitation(8), GlobalPool()),
    "pooled": lambda: images(
        nn.Conv2d(1, 8, 3), nn.LeakyReLU(0.2), nn.MaxPool2d(2), nn.ReLU(), nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ),
    "s-shaped": lambda: rows(nn.Linear(6, 9), nn.Sigmoid(), nn.Linear(9, 9), nn.Tanh(),
                             nn.Linear(9, 4)),
    "smooth": lambda: rows(nn.Linear(6, 9), nn.ELU(), nn.Linear(9, 9), nn.Softplus(), nn.ReLU6(),
                           nn.Linear(9, 4)),
    "odds": lambda: rows(Odds(), nn.Linear(9, 4)),
    "gate": lambda: rows(nn.BatchNorm1d(6), Gate(), nn.ReLU(), nn.Linear(5, 4)),
    "transposed": lambda: images(
        nn.ConvTranspose2d(1, 8, 3, stride=2), nn.Hardtanh(), nn.Dropout(0.5), GlobalPool()
    ),
}  # fmt: skip


def made(network_name):
    """A network whose weights, statistics included, are far from their defaults; and inputs."""
    with _rng.seeded(3):
        network, shape = NETWORKS[network_name]()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for name in ("weight", "bias", "running_mean"):
                    nn.init.normal_(getattr(module, name))
                module.running_var = torch.empty(module.num_features).uniform_(0.5, 2.0)
        return network.eval(), torch.rand(6, *shape)


def box(x):
    return (x - RADIUS).clamp(0, 1), (x + RADIUS).clamp(0, 1)


def attacked(network, x, low, high, rows, generator):
    """Least and largest of linear functions of the outputs that sampling and gradients find."""
    found = []
    for k in range(40):
        point = low + (high - low) * torch.rand(x.shape, generator=generator)
        if k % 2:
            point = torch.where(torch.rand(x.shape, generator=generator) < 0.5, low, high)
        for _ in range(4):
            point = point.detach().requires_grad_(True)
            value = torch.einsum("sbk,bk->sb", rows, network(point))
            found.append(value.detach())
            (gradient,) = torch.autograd.grad(value[k % len(rows)].sum(), point)
            point = torch.where(gradient > 0, low, high)
    return torch.stack(found).amin(0)


@pytest.mark.parametrize("through", [False, True], ids=["ibp", "crown"])
@pytest.mark.parametrize("name", NETWORKS)
def test_bounds_contain_what_samples_and_attacks_find(name, through, generator):
    network, x = made(name)
    low, high = box(x)
    found = bounded(network, x, low, high)
    torch.testing.assert_close(found.outputs, network(x))
    rows = torch.randn(5, len(x), 4, generator=generator)
    rows = torch.cat([rows, torch.eye(4)[:, None].expand(4, len(x), 4)])
    least = linear_bounds(found, rows, through=through)
    met = attacked(network, x, low, high, rows, generator)
    slack = 1e-5 * (1 + met.abs())  # float32
    assert (least <= met + slack).all()
    assert (least < met - 1e-4).any() or name in ("odds", "transposed")  # not of a single point
    assert (found.low <= met[5:].T + slack.mean()).all()
    assert found.low.shape == found.high.shape == (len(x), 4)
    assert (found.low <= found.outputs + 1e-5).all() and (found.outputs <= found.high + 1e-5).all()


@pytest.mark.parametrize("through", [False, True], ids=["ibp", "crown"])
def test_a_bound_that_is_wrong_is_caught(through, generator, monkeypatch):
    """The planted fault: the half width of an interval is mapped by signed weights."""
    network, x = made("convolutions")
    real = torch.Tensor.abs
    monkeypatch.setattr(torch.Tensor, "abs", lambda t: t if t.requires_grad else real(t))
    low, high = box(x)
    found = bounded(network, x, low, high)
    monkeypatch.undo()
    rows = torch.eye(4)[:, None].expand(4, len(x), 4).contiguous()
    least = linear_bounds(found, rows, through=through)
    met = attacked(network, x, low, high, rows, generator)
    assert not (least <= met + 1e-3).all()


def proved(network, x, low, high, rows):
    """The prover's intervals of the outputs, and its linear bounds from the same intervals."""
    program = read_bounded(network, sample=x)
    known = intervals(program, low.double(), high.double())
    least = prover(known, program.target, rows.double())
    return known.least[program.target], known.most[program.target], least


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["convolutions", "residual", "separable", "squeeze", "pooled"])
def test_bounds_are_those_of_the_prover(name, generator):
    network, x = made(name)
    low, high = box(x)
    rows = torch.randn(3, len(x), 4, generator=generator)
    least, most, linear = proved(network, x, low, high, rows)
    with torch.no_grad():
        found = bounded(network, x, low, high)
        ours = linear_bounds(found, rows)
    # float32 against float64 with its rounding counted outward
    close = {"atol": 2e-4, "rtol": 2e-4, "check_dtype": False}
    torch.testing.assert_close(found.low, least, **close)
    torch.testing.assert_close(found.high, most, **close)
    if name == "squeeze":  # the prover relaxes products; here they keep their interval
        assert (ours <= linear + 1e-4).all()
    else:
        torch.testing.assert_close(ours, linear, **close)


@pytest.mark.oracle
@pytest.mark.parametrize("through", [False, True], ids=["ibp", "crown"])
def test_margins_are_exact_for_a_linear_network(through, generator):
    with _rng.seeded(0):
        network = nn.Linear(6, 4)
    x, y = torch.rand(9, 6, generator=generator), torch.arange(9) % 4
    found = margins(bounded(network, x, x - 0.1, x + 0.1), y, through=through)
    apart = network.weight[y][:, None] - network.weight[None]  # (batch, classes, inputs)
    logits = network(x)
    expected = logits.gather(1, y[:, None]) - logits - 0.1 * apart.abs().sum(2)
    torch.testing.assert_close(found, expected)
    assert (found[torch.arange(9), y] == 0).all()


@pytest.mark.parametrize("through", [False, True], ids=["ibp", "crown"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_bounds_reach_every_parameter(name, through):
    network, x = made(name)
    network.train()
    before = [int(m.num_batches_tracked) for m in network.modules() if hasattr(m, "running_mean")]
    with _rng.seeded(1):
        found = bounded(network, x, *box(x))
    margins(found, torch.arange(len(x)) % 4, through=through).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    after = [int(m.num_batches_tracked) for m in network.modules() if hasattr(m, "running_mean")]
    assert after == [n + 1 for n in before]  # the statistics saw one batch: the inputs


def test_training_statistics_are_those_of_the_inputs_alone():
    network, x = made("residual")
    network.train()
    with torch.no_grad():
        tight = bounded(network, x, x, x)
        wide = bounded(network, x, *box(x))
    torch.testing.assert_close(tight.low, tight.outputs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(wide.outputs, tight.outputs)


def test_dropout_bounds_what_its_own_draw_leaves():
    x = torch.rand(200, 6, generator=_rng.child(0, "x"))
    with _rng.seeded(5), torch.no_grad():
        network = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 2)).train()
        found = bounded(network, x, x, x)
    torch.testing.assert_close(found.low, found.outputs)
    torch.testing.assert_close(found.high, found.outputs)


class Unknown(nn.Module):
    def forward(self, x):
        y = functional.gelu(x) + x.softmax(dim=1)
        x.mul_(2)
        return y + x.sort(dim=1).values + functional.relu(x, inplace=True)


class Cut(nn.Module):
    def forward(self, x):
        return x.to(torch.int64)


class Peeking(nn.Module):
    def forward(self, x):
        return x * float(x.max())


def test_everything_that_cannot_be_bounded_is_named():
    x = torch.rand(2, 6, generator=_rng.child(0, "x"))
    with _rng.seeded(0):
        network = nn.Sequential(nn.Linear(6, 6), Unknown(), nn.Linear(6, 3)).train()
        linear = nn.Linear(6, 3)
    names = "`gelu`, `softmax`, `mul_`, `sort`, `relu`"
    with pytest.raises(ValueError, match=f"cannot be trained by its bounds.*: {names}"):
        require_bounds(network, x)
    assert network.training
    with pytest.raises(ValueError, match="`max`"):
        bounded(Peeking(), x, x, x)
    with pytest.raises(ValueError, match="`layer_norm`"):
        bounded(nn.Sequential(nn.LayerNorm(6), nn.GELU()), x, x, x)
    for falling in (nn.LeakyReLU(-0.5), nn.ELU(alpha=-1.0)):
        with pytest.raises(ValueError, match="`(leaky_relu|elu)`"):
            bounded(falling, x, x, x)
    with pytest.raises(ValueError, match="`to`"):
        bounded(Cut(), x, x, x)
    require_bounds(linear, x)


def test_a_network_that_ignores_its_input_is_bounded_by_what_it_gives():
    class Deaf(nn.Module):
        def forward(self, x):
            return torch.zeros_like(x)

    x = torch.rand(2, 3, generator=_rng.child(0, "x"))
    found = bounded(Deaf(), x, x - 1, x + 1)
    assert torch.equal(found.low, torch.zeros(2, 3)) and torch.equal(found.high, found.low)
    assert (margins(found, torch.tensor([0, 1])) == 0).all()


def test_values_are_told_apart_from_constants():
    x = torch.rand(2, 3, generator=_rng.child(0, "x"))
    recorder = Recorder(x, x - 1, x + 1)
    with recorder:
        made_of_it, other = functional.relu(x), torch.ones(2, 3) * 2
    assert recorder.follows(made_of_it) and not recorder.follows(other)
    assert len(recorder.steps) == 1 and not recorder.refused
