import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.nn import (
    ConvNorm1d,
    LogMel,
    OverSteps,
    SeriesGru,
    StandardiseSeries,
    frame_residual,
    inception_residual,
    series_residual,
)

NAN = float("nan")
MEAN, STD = (1.0, -2.0), (2.0, 0.5)


def sequences(generator, lengths=(12, 7, 1), steps=12):
    x = torch.randn(len(lengths), 2, steps, generator=generator)
    for row, n in enumerate(lengths):
        x[row, :, n:] = NAN
    x[0, 1, 3] = NAN
    return x


def shaken(network):
    """Move every weight and statistic away from the values that networks start with."""
    with seeded(3), torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_()
    return network.eval()


def networks():
    with seeded(0):
        front = StandardiseSeries(MEAN, STD)
        yield (
            "residual",
            OverSteps(front, [series_residual(3, 4), series_residual(4, 4, stride=2)], [1, 1, 2]),
        )
        halving = [series_residual(3, 3, stride=2), series_residual(3, 4)]
        yield "residual that halves first", OverSteps(front, halving, [1, 2, 1])
        yield (
            "inception",
            OverSteps(
                front,
                [ConvNorm1d(3, 4), inception_residual(4, 3, depth=2, kernels=(5, 3))],
                [1, 1, 1],
            ),
        )
        yield "gru", SeriesGru(front, ConvNorm1d(3, 4, stride=2), 4, hidden=3, stride=2)
        sound = LogMel(MEAN, STD, rate=100.0, window=8, hop=2, n_bands=4)
        yield "spectrogram", OverSteps(sound, [frame_residual(2)], [2, 1])


NETWORKS = {name: shaken(network) for name, network in networks()}
EVERY = pytest.mark.parametrize("name", NETWORKS)


@pytest.mark.oracle
def test_values_are_standardised_and_gaps_are_marked():
    x = torch.tensor([[[3.0, NAN, 5.0], [-1.0, NAN, NAN]]])
    expected = [[[1.0, 0.0, 2.0], [2.0, 0.0, 0.0], [1.0, 0.0, 0.5]]]
    assert StandardiseSeries(MEAN, STD)(x).tolist() == expected


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((1.0,), (1.0, 2.0), "one number each per channel or value; got 1 and 2"),
        ((1.0,), (0.0,), "`std` must be positive"),
    ],
)
def test_statistics_must_fit(mean, std, message):
    with pytest.raises(ValueError, match=message):
        StandardiseSeries(mean, std)


@EVERY
def test_padding_changes_nothing(name, generator):
    network = NETWORKS[name]
    lengths = (9, 8, 7, 1, 0)  # an odd end without padding, too
    x = sequences(generator, lengths, steps=9)
    longer = torch.full((5, 2, 21), NAN)
    longer[..., :9] = x
    # the same numbers, and zeros, in sums of another order
    torch.testing.assert_close(network(longer), network(x), atol=1e-5, rtol=1e-5)


@EVERY
def test_what_counts_is_seen(name, generator):
    x = sequences(generator)
    changed = x.clone()
    changed[1, 0, 6] += 10  # its last step
    difference = (NETWORKS[name](changed) - NETWORKS[name](x)).abs().amax(dim=1)
    assert difference[1] > 1e-3
    assert not difference[[0, 2]].any()


@EVERY
def test_gradients_are_finite_and_zero_where_values_are_missing(name, generator):
    x = sequences(generator).requires_grad_()
    NETWORKS[name](x).square().sum().backward()
    assert x.grad.isfinite().all()
    missing = x.isnan()
    assert not x.grad[missing].any()
    assert x.grad[~missing].any()


@pytest.mark.oracle
def test_recurrence_walks_each_sequence_from_both_ends_alone(generator):
    network = NETWORKS["gru"]
    x = sequences(generator)
    found = network(x)
    for row, n in enumerate((12, 7, 1)):
        alone = network.front(x[row : row + 1, :, :n])
        steps = network.stem(alone).transpose(1, 2)
        onward, _ = network.forwards(steps)
        back, _ = network.backwards(steps.flip(1))
        states = torch.cat([onward, back], dim=2)[0]
        expected = torch.cat([states.mean(0), states.amax(0)])
        # float32 sums of a dozen terms of size 1
        torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-5)


def test_there_is_a_stride_for_each_layer():
    with pytest.raises(ValueError, match="for the front and each of the 1 layers; got"):
        OverSteps(nn.Identity(), [nn.Identity()], [1])
