"""Products, convolutions, normalisations, pooling and resizing against ONNX Runtime."""

import itertools

import pytest
import torch

pytestmark = pytest.mark.oracle


@pytest.fixture
def draw(generator):
    return lambda *shape: torch.randn(*shape, generator=generator)


@pytest.mark.parametrize(("ta", "tb"), list(itertools.product([0, 1], [0, 1])))
def test_gemm(agrees, draw, ta, tb):
    a, b = draw(5, 4), draw(4, 3)
    a, b = (a.T.contiguous() if ta else a), (b.T.contiguous() if tb else b)
    assert agrees("Gemm", a, b, draw(3), transA=ta, transB=tb)
    assert agrees("Gemm", a, b, transA=ta, transB=tb, alpha=0.5)
    assert agrees("Gemm", a, b, draw(5, 1), transA=ta, transB=tb, alpha=0.5, beta=2.0)


def test_matmul_broadcasts(agrees, draw):
    assert agrees("MatMul", draw(2, 3, 4), draw(4, 5))
    assert agrees("MatMul", draw(4), draw(2, 4, 3))


def test_einsum(agrees, draw):
    assert agrees("Einsum", draw(2, 3, 4), draw(2, 5, 4), equation="bid, bjd -> bij")


CONVOLUTIONS = [
    {},
    {"pads": [1, 1, 1, 1]},
    {"pads": [0, 1, 2, 1], "strides": [2, 1]},
    {"dilations": [2, 1], "pads": [2, 1, 2, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"auto_pad": "VALID"},
]


@pytest.mark.parametrize("attributes", CONVOLUTIONS, ids=str)
def test_convolution(agrees, draw, attributes):
    assert agrees("Conv", draw(2, 4, 7, 8), draw(6, 4, 3, 2), draw(6), **attributes)
    assert agrees("Conv", draw(2, 4, 7, 8), draw(6, 2, 3, 2), group=2, **attributes)


def test_convolution_in_one_and_three_dimensions(agrees, draw):
    assert agrees("Conv", draw(2, 3, 9), draw(4, 3, 3), pads=[1, 2])
    assert agrees("Conv", draw(1, 2, 4, 5, 6), draw(3, 2, 2, 2, 2), strides=[1, 2, 1])


TRANSPOSED = [
    {},
    {"strides": [2, 2]},
    {"strides": [2, 3], "pads": [1, 0, 1, 1], "output_padding": [1, 2]},
    {"strides": [3, 3], "output_padding": [2, 2]},
    {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"strides": [2, 2], "output_shape": [10, 13]},
    {"dilations": [2, 1]},
]


@pytest.mark.parametrize("attributes", TRANSPOSED, ids=str)
def test_transposed_convolution(agrees, draw, attributes):
    assert agrees("ConvTranspose", draw(2, 4, 5, 6), draw(4, 3, 3, 3), draw(3), **attributes)


POOLS = [
    {"kernel_shape": [2, 2]},
    {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [2, 2], "dilations": [2, 3]},
]


@pytest.mark.parametrize("attributes", POOLS, ids=str)
def test_max_pool(agrees, draw, attributes):
    assert agrees("MaxPool", draw(2, 3, 8, 9), **attributes)


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("attributes", POOLS, ids=str)
def test_average_pool(agrees, draw, attributes, include):
    assert agrees("AveragePool", draw(2, 3, 8, 9), count_include_pad=include, **attributes)


def test_pooling_in_one_and_three_dimensions(agrees, draw):
    assert agrees("MaxPool", draw(2, 3, 8), kernel_shape=[3], pads=[1, 1])
    assert agrees("AveragePool", draw(2, 3, 4, 5, 6), kernel_shape=[2, 2, 2])
    assert agrees("LpPool", draw(2, 3, 8, 8), kernel_shape=[2, 2], p=3)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(agrees, draw, op):
    assert agrees(op, draw(2, 3, 4, 5))


def test_batch_normalisation(agrees, draw):
    mean, var = draw(3), draw(3).abs()
    assert agrees("BatchNormalization", draw(2, 3, 4), draw(3), draw(3), mean, var, epsilon=1e-3)


def test_layer_normalisation(agrees, draw):
    assert agrees("LayerNormalization", draw(2, 3, 4), draw(4), draw(4))
    assert agrees("LayerNormalization", draw(2, 3, 4), draw(3, 4), axis=1, epsilon=1e-2)


def test_other_normalisations(agrees, draw):
    assert agrees("InstanceNormalization", draw(2, 3, 4, 4), draw(3), draw(3))
    assert agrees("GroupNormalization", draw(2, 4, 5), draw(4), draw(4), num_groups=2, opset=21)
    assert agrees("LpNormalization", draw(2, 3, 4), axis=1, p=2)
    assert agrees("LpNormalization", draw(2, 3, 4), axis=1, p=1)
    assert agrees("LRN", draw(2, 5, 4, 4), size=3, alpha=0.1, beta=0.6, bias=2.0)
    assert agrees("MeanVarianceNormalization", draw(2, 3, 4, 5))
    assert agrees("RMSNormalization", draw(2, 3, 4), draw(4), opset=23)


PLACES = ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("size", [(8, 12), (3, 5), (7, 4), (1, 1)])
def test_resize_to_sizes(agrees, draw, place, mode, size):
    x, sizes = draw(1, 2, 4, 6), torch.tensor([1, 2, *size])
    assert agrees(
        "Resize", x, None, None, sizes, mode=mode, coordinate_transformation_mode=place, opset=19
    )


@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_resize_by_scales(agrees, draw, rounding):
    scales = torch.tensor([1.0, 1.0, 2.0, 0.5])
    assert agrees("Resize", draw(1, 2, 4, 6), None, scales, mode="nearest", nearest_mode=rounding)
    assert agrees("Resize", draw(1, 2, 4, 6), None, scales, mode="linear")


def test_resize_cubic_without_what_lies_outside(agrees, draw):
    sizes = torch.tensor([1, 2, 7, 9])
    assert agrees("Resize", draw(1, 2, 4, 6), None, None, sizes, mode="cubic", exclude_outside=1)


def test_resize_of_older_sets(agrees, draw):
    scales = torch.tensor([1.0, 1.0, 2.0, 3.0])
    for mode in ("nearest", "linear"):
        assert agrees("Resize", draw(1, 2, 4, 6), scales, mode=mode, opset=10)
        assert agrees("Upsample", draw(1, 2, 4, 6), scales, mode=mode, opset=9)
        assert agrees("Upsample", draw(1, 2, 4, 6), scales=[1.0, 1.0, 2.0, 3.0], mode=mode, opset=7)
