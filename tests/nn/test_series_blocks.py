import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright._rng import seeded
from netwright.nn import Around, Inception, frame_residual, inception_residual, series_residual


def made(make, *args, **kwargs):
    with seeded(0):
        return make(*args, **kwargs).eval()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("steps", [1, 8, 9])
def test_a_fresh_residual_block_passes_its_input_on(stride, steps, generator):
    x = torch.rand(2, 4, steps, generator=generator)
    block = made(series_residual, 4, 4, stride=stride)
    assert torch.equal(block(x, torch.ones(2, 1, steps)), x[..., ::stride])


@pytest.mark.oracle
def test_the_branch_is_hidden_behind_the_end_between_its_layers(generator):
    doubled, shifted = made(nn.Conv1d, 1, 1, 1), made(nn.Conv1d, 1, 1, 3, padding=1)
    with torch.no_grad():
        doubled.weight.fill_(2), doubled.bias.fill_(1)
        shifted.weight.fill_(1), shifted.bias.fill_(0)
    block = Around([doubled, shifted], nn.Identity())
    x, mask = torch.tensor([[[1.0, 2.0, 0.0, 0.0]]]), torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    # 2x + 1 is 3, 5 inside; sums of three neighbours are 8, 8, 5, 0; plus the input
    assert block(x, mask).flatten().tolist() == [9.0, 10.0, 5.0, 0.0]


@pytest.mark.oracle
def test_inception_looks_through_all_its_kernels(generator):
    block = made(Inception, 3, 2, kernels=(5, 3))
    x = torch.rand(2, 3, 9, generator=generator)
    narrow = block.bottleneck(x)
    parts = [functional.conv1d(narrow, p.weight, padding="same") for p in block.parts]
    padded = functional.pad(x, (1, 1), value=-torch.inf)
    greatest = torch.stack([padded[..., i : i + 9] for i in range(3)]).amax(0)
    expected = torch.cat([*parts, block.project(greatest)], dim=1) / (1 + 1e-5) ** 0.5
    # float32 sums of a dozen terms of size 1
    torch.testing.assert_close(block(x), expected.relu(), atol=1e-5, rtol=1e-5)


def test_shapes_and_widths(generator):
    x, mask = torch.rand(2, 3, 9, generator=generator), torch.ones(2, 1, 9)
    assert made(inception_residual, 3, 2, kernels=(5, 3))(x, mask).shape == (2, 6, 9)
    assert made(series_residual, 3, 7, stride=2)(x, mask).shape == (2, 7, 5)
    frames = torch.rand(2, 4, 6, 9, generator=generator)
    assert torch.equal(made(frame_residual, 4)(frames, mask), frames)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: series_residual(3, 4, kernels=()), "`kernels` must be odd numbers, one at least"),
        (lambda: series_residual(3, 4, kernels=(4,)), r"got \[4\]"),
        (lambda: series_residual(3, 4, stride=3), "`stride` must be 1 or 2; got 3"),
        (lambda: Inception(3, 4, kernels=(8,)), "`kernels` must be odd"),
    ],
)
def test_arguments_must_make_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()
