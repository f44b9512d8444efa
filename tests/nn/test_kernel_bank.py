import itertools

import numpy as np
import pytest
import torch

from netwright._rng import seeded
from netwright.data import TensorSplit
from netwright.nn import KernelBank, StandardiseSeries, ridge_scores

NAN = float("nan")


def bank(out_features=2, seed=0, **others):
    with seeded(seed):
        front = StandardiseSeries((0.0, 0.0), (1.0, 1.0))
        settings = {"dilations": (1, 3), "n_biases": 2, **others}
        return KernelBank(front, 3, out_features, **settings).eval()


def waves(generator, n=40, steps=30):
    """Two classes that differ in how fast the first channel swings, begun at any moment."""
    y = torch.arange(n) % 2
    start = 6 * torch.rand(n, 1, generator=generator)
    speed = torch.where(y == 0, 0.7, 1.1)[:, None]
    x = 0.3 * torch.randn(n, 2, steps, generator=generator)
    x[:, 0] += torch.sin(speed * torch.arange(steps) + start)
    x[::3, :, 22:] = NAN
    return TensorSplit(x, y, torch.arange(n))


@pytest.mark.oracle
def test_features_are_shares_of_a_plain_loop(generator):
    network = bank()
    network.initialise(waves(generator))
    x = waves(generator, n=3).take([0, 1])  # the first ends early
    found = network.features(x).numpy()
    patterns = []
    for twos in itertools.combinations(range(9), 3):
        patterns.append([2.0 if place in twos else -1.0 for place in range(9)])
    assert len(patterns) == 84 and all(sum(pattern) == 0 for pattern in patterns)
    front = network.front(x).numpy()
    mix = network.mix[..., 0].numpy().reshape(2, 84, 3)
    for row, n in enumerate((22, 30)):
        for place, dilation in enumerate((1, 3)):
            for kernel in (0, 17, 83):
                mixed = mix[place, kernel] @ front[row, :, :n]
                for number in range(2):
                    bias = network.biases[place, kernel, number].item()
                    width = network.widths[place, kernel, 0].item()
                    total = 0.0
                    for step in range(n):
                        response = sum(
                            patterns[kernel][k] * mixed[step + (k - 4) * dilation]
                            for k in range(9)
                            if 0 <= step + (k - 4) * dilation < n
                        )
                        total += 1 / (1 + np.exp(-10 * (response - bias) / width))
                    share = found[row, place * 168 + number * 84 + kernel]
                    assert share == pytest.approx(total / n, abs=1e-4)  # float32, steep sigmoids


def test_rows_are_read_in_pieces_that_fit_the_memory(generator, monkeypatch):
    network, x, read = bank(), waves(generator, n=11).x, []
    network.initialise(waves(generator))
    whole, responses = network.features(x), network.responses

    def counted(states, place):
        read.append(len(states))
        return responses(states, place)

    monkeypatch.setattr(network, "responses", counted)
    network.features(x)
    per_row = 4 * 4 * (84 + 3) * 30  # bytes: four times 84 responses and 3 channels, at 30 steps
    monkeypatch.setattr("netwright.nn._kernel_bank._MOST_BYTES", 5 * per_row - 1)
    # the same float32 sums of 30 terms below 1, of convolutions of other batches
    torch.testing.assert_close(network.features(x), whole, atol=1e-5, rtol=0)
    assert read == [11] * 2 + [4] * 4 + [3] * 2  # at each of two dilations
    monkeypatch.setattr("netwright.nn._kernel_bank._MOST_BYTES", 1)
    assert network.features(x[:2]).shape == (2, 2 * 84 * 2)
    assert network.features(x[:0]).shape == (0, 2 * 84 * 2)


@pytest.mark.oracle
def test_held_out_predictions_are_those_of_training_without_the_row(generator):
    from sklearn.linear_model import Ridge

    x = torch.randn(12, 30, generator=generator, dtype=torch.float64)
    x = x - x.mean(0)
    y = torch.randn(12, 2, generator=generator, dtype=torch.float64) + 3
    weight, bias, held_out = (part.numpy() for part in ridge_scores(x, y))
    x, y = x.numpy(), y.numpy()
    errors = {}
    for power in range(15):
        ridge = 10 ** (-2 + power / 2)
        errors[ridge] = np.stack(
            [
                Ridge(alpha=ridge)
                .fit(np.delete(x, row, 0), np.delete(y, row, 0))
                .predict(x[row : row + 1])[0]
                for row in range(12)
            ]
        )
    best = min(errors, key=lambda ridge: ((errors[ridge] - y) ** 2).mean())
    np.testing.assert_allclose(held_out, errors[best], atol=1e-8)  # float64 throughout
    whole = Ridge(alpha=best).fit(x, y)
    np.testing.assert_allclose(x @ weight + bias, whole.predict(x), atol=1e-8)


