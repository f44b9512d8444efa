import pytest
import torch

from netwright._rng import seeded
from netwright.nn import ConvNorm, GlobalPool, Residual, Separable, SqueezeExcitation


def images(generator, side=7, channels=4):
    return torch.rand(3, channels, side, side, generator=generator)


@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_a_stride_of_two_halves_and_rounds_up_on_both_ways(generator, side):
    with seeded(0):
        block = Residual(4, 6, stride=2)
    assert block(images(generator, side)).shape == (3, 6, (side + 1) // 2, (side + 1) // 2)


def test_a_fresh_residual_block_is_the_identity_on_rectified_input(generator):
    with seeded(0):
        block = Residual(4, 4).eval()
    x = images(generator)
    torch.testing.assert_close(block(x), x)  # the branch's last scale starts at 0


def test_shortcut_changes_channels_only_where_it_must():
    with seeded(0):
        assert len(Residual(4, 4).shortcut) == 0
        assert len(Residual(4, 8).shortcut) == 1
        assert len(Residual(4, 4, stride=2).shortcut) == 2


def test_residual_refuses_other_strides():
    with pytest.raises(ValueError, match="`stride` must be 1 or 2; got 3"):
        Residual(4, 4, stride=3)


@pytest.mark.oracle
def test_separable_equals_a_full_convolution_of_rank_one(generator):
    """The kernel of the composition, for each pair of channels: pointwise times depthwise."""
    with seeded(0):
        block = Separable(4, 5)
    depthwise, pointwise = block[0][0].weight, block[1][0].weight
    kernel = pointwise * depthwise.transpose(0, 1)  # (5, 4, 3, 3)
    x = images(generator)
    composed = block[1][0](block[0][0](x))
    full = torch.nn.functional.conv2d(x, kernel, padding=1)
    torch.testing.assert_close(composed, full)


def test_separable_has_the_parameters_of_its_arithmetic():
    with seeded(0):
        weights = [p for p in Separable(16, 32).parameters() if p.ndim == 4]
    assert sum(p.numel() for p in weights) == 16 * 9 + 16 * 32


def test_gate_lies_between_zero_and_one(generator):
    with seeded(0):
        gate = SqueezeExcitation(4)
    x = images(generator)
    ratio = gate(x) / x
    assert ((ratio > 0) & (ratio < 1)).all()
    # one gate for each channel of each image, the same at every pixel
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))


def test_global_pool_is_the_mean(generator):
    x = images(generator)
    torch.testing.assert_close(GlobalPool()(x), x.flatten(2).mean(2))


def test_activation_can_be_left_out(generator):
    with seeded(0):
        with_relu, without = ConvNorm(4, 4), ConvNorm(4, 4, activation=False)
    x = images(generator)
    assert with_relu(x).min() >= 0 > without(x).min()
