import itertools

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import fixed_point, prune_global, round_by_error, round_weights, weights
from netwright.compress._rounding_by_error import _by_columns, inputs_of
from netwright.data import load
from netwright.learn import Recipe, fit


@pytest.mark.oracle
def test_what_is_left_makes_up_for_a_rounding_as_the_closed_form_does(generator):
    x = torch.randn(50, 5, generator=generator, dtype=torch.float64)
    weight = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    hessian = x.T @ x
    found = _by_columns(
        weight, hessian, lambda column, k: column.round() if k == 0 else column, damping=0.0
    )
    # The nearest outputs with the first weights held: least squares for the others.
    change = weight[:, :1].round() - weight[:, :1]
    rest = weight[:, 1:] - torch.linalg.solve(hessian[1:, 1:], hessian[1:, :1] @ change.T).T
    assert torch.allclose(found, torch.cat([weight[:, :1].round(), rest], 1), atol=1e-10)


@pytest.mark.oracle
def test_it_lies_between_the_nearest_values_and_the_best_of_all(generator):
    mix = torch.randn(4, 4, generator=generator)
    x = torch.randn(100, 4, generator=generator) @ mix
    better = 0
    for seed in range(10):
        with _rng.seeded(seed):
            layer = nn.Linear(4, 1, bias=False)
        weight = layer.weight.detach().clone()
        step = fixed_point(weight, bits=3, axis=0).step.item()
        choices = itertools.product([step * k for k in range(-3, 4)], repeat=4)
        before = x @ weight.T
        best = min((x @ torch.tensor(c)[:, None] - before).square().sum() for c in choices)
        best = (best / before.square().sum()).item()
        found = round_by_error(layer, x, 3)["weight"]
        reached = ((layer(x) - before).square().sum() / before.square().sum()).item()
        assert found.reached == pytest.approx(reached, rel=1e-3)
        assert best * 0.999 <= found.reached <= found.nearest
        better += found.reached < 0.99 * found.nearest
    assert better > 0  # four weights leave little to make up with; the digits below leave more


def test_patches_are_what_a_convolution_multiplies(generator):
    x = torch.randn(2, 3, 9, 8, generator=generator)
    for settings in (
        {"padding": 1},
        {"stride": 2, "dilation": 2},
        {"padding": "same"},
        {"padding": 1, "padding_mode": "reflect"},
    ):
        with _rng.seeded(0):
            layer = nn.Conv2d(3, 5, 3, bias=False, **settings)
        inputs = inputs_of(layer, layer, x)
        made = inputs @ layer.weight.reshape(5, -1).T
        expected = layer(x).permute(0, 2, 3, 1).reshape(-1, 5)
        assert torch.allclose(made, expected, atol=1e-5)


def test_few_bits_cost_less_accuracy_than_the_nearest_values():
    task = load("digits", seed=0)
    with _rng.seeded(0):
        network = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10)),
        )
        twin = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10)),
        )
    recipe = Recipe(learning_rate=1e-2)
    fit(network, task.train, task.validation, target=task.schema.target, recipe=recipe, steps=150,
        seed=0, device="cpu")  # fmt: skip
    twin.load_state_dict(network.state_dict())
    x, y = task.validation.take(range(180)), task.validation.y
    with torch.no_grad():
        before = network(x)
        found = round_by_error(network, task.train.take(range(300)), 3)
        round_weights(twin, 3)
        ours, nearest = ((n(x) - before).square().mean().item() for n in (network, twin))
        right = (network(x).argmax(1) == y).float().mean()
    assert list(found) == ["0.weight", "4.weight", "6.weight"]
    assert all(layer.reached <= layer.nearest for layer in found.values())
    assert ours < 0.8 * nearest
    assert right > 0.8
    assert all(len(row.unique()) <= 7 for row in weights(network)["4.weight"])


def test_what_cannot_be_rounded_is_refused():
    with _rng.seeded(0):
        network = nn.Sequential(nn.Conv2d(2, 2, 3, groups=2), nn.Flatten(), nn.Linear(8, 2))
    x = torch.ones(2, 2, 4, 4)
    with pytest.raises(ValueError, match="`0.weight` belongs to no linear layer"):
        round_by_error(network, x, {"0.weight": 4})
    with pytest.raises(ValueError, match="no weight `9.weight`"):
        round_by_error(network, x, {"9.weight": 4})
    prune_global(network, keep=0.5)
    with pytest.raises(ValueError, match="held by a constraint"):
        round_by_error(network, x, 4)