def test_it_is_solved_on_the_training_rows(generator):
    split, other = waves(generator), waves(generator)
    network = bank()
    before = (network(other.x).argmax(1) == other.y).double().mean()
    network.initialise(split)
    logits = network(other.x)
    assert (logits.argmax(1) == other.y).all() and before < 0.9
    # as sure as it may be: of 40 rows like those it was made of none is wrong
    assert torch.nn.functional.cross_entropy(logits, other.y) < 0.2


def test_values_and_labels_are_solved_too(generator):
    split = waves(generator)
    value = TensorSplit(split.x, 100 + 5 * split.y[:, None].float(), split.rows)
    network = bank(1, is_class=False, centre=(102.5,), scale=(2.5,))
    network.initialise(value)
    error = network(split.x)[:, 0] * 2.5 + 102.5 - value.y[:, 0]
    assert error.abs().mean() < 1.0
    labels = torch.stack([split.y, 1 - split.y], 1).float()
    network = bank(2)
    network.initialise(TensorSplit(split.x, labels, split.rows))
    assert torch.equal((network(split.x) > 0).float(), labels)


def test_a_constant_feature_is_no_trouble():
    x = torch.zeros(6, 2, 30)
    network = bank()
    network.initialise(TensorSplit(x, torch.arange(6) % 2, torch.arange(6)))
    assert network(x).isfinite().all()


@pytest.mark.parametrize("settings", [{"dilations": ()}, {"dilations": (0,)}, {"n_biases": 0}])
def test_settings_must_make_sense(settings):
    with pytest.raises(ValueError, match="`dilations` must be positive numbers, one at least"):
        bank(**settings)


def test_thresholds_come_from_rows_of_every_place_of_the_split(generator):
    x = torch.randn(260, 2, 20, generator=generator)
    x[130:] *= 20
    network, of_first = bank(), bank()
    network.initialise(TensorSplit(x, torch.arange(260) // 130, torch.arange(260)))
    of_first.initialise(TensorSplit(x[:130], torch.arange(130) % 2, torch.arange(130)))
    # half of the rows swing 20 times as far, those of all 1 / 2 ** 0.5 times that
    assert (network.widths > 5 * of_first.widths).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_present_is_read_only_where_training_rows_have_gaps(channels, generator):
    def solved(x):
        with seeded(0):
            front = StandardiseSeries((0.0,) * channels, (1.0,) * channels)
            network = KernelBank(front, channels + 1, 2, dilations=(1, 2), n_biases=2)
        network.initialise(TensorSplit(x, torch.arange(40) % 2, torch.arange(40)))
        return network

    x = torch.randn(40, channels, 30, generator=generator)
    x[::2, :, 22:] = NAN  # an end is no gap
    gapped = x.clone()
    gapped[5, 0, 10] = NAN
    without, withal = (solved(each).mix[..., 0] for each in (x, gapped))
    assert not without[:, -1].any()
    # 168 kernels read it with probability 1/3: 4 standard errors of 0.036
    assert (withal[:, -1] > 0).double().mean() == pytest.approx(1 / 3, abs=0.15)
    assert torch.equal(withal[:, :-1] > 0, without[:, :-1] > 0)
    for mix in (without, withal):
        assert (mix[:, :-1] > 0).any(1).all()
        # float32 squares of up to 4 weights
        torch.testing.assert_close(mix.square().sum(1), torch.ones(168), atol=1e-6, rtol=0)
    assert (solved(x).spread < 1).all()  # 1 stands for a feature that never changes


def test_a_channel_beside_what_is_present_is_needed():
    with pytest.raises(ValueError, match="`in_channels` must be at least 2, .*; got 1"):
        KernelBank(torch.nn.Identity(), 1, 2)
