"""Lines stand below and above what they relax, everywhere between the bounds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.artefact._graph import Node
from netwright.audits.verify._curves import _BENT
from netwright.audits.verify._program import Step
from netwright.audits.verify._relaxations import lines, value_range
from netwright.audits.verify._single_steps import Reading, single

CASES = {
    "relu": ("Relu", {}),
    "leaky": ("LeakyRelu", {"alpha": 0.2}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "hard sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "clip": ("Clip", {"min": -0.5, "max": 2.0}),
    **{
        op.lower(): (op, {})
        for op in (
            "Abs Ceil Cos Elu Erf Exp Floor Gelu HardSwish Log Mish Reciprocal Round Selu Sign Sin "
            "Softplus Softsign Sqrt"
        ).split()
    },
    "celu": ("Celu", {"alpha": 0.3}),
    "elu, bent": ("Elu", {"alpha": 2.0}),
    "swish": ("Swish", {}),  # `x * sigmoid(x)`, which is two nodes
    "gelu, tanh": ("Gelu", {"approximate": "tanh"}),
}
POSITIVE = ("log", "reciprocal", "sqrt")
BOUND = st.one_of(
    st.floats(-30, 30), st.sampled_from([0.0, -0.5, 2.0, 1e-9, -1e-9, 3.0, -3.0, 1e4, -1e4])
)


def step_of(name):
    op, attributes = CASES[name]
    if op == "Swish":
        return Step("Mul", "activation", op, ("x",), "y", torch.nn.functional.silu)
    version = 20 if op != "Clip" else 6
    return single(Node(op, version, ("x",), ("y",), attributes), ["x"], Reading())


def bounds(name, ends):
    """Where the function is defined, and does not overflow."""
    ends = [abs(end) + 1e-3 for end in ends] if name in POSITIVE else ends
    ends = [min(end, 60.0) for end in ends] if name == "exp" else ends
    return (torch.tensor([v], dtype=torch.float64) for v in sorted(ends))


def graph(step, least, most):
    z = torch.linspace(0, 1, 4001, dtype=torch.float64) * (most - least) + least
    z = torch.cat([z, torch.tensor([0.0, -0.5, 2.0, -3.0, 3.0], dtype=torch.float64)])
    z = z.clamp(least, most)
    y = step.run(z)
    # What evaluating the line rounds is counted where the lines are used, not in the lines.
    return z, y, 1e-14 * (1 + z.abs().max() + y.abs().max())


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=60, deadline=None)
@given(ends=st.tuples(BOUND, BOUND))
def test_lines_hold_between_the_bounds(name, ends):
    step = step_of(name)
    least, most = bounds(name, ends)
    given_lines = lines(step, least, most)
    z, y, room = graph(step, least, most)
    assert (given_lines.slope_low * z + given_lines.offset_low <= y + room).all()
    assert (given_lines.slope_up * z + given_lines.offset_up >= y - room).all()
    low, high = value_range(step, least, most)
    assert (low <= y).all() and (y <= high).all()
    if given_lines.free.any():
        leak = step.settings[0] if step.settings else 0.0
        for slope in (leak, 0.5, 1.0):
            assert (slope * z <= y + room).all()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("ends", [(-1.0, 2.5), (0.5, 1.5), (-2.0, -1.0), (-4.0, 0.3)])
def test_lines_are_no_looser_than_the_interval_in_the_middle(name, ends):
    step = step_of(name)
    least, most = bounds(name, ends)
    found = lines(step, least, most)
    low, high = value_range(step, least, most)
    middle = (least + most) / 2
    above = found.slope_up * middle + found.offset_up
    below = found.slope_low * middle + found.offset_low
    assert above <= high + 1e-5
    assert below >= low - (most - least) - 1e-5  # a line through a kink or a tangent's end


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("relu", "clip", "abs")])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_wrong_slope_is_caught(name, side):
    """Planted fault: a line is turned by 2 % about one end, or by 1 % where it was flat."""
    step = step_of(name)
    least, most = bounds(name, (0.3, 1.8))
    found = lines(step, least, most)
    z, y, room = graph(step, least, most)
    if side > 0:
        turned = 0.02 * found.slope_up.abs() + 0.01
        above = (found.slope_up - turned) * z + found.offset_up + turned * least
        assert (above < y - room).any()
    else:
        turned = 0.02 * found.slope_low.abs() + 0.01
        below = (found.slope_low + turned) * z + found.offset_low - turned * least
        assert (below > y + room).any()


@pytest.mark.parametrize("op", _BENT)
def test_second_derivatives_are_bounded(op):
    name = next(n for n, (o, _) in CASES.items() if o == op)
    step, curve = step_of(name), _BENT[op]
    z = torch.cat([torch.linspace(-12, 12, 240_001), torch.linspace(-1e-3, 1e-3, 2001)]).double()
    z = z.requires_grad_()
    (slope,) = torch.autograd.grad(step.run(z).sum(), z, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), z)
    assert bend.abs().max() <= curve.curvature(step.settings)
    assert step.run(z).min() >= curve.floor and step.run(z).max() <= curve.ceiling
    if curve.turn is not None:
        before, after = z < curve.turn - 0.01, z > curve.turn + 0.01
        assert (slope[before] <= 0).all() and (slope[after] >= 0).all()
