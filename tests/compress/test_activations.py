import copy

import numpy as np
import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import (
    Range,
    fixed_point,
    free_activations,
    least_divergence,
    least_error,
    min_max,
    percentile,
    round_activations,
    round_aware,
    settle,
)
from netwright.data import load
from tests.compress.small_training import learn


@pytest.fixture
def network():
    with _rng.seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 6), nn.ReLU(),
            nn.Linear(6, 3),
        ).eval()  # fmt: skip


@pytest.fixture
def x(generator):
    return torch.rand(16, 1, 8, 8, generator=generator)


@pytest.mark.oracle
@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_layers_receive_what_torchs_own_fake_quantiser_makes(network, x, bits):
    found = round_activations(network, x, bits, choose=percentile(0.95))
    seen = {}

    def keep(module, given, output):
        seen[module] = given[0]

    for name in found.layers:
        network.get_submodule(name).register_forward_hook(keep)
    with torch.no_grad():
        network(x)
        hidden = network[2](network[1](network[0](x)))
    for name, given in (("0", x), ("3", hidden)):
        held, rounded = found.layers[name].range, seen[network.get_submodule(name)]
        expected = torch.fake_quantize_per_tensor_affine(
            given, float(held.step), int(held.zero), 0, 2**bits - 1
        )
        # It multiplies by 1 / step where we divide: at the edge between two codes they may differ.
        apart = (rounded - expected).abs()
        assert (apart > 1e-6).float().mean() < 0.001 and apart.max() < held.step * 1.01
        assert len(rounded.unique()) <= 2**bits


@pytest.mark.oracle
def test_gradients_pass_inside_the_range_and_not_beyond():
    layer = nn.utils.skip_init(nn.Linear, 4, 1, bias=False)
    layer.weight.data.fill_(2.0)
    round_activations(layer, torch.tensor([[0.0, 1.0]]).repeat(1, 2), 3, choose=min_max)
    x = torch.tensor([[-0.5, 0.2, 0.9, 1.5]], requires_grad=True)
    assert layer(x).item() == pytest.approx(2 * (0 + 1 / 7 + 6 / 7 + 1))
    layer(x).backward()
    assert x.grad.tolist() == [[0.0, 2.0, 2.0, 0.0]]


@pytest.mark.oracle
@pytest.mark.parametrize("bits", [3, 8])
def test_ranges_by_error_are_near_the_best_of_a_fine_search(bits, generator):
    sample = torch.randn(20_000, generator=generator).abs().numpy()
    found = least_error(sample, bits)

    def error(high):
        return np.square(Range(0.0, high, bits).rounded(sample) - sample).mean()

    best = min(error(high) for high in np.linspace(0.2, 1, 400) * sample.max())
    # 48 ranges (24 at eight bits) against 400: one step beside the best costs little.
    assert best <= error(found.high) < 1.03 * best
    if bits == 3:  # clipping a normal distribution to 7 steps is worth much
        assert error(found.high) < 0.7 * error(min_max(sample, bits).high)


def test_ranges_hold_what_they_say(generator):
    sample = torch.randn(10_000, generator=generator).numpy()
    sample[:3] = 50.0
    whole = min_max(sample, 8)
    assert (whole.low, whole.high) == (sample.min(), 50.0)
    inside = percentile(0.99)(sample, 8)
    share = ((sample >= inside.low) & (sample <= inside.high)).mean()
    assert share == pytest.approx(0.99, abs=1e-3)
    # Three planted numbers far away: all but the plain range leave them out, in part at least.
    for choose in (percentile(0.999), least_error, least_divergence):
        assert choose(sample, 4).high < 0.8 * whole.high
    assert min_max(np.array([2.0, 3.0]), 4).low == 0.0  # zero has a code
    assert least_divergence(np.zeros(9), 8) == Range(0.0, 0.0, 8)


@pytest.mark.oracle
def test_divergence_of_few_bits_prefers_the_range_of_the_bulk(generator):
    # Of uniform numbers none is clipped, for either would distort the distribution.
    flat = torch.rand(50_000, generator=generator).numpy()
    assert least_divergence(flat, 4).high > 0.9
    heavy = np.concatenate([flat, [20.0]])
    assert least_divergence(heavy, 4).high < 10


def test_the_record_says_what_was_done(network, x):
    found = round_activations(network, x, {"0": 8, "3": 4}, data="rows made up")
    assert found.data == "rows made up" and found.rows == 16 and list(found.layers) == ["0", "3"]
    assert found.layers["3"].range.bits == 4 and not hasattr(network[5], "input_rounding")
    coarse = round_activations(network, x, {"3": 2}, choose=percentile(0.8)).layers["3"]
    assert coarse.error > found.layers["3"].error and coarse.clipped > 0.1
    assert not found.unused


def test_copies_round_by_themselves_and_freedom_is_exact(network, x):
    with torch.no_grad():
        before = network(x)
        round_activations(network, x, 3)
        twin = copy.deepcopy(network)
        rounded = network(x)
        free_activations(network)
        assert torch.equal(network(x), before) and torch.equal(twin(x), rounded)
        assert not torch.equal(rounded, before)
        again = nn.Sequential(*copy.deepcopy(list(network)))
        round_activations(again, x, 3)
        again.load_state_dict(twin.state_dict())  # ranges are part of what is saved
        assert torch.equal(again(x), rounded)


def test_a_network_learns_with_weights_and_activations_of_few_bits():
    task = load("digits", seed=0)
    with _rng.seeded(1):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    x, y = task.validation.take(slice(None)), task.validation.y

    def right():
        with torch.no_grad():
            return (network(x).argmax(1) == y).float().mean().item()

    rows, labels = task.train.take(slice(None)), task.train.y
    learn(network, rows, labels, steps=60, learning_rate=0.01)
    round_activations(network, rows[:200], 2)
    round_aware(network, 2)
    at_once = right()
    learn(network, rows, labels, steps=60, learning_rate=0.01)
    settle(network)
    assert right() > at_once + 0.02  # learning makes up for much of two bits
    assert right() > 0.85
    weight = network[1].weight
    assert torch.allclose(fixed_point(weight, bits=2, axis=0).values, weight)


def test_what_cannot_be_rounded_is_refused(network, x):
    with pytest.raises(ValueError, match="`x` must hold calibration rows"):
        round_activations(network, x[:0])
    with pytest.raises(ValueError, match="no linear layer and no convolution `1`; it has 0, 3, 5"):
        round_activations(network, x, {"1": 8})
    with pytest.raises(ValueError, match="`bits` must lie in 2..16; got 1 for `0`"):
        round_activations(network, x, 1)
    with pytest.raises(ValueError, match="`0` receives numbers that are not finite"):
        round_activations(network, x * torch.inf)
    with pytest.raises(ValueError, match=r"in \(0, 1\]; got 0"):
        percentile(0)
