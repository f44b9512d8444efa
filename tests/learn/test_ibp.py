"""Certified training: IBP and CROWN-IBP, alone and inside `fit`."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.data import Target, TensorSplit
from netwright.learn import Recipe, _fit, _ibp, _step, fit
from netwright.learn._bounds import bounded, margins
from netwright.learn._crown_ibp import crown_ibp
from netwright.learn._ibp import ibp, start_for_bounds
from netwright.learn._threat import Threat
from tests.learn.conftest import DIGIT

BOTH = {"ibp": ibp, "crown_ibp": crown_ibp}
RECIPE = Recipe(learning_rate=1e-2, weight_decay=0.0, batch_size=100, certified="ibp", radius=0.05)


def mean_loss(logits, y):
    return functional.cross_entropy(logits, y)


@pytest.fixture
def threat(generator):
    return Threat(0.1, "linf", 1, generator, progress=1.0)


@pytest.fixture
def relu_network():
    """Two layers and a head, without statistics of batches."""
    with _rng.seeded(0):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 60), nn.ReLU(), nn.Linear(60, 40), nn.ReLU(),
            nn.Linear(40, 10),
        )  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("name", BOTH)
def test_loss_is_half_plain_and_half_the_worst_case_of_a_linear_network(name, threat, generator):
    with _rng.seeded(0):
        network = nn.Linear(6, 2)
    x = 0.3 + 0.4 * torch.rand(50, 6, generator=generator)  # the range never binds
    y = torch.randint(2, (50,), generator=generator)
    towards = torch.where(y == 0, 1.0, -1.0)[:, None]
    moved = x + 0.1 * towards * (network.weight[1] - network.weight[0]).sign()
    expected = (mean_loss(network(x), y) + mean_loss(network(moved), y)) / 2
    torch.testing.assert_close(BOTH[name](network, x, y, mean_loss, threat), expected)


@pytest.mark.parametrize("name", BOTH)
def test_loss_goes_from_plain_to_bounds_as_the_radius_grows(name, threat, relu_network, generator):
    x, y = torch.rand(20, 1, 8, 8, generator=generator), torch.arange(20) % 10
    threat.starts, threat.full = 0.1, 0.5
    plain = mean_loss(relu_network(x), y)
    found = []
    for progress in (0.0, 0.1, 0.2, 0.3, 0.5, 0.9):
        threat.progress = progress
        found.append(BOTH[name](relu_network, x, y, mean_loss, threat).item())
    assert found[0] == found[1] == plain.item()
    assert found[1] < found[2] < found[3] < found[4] == found[5]


def test_inputs_stay_in_their_range(threat, relu_network):
    seen = []

    class Watched(nn.Module):
        def forward(self, x):
            seen.append(x)
            return relu_network(x)

    x = torch.tensor([0.0, 1.0, 0.5, 0.02]).repeat(32).view(2, 1, 8, 8)
    y = torch.tensor([0, 1])
    threat.radius = 5.0  # every image is within reach: the bounds are those of the whole range
    found = ibp(Watched(), x, y, mean_loss, threat)
    worst = -margins(bounded(relu_network, x, torch.zeros_like(x), torch.ones_like(x)), y)
    plain = mean_loss(relu_network(x), y)
    torch.testing.assert_close(found, (plain + mean_loss(worst, y)) / 2)
    assert len(seen) == 1  # one pass, followed


def test_crown_ibp_starts_from_tighter_bounds_than_ibp(threat, relu_network, generator):
    x, y = torch.rand(20, 1, 8, 8, generator=generator), torch.arange(20) % 10
    threat.starts, threat.full = 0.0, 1.0
    threat.progress = 0.3
    losses = {name: call(relu_network, x, y, mean_loss, threat) for name, call in BOTH.items()}
    assert losses["crown_ibp"] < losses["ibp"]
    threat.progress = 1.0
    losses = {name: call(relu_network, x, y, mean_loss, threat) for name, call in BOTH.items()}
    torch.testing.assert_close(losses["crown_ibp"], losses["ibp"])


def test_weights_for_bounds_keep_the_width_of_intervals(generator):
    def widths():
        x = torch.rand(30, 256, generator=generator)
        found = bounded(network, x, x - 0.1, x + 0.1)
        made = [found.ends[step.target] for step in found.steps if step.kind == "affine"]
        return [(high - low).mean().item() for low, high in made]

    with _rng.seeded(0):
        layers = [nn.Linear(256, 256) if k % 2 == 0 else nn.ReLU() for k in range(9)]
        network = nn.Sequential(*layers)
    default = widths()
    assert default[-1] > 100 * default[0]
    start_for_bounds(network, generator=generator)
    ours = widths()
    # Half of the neurons are off or cut in half: a layer keeps its width on the mean.
    assert all(0.5 < later / earlier < 1.5 for earlier, later in zip(ours, ours[1:], strict=False))
    before = [p.clone() for p in network.parameters()]
    start_for_bounds(network, generator=generator)
    same = [torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True)]
    assert same == [False, True] * 5  # weights are drawn again, biases stay


def certified(network, split, radius):
    """Share of rows that intervals prove; and the accuracy."""
    x, y = split.take(slice(0, None)), split.y
    with torch.no_grad():
        found = bounded(network, x, (x - radius).clamp(0, 1), (x + radius).clamp(0, 1))
        least = margins(found, y).scatter(1, y[:, None], torch.inf).amin(1)
    return (least > 0).float().mean().item(), (found.outputs.argmax(1) == y).float().mean().item()


@pytest.mark.parametrize("name", BOTH)
def test_training_by_bounds_is_proved_where_plain_training_is_not(name, digits, relu_network):
    train, validation, test = digits
    call = {"target": DIGIT, "steps": 200, "seed": 0}
    start_for_bounds(relu_network, generator=_rng.child(0, "weights"))
    recipe = dataclasses.replace(RECIPE, certified=name)
    by_bounds = fit(relu_network, train, validation, recipe=recipe, **call).network
    share, accuracy = certified(by_bounds, test, 0.05)
    assert share > 0.6 and accuracy > 0.85
    plain = dataclasses.replace(RECIPE, certified="")
    plainly = fit(relu_network, train, validation, recipe=plain, **call).network
    assert certified(plainly, test, 0.05)[0] < share - 0.3


def test_training_against_changes_keeps_its_last_weights(digits, relu_network, monkeypatch):
    train, validation, _ = digits
    monkeypatch.setattr(_ibp, "_LEAST_PLAIN", 0.0)
    monkeypatch.setattr(_step, "_GROWTH", (0.5, 0.6))
    recipe = dataclasses.replace(RECIPE, radius=1.0)  # hopeless: accuracy falls as it grows
    found = fit(relu_network, train, validation, target=DIGIT, recipe=recipe, steps=150, seed=0)
    scores = [epoch.validation_score for epoch in found.epochs]
    assert scores[-1] < max(scores) - 0.1
    kept = certified(found.network, validation, 0.0)[1]
    assert kept == pytest.approx(scores[-1])


class Crash(Exception):
    pass


def test_resumed_training_ends_with_the_same_bits(digits, small_cnn, tmp_path, monkeypatch):
    monkeypatch.setattr(_fit, "_SHARE", 0)  # a checkpoint every epoch
    train, validation, _ = digits
    call = {"target": DIGIT, "recipe": RECIPE, "steps": 60, "seed": 3}
    whole = fit(small_cnn(), train, validation, **call).network

    def crash(epoch):
        raise Crash

    with pytest.raises(Crash):
        fit(small_cnn(), train, validation, folder=tmp_path, on_epoch=crash, **call)
    resumed = fit(small_cnn(9), train, validation, folder=tmp_path, **call).network
    second = resumed.state_dict()
    assert all(torch.equal(tensor, second[name]) for name, tensor in whole.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"radius": 0.0}, "`certified` training needs a positive `radius`"),
        ({"attack_norm": "l2"}, '`attack_norm` must be "linf"; got'),
        ({"adversarial": "pgd"}, "`adversarial` and `certified` cannot be had together"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, **changes)


def test_what_cannot_be_trained_so_is_refused(digits, small_cnn):
    train, validation, _ = digits

    def run(recipe=RECIPE, rows=train, network: nn.Module | None = None, target=DIGIT, **others):
        network = small_cnn() if network is None else network
        assert network is not None
        fit(network, rows, validation, target=target, recipe=recipe, steps=2, seed=0, **others)

    with pytest.raises(ValueError, match="No certified training is called `ipb`. Did you mean"):
        run(dataclasses.replace(RECIPE, certified="ipb"))
    with pytest.raises(ValueError, match="`certified` and `mixup` cannot be had together"):
        run(dataclasses.replace(RECIPE, mixup=0.2))
    with pytest.raises(ValueError, match="cannot be had with `compile` or `fabric`"):
        run(compile=True)
    with _rng.seeded(0):
        line, smooth = nn.Linear(2, 10), nn.Sequential(nn.Flatten(), nn.GELU(), nn.Linear(64, 10))
    table = TensorSplit(
        torch.rand(20, 2, generator=_rng.child(0, "x")), train.y[:20], train.rows[:20]
    )
    for network in (line, nn.Sequential(line, nn.GELU())):  # said before what cannot be bounded
        with pytest.raises(ValueError, match="and the inputs are no images"):
            run(rows=table, network=network)
    labels = Target("labels", ("kind",), tuple("0123456789"))
    many = TensorSplit(train.x[:20], functional.one_hot(train.y[:20], 10).float(), train.rows[:20])
    with pytest.raises(ValueError, match="the target here is of kind `labels`"):
        run(rows=many, target=labels)
    before = [p.clone() for p in smooth.parameters()]
    with pytest.raises(ValueError, match="operations without: `gelu`"):
        run(network=smooth)
    assert all(torch.equal(*pair) for pair in zip(before, smooth.parameters(), strict=True))
