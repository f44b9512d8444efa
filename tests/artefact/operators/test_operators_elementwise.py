"""Element by element operators and activations against ONNX Runtime."""

import pytest
import torch

from netwright.artefact._graph import Node
from netwright.artefact._operators import OPERATORS

pytestmark = pytest.mark.oracle


@pytest.fixture
def x(generator):
    return torch.randn(2, 3, 4, generator=generator)


UNARY = [
    "Abs",
    "Atan",
    "Ceil",
    "Cos",
    "Erf",
    "Exp",
    "Floor",
    "HardSwish",
    "Identity",
    "Neg",
    "Relu",
]
UNARY += ["Round", "Sigmoid", "Sign", "Sin", "Sinh", "Cosh", "Asinh", "Softplus", "Softsign", "Tan"]
UNARY += ["Tanh", "Gelu", "Mish", "HardSigmoid", "Elu", "Selu", "Celu", "LeakyRelu", "Reciprocal"]
UNARY += ["ThresholdedRelu", "Shrink", "Softmax", "LogSoftmax", "Hardmax", "Dropout"]


@pytest.mark.parametrize("op", UNARY)
def test_of_one_input(agrees, op, x):
    assert agrees(op, x)


@pytest.mark.parametrize("op", ["Sqrt", "Log", "Acos", "Asin", "Atanh"])
def test_on_numbers_between_0_and_1(agrees, op, x):
    assert agrees(op, torch.sigmoid(x))


def test_acosh(agrees, x):
    assert agrees("Acosh", 1 + x.abs())


def test_round_takes_halves_to_even(agrees):
    assert agrees("Round", torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5]))


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Elu", {"alpha": 0.3}),
        ("Selu", {"alpha": 1.1, "gamma": 2.0}),
        ("Celu", {"alpha": 0.3}),
        ("LeakyRelu", {"alpha": 0.2}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.1}),
        ("Gelu", {"approximate": "tanh"}),
        ("Shrink", {"lambd": 0.2, "bias": 0.1}),
        ("Softmax", {"axis": 1}),
        ("LogSoftmax", {"axis": 0}),
        ("Hardmax", {"axis": 1}),
    ],
)
def test_attributes(agrees, op, attributes, x):
    assert agrees(op, x, **attributes)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_of_older_sets_flattens_what_follows_the_axis(agrees, op, x):
    assert agrees(op, x, opset=11)
    assert agrees(op, x, opset=11, axis=2)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean"])
def test_arithmetic_broadcasts(agrees, op, x, generator):
    assert agrees(op, x, torch.randn(3, 1, generator=generator), fed=2)


@pytest.mark.parametrize("op", ["Max", "Min", "Sum", "Mean"])
def test_of_many_inputs(agrees, op, x):
    assert agrees(op, x, 2 * x, x * x)


def test_older_sets_align_axes_as_they_say(x):
    # ONNX Runtime no longer runs these; the specification's own rule is the truth here.
    node = Node("Add", 6, (), (), {"broadcast": 1, "axis": 1})
    b = torch.tensor([1.0, 2.0, 3.0])
    assert torch.equal(OPERATORS["Add"](node, x, b), x + b[:, None])


@pytest.mark.parametrize("op", ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
def test_comparison(agrees, op, x):
    assert agrees(op, x.round(), torch.zeros(4))


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_logic(agrees, op, x):
    assert agrees(op, x > 0, x.flip(0) > 0, fed=2)


def test_not_is_nan_is_infinite(agrees, x):
    odd = torch.tensor([1.0, float("nan"), float("inf"), -float("inf")])
    assert agrees("Not", x > 0)
    assert agrees("IsNaN", odd)
    assert agrees("IsInf", odd)
    assert agrees("IsInf", odd, detect_negative=0)


def test_whole_number_division_cuts_towards_zero(agrees):
    assert agrees("Div", torch.tensor([7, -7, 7, -7]), torch.tensor([2, 2, -2, -2]))


@pytest.mark.parametrize("fmod", [0, 1])
def test_remainder_of_whole_numbers(agrees, fmod):
    assert agrees("Mod", torch.tensor([7, -7, 7, -7]), torch.tensor([3, 3, -3, -3]), fmod=fmod)


def test_remainder_of_fractions(agrees, x):
    assert agrees("Mod", x, torch.tensor([0.3, -0.4, 0.5, 0.7]), fmod=1)


def test_power_keeps_the_type_of_the_base(agrees, x):
    assert agrees("Pow", x.abs(), torch.tensor([0.5, 2.0, 3.0, -1.0]))
    assert agrees("Pow", torch.tensor([1, 2, 3]), torch.tensor([2.0, 3.0, 2.0]))


def test_clip(agrees, x):
    low, high = torch.tensor(-0.5), torch.tensor(0.5)
    assert agrees("Clip", x, low, high)
    assert agrees("Clip", x, None, high)
    assert agrees("Clip", x, low)
    assert agrees("Clip", x, min=-0.5, max=0.25, opset=6)


def test_prelu_of_one_slope_a_channel(agrees, x):
    assert agrees("PRelu", x, torch.tensor([[0.1], [0.2], [0.3]]))


def test_where(agrees, x):
    assert agrees("Where", x > 0, x, torch.zeros(1), fed=2)


@pytest.mark.parametrize("to", [1, 6, 7, 9, 11])
def test_cast(agrees, x, to):
    assert agrees("Cast", 3 * x, to=to)


def test_cast_like(agrees, x):
    assert agrees("CastLike", 3 * x, torch.tensor([1]), fed=2)
