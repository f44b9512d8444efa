import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright._rng import seeded
from netwright.nn import ConvNorm, GlobalPool, Residual, Separable, SqueezeExcitation

# float64 sums of up to a hundred terms of size 1, in another order
CLOSE = {"atol": 1e-11, "rtol": 0}


def shuffled(make):
    """Build a block whose every weight and statistic is random, in eval mode and float64."""
    with seeded(0), torch.no_grad():
        block = make().double().eval()
        for tensor in (*block.parameters(), *block.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5).mul_(torch.randint(2, tensor.shape) * 2 - 1)
        for module in block.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.abs_()
    return block


def normalised(x, norm: nn.BatchNorm2d):
    mean, var, weight, bias = (
        t.view(-1, 1, 1) for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / (var + norm.eps).sqrt() * weight + bias


def convolved(x, convolution: nn.Conv2d):
    """Convolve by the sum that defines it, one pixel of the kernel at a time."""
    side, stride = convolution.kernel_size[0], convolution.stride[0]
    padded = functional.pad(x, [side // 2] * 4)
    height, width = (-(-size // stride) for size in x.shape[2:])
    total = 0
    for row in range(side):
        for column in range(side):
            seen = padded[:, :, row : row + x.shape[2] : stride, column : column + x.shape[3]]
            seen = seen[:, :, :height, ::stride][..., :width]
            kernel = convolution.weight[:, :, row, column]
            if convolution.groups == 1:
                total = total + torch.einsum("bchw,oc->bohw", seen, kernel)
            else:  # each channel by itself
                total = total + seen * kernel.view(1, -1, 1, 1)
    return total


@pytest.fixture
def x(generator):
    return torch.randn(2, 3, 6, 5, dtype=torch.float64, generator=generator)


@pytest.mark.oracle
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_convolution_with_norm_by_hand(x, kernel, stride):
    block = shuffled(lambda: ConvNorm(3, 4, kernel=kernel, stride=stride))
    plain = shuffled(lambda: ConvNorm(3, 4, kernel=kernel, stride=stride, activation=False))
    expected = normalised(convolved(x, block[0]), block[1])
    assert expected.min() < 0
    torch.testing.assert_close(block(x), expected.clamp(min=0), **CLOSE)
    torch.testing.assert_close(plain(x), expected, **CLOSE)


@pytest.mark.oracle
@pytest.mark.parametrize("stride", [1, 2])
def test_separable_by_hand(x, stride):
    block = shuffled(lambda: Separable(3, 4, stride=stride))
    across = normalised(convolved(x, block[0][0]), block[0][1]).relu()
    expected = normalised(torch.einsum("bchw,oc->bohw", across, block[1][0].weight[:, :, 0, 0]),
                          block[1][1]).relu()  # fmt: skip
    assert expected.any()
    torch.testing.assert_close(block(x), expected, **CLOSE)


def test_separable_needs_few_weights():
    with seeded(0):
        count = sum(p.numel() for p in Separable(16, 32).parameters() if p.ndim > 1)
    assert count == 16 * 9 + 16 * 32


@pytest.mark.oracle
@pytest.mark.parametrize(("stride", "out"), [(1, 3), (1, 4), (2, 4)])
def test_residual_by_hand(x, stride, out):
    block = shuffled(lambda: Residual(3, out, stride=stride))
    branch = normalised(convolved(x, block.branch[0][0]), block.branch[0][1]).relu()
    branch = normalised(convolved(branch, block.branch[1][0]), block.branch[1][1])
    carried = x
    if stride == 2:  # means of 2x2 pixels; of the two that remain at an odd edge
        carried = functional.pad(x, (0, 1), value=torch.nan).unfold(2, 2, 2).unfold(3, 2, 2)
        carried = carried.flatten(4).nanmean(dim=4)
    if out != 3:
        last = block.shortcut[-1]
        carried = normalised(convolved(carried, last[0]), last[1])
    torch.testing.assert_close(block(x), (carried + branch).relu(), **CLOSE)


@pytest.mark.parametrize("squeeze", [False, True])
def test_a_fresh_residual_block_passes_its_input_through(x, squeeze):
    with seeded(0):
        block = Residual(3, 3, squeeze=squeeze).double().eval()
    assert torch.equal(block(x), x.relu())


def test_branch_is_left_out_for_some_examples_while_training(x):
    with seeded(0):
        block = shuffled(lambda: Residual(3, 3, p_drop=0.5))
        block.drop.train()
        many = x[:1].expand(64, -1, -1, -1)
        found = block(many)
    kept = (block.shortcut(x[:1]) + 2 * block.branch(x[:1])).relu()
    dropped = x[:1].relu()
    is_kept = (found - kept).abs().amax(dim=(1, 2, 3)) < 1e-9
    is_dropped = (found - dropped).abs().amax(dim=(1, 2, 3)) < 1e-9
    assert (is_kept ^ is_dropped).all()
    assert 0 < is_kept.sum() < 64


@pytest.mark.parametrize("stride", [0, 3])
def test_stride_is_one_or_two(stride):
    with pytest.raises(ValueError, match=f"`stride` must be 1 or 2; got {stride}."):
        Residual(3, 3, stride=stride)


@pytest.mark.oracle
def test_squeeze_and_excitation_by_hand(x):
    with seeded(0):
        block = SqueezeExcitation(3, dtype=torch.float64)
    means = x.sum(dim=(2, 3)) / (6 * 5)
    hidden = (means @ block.squeeze.weight.T + block.squeeze.bias).clamp(min=0)
    gate = 1 / (1 + (-(hidden @ block.excite.weight.T + block.excite.bias)).exp())
    expected = torch.stack(
        [torch.stack([x[i, c] * gate[i, c] for c in range(3)]) for i in range(2)]
    )
    torch.testing.assert_close(block(x), expected, **CLOSE)


@pytest.mark.parametrize(("channels", "squeezed"), [(3, 4), (16, 4), (64, 16)])
def test_width_of_the_gate(channels, squeezed):
    with seeded(0):
        assert SqueezeExcitation(channels).squeeze.out_features == squeezed


def test_global_pool_averages_each_channel(x):
    torch.testing.assert_close(GlobalPool()(x), x.flatten(2).mean(dim=2), **CLOSE)
