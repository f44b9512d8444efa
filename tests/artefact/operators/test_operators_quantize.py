"""Whole-number arithmetic of quantised networks against ONNX Runtime."""

import pytest
import torch

from netwright.artefact._graph import Node
from netwright.artefact._operators import OPERATORS

pytestmark = pytest.mark.oracle


@pytest.fixture
def x(generator):
    return 3 * torch.randn(2, 4, 5, generator=generator)


def number(value, kind):
    return torch.tensor(value, dtype=kind)


@pytest.mark.parametrize(("kind", "zero"), [(torch.uint8, 120), (torch.int8, -3)])
def test_quantize(agrees, x, kind, zero):
    assert agrees("QuantizeLinear", x, torch.tensor(0.02), number(zero, kind))
    scales, zeros = torch.tensor([0.02, 0.1, 0.3, 1.0]), number([zero] * 4, kind)
    assert agrees("QuantizeLinear", x, scales, zeros)
    assert agrees("QuantizeLinear", x, scales[:2], zeros[:2], axis=0)


def test_quantize_rounds_halves_to_even_and_defaults_to_uint8(agrees):
    assert agrees("QuantizeLinear", torch.tensor([0.5, 1.5, 2.5, -1.0, 300.0]), torch.tensor(1.0))


def test_dequantize(agrees):
    x = torch.arange(-100, 100, dtype=torch.int8).reshape(2, 4, 25)
    assert agrees("DequantizeLinear", x, torch.tensor(0.02), number(5, torch.int8))
    assert agrees("DequantizeLinear", x, torch.tensor([0.1, 0.2, 0.3, 0.4]))


def test_dynamic_quantization(agrees, x):
    assert agrees("DynamicQuantizeLinear", x, n_outputs=3)
    assert agrees("DynamicQuantizeLinear", x.abs(), n_outputs=3)


def whole(generator, kind, *shape):
    info = torch.iinfo(kind)
    return torch.randint(info.min, info.max + 1, shape, generator=generator, dtype=kind)


def test_products_of_whole_numbers(agrees, generator):
    a, b = whole(generator, torch.uint8, 3, 4), whole(generator, torch.int8, 4, 5)
    assert agrees("MatMulInteger", a, b, number(100, torch.uint8), number(-3, torch.int8))
    assert agrees("MatMulInteger", a, b)
    x, w = whole(generator, torch.uint8, 1, 2, 5, 5), whole(generator, torch.uint8, 3, 2, 3, 3)
    assert agrees(
        "ConvInteger", x, w, number(100, torch.uint8), number(128, torch.uint8), pads=[1] * 4
    )


def test_quantised_products(agrees, generator):
    a, b = whole(generator, torch.uint8, 3, 4), whole(generator, torch.uint8, 4, 5)
    scale = torch.tensor(0.01)
    zero = number(100, torch.uint8)
    assert agrees("QLinearMatMul", a, scale, zero, b, scale, zero, torch.tensor(0.05), zero)
    x, w = whole(generator, torch.uint8, 1, 2, 5, 5), whole(generator, torch.int8, 3, 2, 3, 3)
    w_scale, w_zero = torch.tensor([0.01, 0.02, 0.03]), number([0] * 3, torch.int8)
    bias = number([1, 200, -3000], torch.int32)
    assert agrees("QLinearConv", x, scale, zero, w, w_scale, w_zero, torch.tensor(0.1), zero, bias)


def test_gradient_passes_straight_through_the_rounding_but_not_where_it_clips():
    node = Node("QuantizeLinear", 20, (), (), {})
    scale, zero = torch.tensor(0.5), torch.tensor(10, dtype=torch.uint8)
    x = torch.tensor([0.3, 1.2, 1e4, -1e4], requires_grad=True)
    steps = OPERATORS["QuantizeLinear"](node, x, scale, zero)
    (gradient,) = torch.autograd.grad(steps.sum(), x)
    assert gradient.tolist() == [2.0, 2.0, 0.0, 0.0]
