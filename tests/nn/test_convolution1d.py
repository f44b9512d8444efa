import pytest
import torch

from netwright._rng import seeded
from netwright.nn import ConvNorm, ConvNorm1d


@pytest.mark.parametrize("length", [1, 2, 7, 8])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (5, 1), (3, 4)])
def test_steps_are_kept_and_a_stride_of_two_rounds_up(length, kernel, dilation, generator):
    x = torch.rand(3, 4, length, generator=generator)
    for stride, left in ((1, length), (2, (length + 1) // 2)):
        with seeded(0):
            block = ConvNorm1d(4, 6, kernel=kernel, dilation=dilation, stride=stride)
        assert block(x).shape == (3, 6, left)


def test_a_dilated_filter_sees_steps_apart():
    with seeded(0):
        block = ConvNorm1d(1, 1, dilation=4, activation=False)
    with torch.no_grad():
        block[0].weight.copy_(torch.tensor([[[1.0, 2.0, 3.0]]]))
    impulse = torch.zeros(1, 1, 12)
    impulse[0, 0, 6] = 1
    found = block[0](impulse)[0, 0]
    assert found.nonzero().flatten().tolist() == [2, 6, 10]
    assert found[[2, 6, 10]].tolist() == [3.0, 2.0, 1.0]


@pytest.mark.oracle
def test_it_is_the_block_for_images_on_a_single_row(generator):
    with seeded(0):
        one, two = ConvNorm1d(4, 6, kernel=5, stride=2), ConvNorm(4, 6, kernel=5, stride=2)
    with torch.no_grad():  # the row of the square kernel that sees the image's only row
        one[0].weight.copy_(two[0].weight[:, :, 2])
    x = torch.rand(3, 4, 9, generator=generator)
    torch.testing.assert_close(one(x), two(x[:, :, None])[:, :, 0])
